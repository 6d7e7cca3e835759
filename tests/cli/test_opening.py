"""Databases and key files that cannot be used: status 6, a clear error, and not an octet changed."""
import hashlib
import os
import shutil
import sqlite3
import stat
import unittest

from support import CANNOT_OPEN, NOT_FOUND, OK, REFUSED, USAGE, CommandCase, StoreCase, id_of

READS = (["list"], ["show", "0" * 16], ["stats"], ["check"], ["policy", "show"], ["owner", "list"])
WRITES = (["issue", "bob"], ["revoke", "0" * 16], ["owner", "suspend", "alice"], ["policy", "set", "--longest", "9d"],
          ["purge", "--before", "1d"])


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Init(CommandCase):
    def test_makes_what_is_missing_with_closed_modes_and_says_so(self):
        answer = self.succeed("init", "--json").json
        key = str(self.db) + ".key"
        self.assertEqual(answer, {"database": str(self.db), "workspace": "default", "created_database": True,
                                  "created_workspace": True, "created_key_file": key})
        for path in (self.db, key):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        again = self.succeed("init", "--json").json
        self.assertEqual((again["created_database"], again["created_workspace"], again["created_key_file"]),
                         (False, False, None))

    def test_the_key_file_is_to_be_backed_up(self):
        answer = self.succeed("init")
        self.assertIn("back it up apart", answer.err)
        self.assertIn("tokens.db.key", answer.out)

    def test_workspaces_know_nothing_of_each_other(self):
        self.succeed("init", "--quiet")
        self.fail_with(NOT_FOUND, "list", "--workspace", "acme")
        self.assertTrue(self.succeed("init", "--workspace", "acme", "--json").json["created_workspace"])
        token = self.succeed("issue", "alice", "--scope", "read", "--quiet", "--workspace", "acme",
                             shows_token=True).out.strip()
        self.assertEqual(self.succeed("list", "--json").json["tokens"], [])
        self.fail_with(NOT_FOUND, "show", id_of(token))
        self.assertNotEqual(self.run_command("validate", "-s", "read", stdin=token).code, OK)
        self.assertEqual(self.run_command("validate", "-s", "read", "--workspace", "acme", stdin=token).code, OK)

    def test_another_prefix(self):
        self.succeed("init", "--quiet")
        token = self.succeed("issue", "alice", "--quiet", "--prefix", "acme_live", shows_token=True).out
        self.assertTrue(token.startswith("acme_live_1"))

    def test_a_key_file_of_its_own(self):
        self.assertEqual(self.succeed("keygen", "main.key", "--json").json, {"created_key_file": "main.key"})
        self.assertEqual(stat.S_IMODE(os.stat(self.directory / "main.key").st_mode), 0o600)
        kept = digest(self.directory / "main.key")
        self.fail_with(CANNOT_OPEN, "keygen", "main.key")
        self.fail_with(CANNOT_OPEN, "keygen", "no/such/directory.key", "--json")
        self.assertEqual(digest(self.directory / "main.key"), kept)
        self.succeed("init", "--key-file", "main.key", "--quiet")
        self.assertFalse(os.path.exists(str(self.db) + ".key"))
        self.succeed("issue", "alice", "--key-file", "main.key", shows_token=True)
        self.fail_with(CANNOT_OPEN, "list")

    def test_nothing_but_init_makes_a_database(self):
        for command in (*READS, *WRITES):
            self.fail_with(CANNOT_OPEN, *command)
            self.fail_with(CANNOT_OPEN, *command, "--json")
        self.assertEqual(os.listdir(self.directory), [])

    def test_init_and_read_only_contradict_each_other(self):
        self.fail_with(USAGE, "init", "--read-only")
        self.assertEqual(os.listdir(self.directory), [])


class Unusable(CommandCase):
    """Everything is tried with every command, `init` too."""

    def refuse_everything(self, path, *options, code=CANNOT_OPEN):
        kept = digest(path) if path.is_file() else None
        listed = sorted(os.listdir(self.directory))
        for command in (*READS, *WRITES, ["init"]):
            self.fail_with(code, "--db", path, *options, *command)
            self.fail_with(code, "--db", path, *options, *command, "--json")
        self.assertEqual(digest(path) if path.is_file() else None, kept)
        self.assertEqual(sorted(os.listdir(self.directory)), listed)

    def test_paths_that_cannot_be_opened(self):
        (self.directory / "file").write_text("")
        for path in ("missing/tokens.db", "file/tokens.db", "."):
            self.refuse_everything(self.directory / path)

    def test_a_file_that_is_no_database(self):
        path = self.directory / "notes.txt"
        path.write_text("all my notes\n" * 1000)
        self.refuse_everything(path)

    def test_another_applications_database(self):
        path = self.directory / "other.db"
        base = sqlite3.connect(path)
        base.execute("CREATE TABLE token(id TEXT PRIMARY KEY, owner TEXT)")
        base.commit()
        base.close()
        self.refuse_everything(path)

    def changed(self, statement):
        self.succeed("init", "--quiet")
        base = sqlite3.connect(self.db)
        base.execute(statement)
        base.commit()
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.close()

    def test_a_newer_schema(self):
        self.changed("PRAGMA user_version = 1000000")
        self.refuse_everything(self.db)
        self.assertEqual(self.run_command("list", "--json").error["status"], "newer_schema")

    def test_another_application_id(self):
        self.changed("PRAGMA application_id = 1")
        self.refuse_everything(self.db)
        self.assertEqual(self.run_command("list", "--json").error["status"], "not_a_store")


