"""What the tests of the command share: a store in a directory of its own, and a runner.

Whatever a test is about, the runner also checks on every call what must hold on every call: that no
piece of a secret is shown, that `--json` is JSON, and that an error is one line.
"""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

COMMAND = os.environ["TOKENSTORE_CLI"]
SOURCE = pathlib.Path(__file__).resolve().parents[2]
PIECE = 8  # a leak of this many characters is a leak

OK, INVALID, USAGE, UNAVAILABLE, NOT_FOUND, REFUSED, CANNOT_OPEN, DAMAGED, UNKNOWN, CONFLICT, CANCELLED = range(11)
CLOSED = 141

TOKEN = re.compile(r"\A[a-z][a-z0-9_]*_1[0-9A-Za-z]{18}_[0-9A-Za-z]{57}\Z")
TIME = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
EXACT_TIME = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
TOKEN_FIELDS = ["id", "state", "owner", "description", "scopes", "metadata", "metadata_base64", "created_at",
                "created_by", "not_before", "expires_at", "revoked_at", "revoked_by", "revoke_reason",
                "last_used_at", "last_used_from"]
OWNER_FIELDS = ["owner", "may_issue", "may_use", "suspended", "suspended_at", "suspended_by", "suspend_reason",
                "tampered"]


def leaked_piece(secret_part, text):
    """The first piece of a secret that a text holds, or None."""
    for at in range(len(secret_part) - PIECE + 1):
        if secret_part[at:at + PIECE] in text:
            return secret_part[at:at + PIECE]
    return None


def secret_of(token):
    """What nobody may see again: all behind the public handle."""
    return token.rsplit("_", 1)[1]


def id_of(token):
    return token.rsplit("_", 2)[1][3:]


class Answer:
    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        return json.loads(self.err)["error"]


class CommandCase(unittest.TestCase):
    """Runs the command in an empty directory. `secrets` are those that no output may hold."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="tokenstore-cli-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.db = self.directory / "tokens.db"
        self.secrets = []

    def environment(self, **more):
        kept = {"PATH": os.environ["PATH"], "TOKENSTORE_DB": str(self.db)}
        kept.update({name: value for name, value in os.environ.items() if "SAN_OPTIONS" in name})
        kept.update(more)
        return kept

    def run_command(self, *args, stdin="", shows_token=False, env=None, **how):
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run([COMMAND, *map(str, args)], input=given, capture_output=True, timeout=120,
                              env=self.environment() if env is None else env, cwd=self.directory, **how)
        answer = Answer(done)
        for secret in self.secrets:
            self.assertIsNone(leaked_piece(secret, answer.err), args)
            if not shows_token:
                self.assertIsNone(leaked_piece(secret, answer.out), args)
        if "--json" in args and "--help" not in args:
            self.check_json(answer, args)
        return answer

    def check_json(self, answer, args):
        if answer.out:
            self.assertIsInstance(json.loads(answer.out), dict, args)
            self.assertEqual(answer.out.count("\n"), 1, args)
        if answer.err:
            error = answer.error
            self.assertEqual(list(error), ["status", "exit_code", "message"], args)
            self.assertEqual(error["exit_code"], answer.code, args)
        self.assertTrue(answer.out or answer.err, args)

    def succeed(self, *args, **how):
        answer = self.run_command(*args, **how)
        self.assertEqual(answer.code, OK, (args, answer.err))
        return answer

    def fail_with(self, code, *args, **how):
        """The command fails in this way, writes no answer, and says why in one line."""
        answer = self.run_command(*args, **how)
        self.assertEqual(answer.code, code, (args, answer.out, answer.err))
        self.assertEqual(answer.out, "", args)
        self.assertEqual(answer.err.count("\n"), 1, answer.err)
        if "--json" not in args:
            self.assertRegex(answer.err, r"\Atokenstore: ([^A-Z]|[A-Z]+ is )", args)
        return answer


class StoreCase(CommandCase):
    """The same with a new store."""

    def setUp(self):
        super().setUp()
        self.succeed("init", "--quiet")

    def issue(self, owner="alice", *args):
        token = self.succeed("issue", owner, "--quiet", *args, shows_token=True).out.rstrip("\n")
        self.assertRegex(token, TOKEN)
        self.secrets.append(secret_of(token))
        return token

    def validate(self, token, scope="read", *args):
        return self.run_command("validate", "--scope", scope, *args, stdin=token)

    def state(self):
        """All there is to know about the store, to see whether something changed."""
        return [self.succeed(*what, "--json", "--read-only").out for what in
                (["list", "--all"], ["owner", "list", "--all"], ["policy", "show"])]
