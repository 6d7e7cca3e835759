"""``manage.py tokenstore``: issue, list and end tokens of the store that the settings name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tokenstore import Actor, Error, Lifetime, TokenStore

from ..._configuration import get_store


class Command(BaseCommand):
    """The command."""

    help = "Issues, lists, revokes and expires access tokens, suspends and resumes owners, and checks the store."
    requires_system_checks = ["security"]

    def add_arguments(self, parser: CommandParser) -> None:
        """One word for each thing to do."""
        commands = parser.add_subparsers(dest="what", metavar="COMMAND", required=True)
        issue = commands.add_parser("issue", help="issue a token, and print its text: the only copy there will ever be")
        issue.add_argument("owner")
        issue.add_argument("--scope", action="append", default=[], help="a scope; may be given several times")
        issue.add_argument("--description", default="")
        life = issue.add_mutually_exclusive_group()
        life.add_argument("--days", type=float, help="lifetime; without it the policy's default")
        life.add_argument("--never-expires", action="store_true", help="no end, if policy allows it")
        listed = commands.add_parser("list", help="list tokens, newest first")
        listed.add_argument("--owner", default="")
        for name, about in (("revoke", "end a token for good"), ("expire", "end a token now")):
            ending = commands.add_parser(name, help=about)
            ending.add_argument("id")
            if name == "revoke":
                ending.add_argument("--reason", default="")
        suspend = commands.add_parser("suspend", help="stop every token of an owner")
        suspend.add_argument("owner")
        suspend.add_argument("--reason", default="")
        commands.add_parser("resume", help="let an owner's tokens work again").add_argument("owner")
        commands.add_parser("check", help="verify every seal of the workspace")

    def handle(self, *arguments: Any, **options: Any) -> None:
        """Does what the first word says."""
        try:
            getattr(self, "_" + options["what"])(get_store(), Actor.host(), options)
        except (Error, TypeError, ValueError) as error:
            raise CommandError(str(error)) from None

    def _issue(self, store: TokenStore, host: Actor, options: Any) -> None:
        lifetime: Any = Lifetime.DEFAULT
        if options["never_expires"]:
            lifetime = Lifetime.NEVER
        elif options["days"] is not None:
            try:
                lifetime = timedelta(days=options["days"])
            except OverflowError:
                raise CommandError("--days is too large") from None
        issued = store.issue(
            host, owner=options["owner"], scopes=options["scope"], description=options["description"], lifetime=lifetime
        )
        self.stdout.write(issued.text.reveal())
        self.stderr.write(f"token {issued.id} of {issued.token.owner}: this is the only time that its text is shown")

    def _list(self, store: TokenStore, host: Actor, options: Any) -> None:
        for token in store.list(host, owner=options["owner"]):
            ends = "never" if token.expires_at is None else token.expires_at.isoformat(timespec="seconds")
            line = (token.id, str(token.state), token.owner, " ".join(token.scopes), ends, token.description)
            self.stdout.write("\t".join(line))

    def _revoke(self, store: TokenStore, host: Actor, options: Any) -> None:
        self.stdout.write(f"{store.revoke(host, options['id'], options['reason']).id} revoked")

    def _expire(self, store: TokenStore, host: Actor, options: Any) -> None:
        self.stdout.write(f"{store.expire(host, options['id']).id} expired")

    def _suspend(self, store: TokenStore, host: Actor, options: Any) -> None:
        self.stdout.write(f"{store.suspend(host, options['owner'], options['reason']).owner} suspended")

    def _resume(self, store: TokenStore, host: Actor, options: Any) -> None:
        self.stdout.write(f"{store.resume(host, options['owner']).owner} resumed")

    def _check(self, store: TokenStore, host: Actor, options: Any) -> None:
        report = store.check(host)
        for line in report.lines:
            self.stdout.write(line)
        self.stdout.write(f"{report.tokens} tokens, {report.owners} owners, {report.problems} problems")
        if report.problems:
            raise CommandError("the store has problems")