class Keys(StoreCase):
    def setUp(self):
        super().setUp()
        self.key = self.directory / "tokens.db.key"
        self.token = self.issue("alice", "--scope", "read")

    def refuse_everything(self):
        kept = digest(self.db)
        for command in (*READS, *WRITES, ["init"]):
            answer = self.fail_with(CANNOT_OPEN, *command)
            self.assertNotIn("0A active", answer.err)
        answer = self.run_command("validate", "--scope", "read", stdin=self.token)
        self.assertEqual((answer.code, answer.out), (CANNOT_OPEN, ""))
        self.assertEqual(digest(self.db), kept)

    def test_a_missing_key_file_is_not_replaced(self):
        self.key.unlink()
        self.refuse_everything()
        self.assertFalse(self.key.exists())

    def test_another_key(self):
        self.key.unlink()
        self.succeed("keygen", self.key, "--quiet")
        self.refuse_everything()
        self.assertEqual(self.run_command("list", "--json").error["status"], "wrong_key")

    def test_a_key_file_that_was_cut_off_or_is_something_else(self):
        whole = self.key.read_bytes()
        for octets in (whole[:-10], whole[: len(whole) // 2], b"", b"\0" * 100, whole * 2, b"x" * 100_000):
            self.key.write_bytes(octets)
            self.refuse_everything()
        self.key.write_bytes(whole)
        self.succeed("list")

    def test_a_key_file_that_others_can_read(self):
        for mode in (0o644, 0o640, 0o604, 0o660):
            self.key.chmod(mode)
            self.refuse_everything()
        self.key.chmod(0o600)
        self.succeed("list")

    def test_a_key_file_that_is_a_directory_or_a_link_to_nothing(self):
        self.key.rename(self.directory / "moved")
        self.key.symlink_to(self.directory / "moved")
        self.succeed("list")
        self.key.unlink()
        self.key.symlink_to(self.directory / "nowhere")
        self.refuse_everything()
        self.key.unlink()
        self.key.mkdir(mode=0o700)
        self.refuse_everything()


class ReadOnly(StoreCase):
    def unprivileged(self):
        """Modes mean nothing to root, so root runs the command as nobody."""
        if os.geteuid() != 0:
            return {}
        for path in (self.directory, *self.directory.iterdir()):
            os.chown(path, 65534, 65534)
        shutil.copy(os.environ["TOKENSTORE_CLI"], self.directory / "command")
        os.chmod(self.directory / "command", 0o755)
        return {"user": 65534, "group": 65534, "extra_groups": [], "executable": str(self.directory / "command")}

    def test_reads_work_and_writes_are_refused(self):
        token = self.issue("alice", "--scope", "read")
        before = self.state()
        self.assertEqual(self.validate(token, "read", "--read-only").code, OK)
        for command in (["issue", "bob"], ["revoke", id_of(token)], ["expire", id_of(token)], ["owner", "suspend", "alice"],
                        ["delete", id_of(token), "--yes"], ["policy", "set", "--longest", "9d"]):
            self.fail_with(REFUSED, "--read-only", *command)
            told = self.fail_with(REFUSED, "--read-only", *command, "--json").error
            self.assertEqual(told["status"], "read_only")
        self.assertEqual(self.state(), before)

    def test_a_directory_that_cannot_be_written(self):
        token = self.issue("alice", "--scope", "read")
        as_nobody = self.unprivileged()
        for path in self.directory.glob("tokens.db*"):
            path.chmod(0o400)
        self.directory.chmod(0o555)
        self.addCleanup(self.directory.chmod, 0o755)
        self.succeed("list", "--read-only", **as_nobody)
        answer = self.run_command("validate", "--scope", "read", "--read-only", stdin=token, **as_nobody)
        self.assertEqual(answer.code, OK, answer.err)
        refused = self.run_command("issue", "bob", **as_nobody)
        self.assertIn(refused.code, (REFUSED, CANNOT_OPEN))
        self.assertEqual(refused.out, "")
        self.fail_with(CANNOT_OPEN, "--db", self.directory / "new.db", "init", **as_nobody)


if __name__ == "__main__":
    unittest.main()
