"""Uses everything that is public, for the type checkers: `mypy --strict` and pyright have nothing to say."""

import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import List, Optional, Tuple

import tokenstore
from tokenstore import (
    Actor,
    Issued,
    Keyring,
    KeyUse,
    Lifetime,
    ManualClock,
    Outcome,
    Page,
    Reason,
    Request,
    State,
    Token,
)


def allow(store: tokenstore.TokenStore, text: str, scope: str, address: Optional[str]) -> Optional[str]:
    quick = store.try_validate(text, scope, client_address=address)
    verdict: tokenstore.Verdict = store.validate(text, scope, client_address=address) if quick is None else quick
    if not verdict.valid:
        reason: Reason = verdict.reason
        status: int = verdict.http_status
        print(reason, status, verdict.outcome is Outcome.UNAVAILABLE)
        return None
    scopes: Tuple[str, ...] = verdict.scopes
    metadata: bytes = verdict.metadata
    ends: Optional[datetime] = verdict.expires_at
    print(verdict.id, scopes, metadata, ends)
    return verdict.owner


def use(store: tokenstore.TokenStore, root: Actor, alice: Actor) -> None:
    policy = replace(store.policy(root), never_allowed=True, longest_lifetime=Lifetime.NEVER, most_active_per_owner=50)
    store.set_policy(root, policy)
    issued: Issued = store.issue(
        alice, scopes=["read"], lifetime=timedelta(days=1), description="laptop", metadata=b"m"
    )
    many: Tuple[Issued, ...] = store.issue_many(
        Actor.host(), [Request("alice", ("read",), lifetime=Lifetime.NEVER, not_before=store.now())]
    )
    text: str = issued.text.reveal()
    assert allow(store, text, "read", "192.0.2.1") == "alice"
    assert allow(store, text, "write", None) is None
    assert store.validate(issued.text, scope="read").valid

    token: Token = store.get(alice, issued.id)
    everything: List[str] = [each.id for each in store.list(root, owner="alice", state=State.ACTIVE, text="lap")]
    page: Page[Token] = store.list(root, limit=1)
    first: Token = page[0]
    rest: Tuple[Token, ...] = page[1:]
    names: List[str] = [owner.owner for owner in store.list_owners(root)]
    owners: Page[tokenstore.Owner] = store.list_owners(root, limit=5, cursor="")
    print(token.state, everything, first.created_at, rest, names, owners.next, store.count(root, owner="alice").active)

    nearer: Token = store.expire(alice, issued.id, at=datetime.now(timezone.utc) + timedelta(hours=1))
    ended: Token = store.revoke(alice, many[0].id, reason="lost")
    revoked: int = store.revoke_all(root, "alice", reason="left")
    print(nearer.expires_at, ended.revoked_by, revoked)
    store.remove(alice, issued.id)
    suspended: bool = store.suspend(root, "alice", reason="left").suspended
    print(suspended, store.resume(root, "alice").suspended_at, store.owner(root, "alice").may_use)
    store.set_owner(root, "alice", may_issue=False, may_use=True)

    def progress(done: int, total: Optional[int]) -> None:
        print(done, total)

    report = store.check(root, progress)
    print(report.problems, [key.key_id for key in report.keys], store.reseal(root).next, store.maintain())
    print(store.heal(root, progress).ended, store.statistics().healed)
    new_key: str = store.add_key(Actor.host())
    store.activate_key(Actor.host(), new_key)
    print([key.use for key in store.key_status(Actor.host())], store.reload_keys())
    purged = store.purge(root, ended_before=store.now() - timedelta(seconds=1), budget=timedelta(seconds=1))
    print(purged.removed, store.statistics().hits, store.why_unavailable(), store.scanner_pattern())
    key_file: Optional[Path] = store.created_key_file
    print(store.workspace, store.prefix, key_file, store.closed)
    issued.text.wipe()


def main(path: str) -> None:
    alice, root = Actor.user("alice"), Actor.administrator("root")
    keyring = Keyring.generate()
    keyring.add("0B", bytes(32), KeyUse.VERIFY_ONLY)
    durability = tokenstore.Durability.FULL
    with tokenstore.open(path, upkeep_thread=True, durability=durability, journal=Path(path + ".journal")) as store:
        use(store, root, alice)
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=timezone.utc))
    with tokenstore.open_memory(key=keyring, clock=clock, workspace="acme", cache_bytes=1 << 20) as store:
        clock.advance(timedelta(hours=1))
        try:
            store.get(alice, "0" * 16)
        except tokenstore.NotFound as error:
            status: int = error.status
            print(status, error)
    print("all of it worked")


main(sys.argv[1])
