"""A journal beside the database: what it denies, what is said when it cannot be used, and reading it as an audit trail."""
import json
import os
import pty
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
import unittest

from support import CANCELLED, CANNOT_OPEN, CLOSED, COMMAND, DAMAGED, EXACT_TIME, INVALID, OK, REFUSED, TIME, USAGE, \
    StoreCase, id_of, leaked_piece

FIELDS = ["number", "segment", "at", "kind", "record", "workspace", "token", "key", "owner", "actor", "reason", "revision",
          "gone", "ends_at"]


class Journal(StoreCase):
    def setUp(self):
        super().setUp()
        self.journal = self.directory / "tokens.journal"

    def put_back(self, earlier):
        for suffix in ("-wal", "-shm"):
            self.db.with_name(self.db.name + suffix).unlink(missing_ok=True)
        shutil.copy(earlier, self.db)

    def test_a_database_that_was_put_back_revives_nothing(self):
        token = self.issue("alice", "--scope", "read", "--journal", self.journal)
        self.assertEqual(stat.S_IMODE(self.journal.stat().st_mode), 0o600)
        earlier = self.directory / "earlier.db"
        shutil.copy(self.db, earlier)
        self.succeed("revoke", id_of(token), "--journal", self.journal)
        self.put_back(earlier)
        self.assertEqual(self.validate(token, "read").code, OK)  # without it: the control
        denied = self.validate(token, "read", "--journal", self.journal, "--read-only")
        self.assertEqual(denied.code, INVALID)
        self.assertEqual((denied.out, denied.err), ("invalid: rolled_back\n", ""))
        named = self.environment(TOKENSTORE_JOURNAL=str(self.journal), TOKENSTORE_DB=str(self.db))
        answer = self.run_command("validate", "--scope", "read", "--json", "--read-only", stdin=token, env=named)
        self.assertEqual(answer.json["reason"], "rolled_back")
        empty = self.environment(TOKENSTORE_JOURNAL="")
        self.assertEqual(self.run_command("validate", "--scope", "read", stdin=token, env=empty).code, OK)

    def test_opening_a_database_that_was_put_back_heals_it_and_says_so(self):
        token = self.issue("alice", "--scope", "read", "--journal", self.journal)
        earlier = self.directory / "earlier.db"
        shutil.copy(self.db, earlier)
        self.succeed("revoke", id_of(token), "--journal", self.journal)
        self.put_back(earlier)
        healed = self.validate(token, "read", "--journal", self.journal)
        self.assertEqual((healed.code, healed.out), (INVALID, "invalid: revoked\n"))
        self.assertEqual(healed.err, "the database was older than its journal: put 1 record forward again from it\n")
        # The database is right without the journal, and nothing is said twice.
        self.assertEqual(self.validate(token, "read").out, "invalid: revoked\n")
        self.assertEqual(self.validate(token, "read", "--journal", self.journal).err, "")

    def test_a_single_row_that_was_put_back_is_healed_when_somebody_says_so(self):
        token = self.issue("alice", "--scope", "read", "--journal", self.journal)
        other = self.issue("alice", "--scope", "read", "--journal", self.journal)
        earlier = self.directory / "earlier.db"
        shutil.copy(self.db, earlier)
        self.succeed("revoke", id_of(token), "--journal", self.journal)
        self.succeed("revoke", id_of(other), "--journal", self.journal)
        database = sqlite3.connect(self.db)
        database.execute("ATTACH ? AS earlier", (str(earlier),))
        database.execute("DELETE FROM main.token")
        database.execute("INSERT INTO main.token SELECT * FROM earlier.token")
        database.commit()
        self.assertEqual(self.validate(token, "read").code, OK)  # the control
        database.execute("UPDATE main.token SET scopes = 'write' WHERE id = ?", (id_of(other),))
        database.commit()
        database.close()
        healed = self.run_command("journal", "heal", "--json", "--journal", self.journal)
        self.assertEqual(healed.code, DAMAGED)
        self.assertEqual(healed.json, {"looked_at": 2, "healed_at_opening": 0, "ended": 1, "removed": 0, "settings": 0,
                                       "refused": 1})
        self.assertEqual(self.validate(token, "read").out, "invalid: revoked\n")
        self.assertEqual(self.validate(other, "read").out, "invalid: tampered\n")
        said = self.run_command("journal", "heal", "--journal", self.journal)
        self.assertEqual(said.code, DAMAGED)
        self.assertIn("2 lines looked at: 0 tokens ended again", said.out)
        self.assertIn("1 are not genuine and were left", said.out)
        self.assertIn("no journal", self.fail_with(USAGE, "journal", "heal").err)
        self.fail_with(USAGE, "journal", "heal", "--read-only", "--journal", self.journal)
        self.fail_with(REFUSED, "journal", "heal", "--as", "user:alice", "--journal", self.journal)

    def test_a_journal_that_others_can_read_is_refused_and_nothing_is_changed(self):
        token = self.issue("alice", "--scope", "read", "--journal", self.journal)
        self.journal.chmod(0o644)
        refused = self.fail_with(CANNOT_OPEN, "revoke", id_of(token), "--journal", self.journal)
        self.assertIn("set its mode to 0600", refused.err)
        self.assertEqual(self.validate(token, "read").code, OK)

    def test_a_damaged_journal_and_another_stores_are_refused(self):
        token = self.issue("alice", "--scope", "read", "--journal", self.journal)
        whole = self.journal.read_bytes()
        self.journal.write_bytes(whole[:150] + bytes([whole[150] ^ 1]) + whole[151:])
        refused = self.fail_with(DAMAGED, "validate", "--scope", "read", "--journal", self.journal, stdin=token)
        self.assertIn("is damaged at octet ", refused.err)
        self.journal.write_bytes(whole)
        self.assertEqual(self.validate(token, "read", "--journal", self.journal).code, OK)
        other = self.directory / "other.db"
        self.succeed("init", "--quiet", "--db", other, "--key-file", f"{self.db}.key")
        refused = self.fail_with(CANNOT_OPEN, "list", "--db", other, "--key-file", f"{self.db}.key",
                                 "--journal", self.journal)
        self.assertIn("belongs to another store", refused.err)


class AuditTrail(StoreCase):
    def setUp(self):
        super().setUp()
        self.journal = self.directory / "tokens.journal"
        self.kept = self.environment()

    def environment(self, **more):
        return super().environment(**{"TOKENSTORE_JOURNAL": str(self.directory / "tokens.journal"), **more})

    def fill(self):
        """What is done, and the tokens."""
        first = self.issue("alice")
        second = self.issue("bob")
        self.succeed("revoke", id_of(first), "--reason", "lost", "--as", "administrator:root")
        self.succeed("owner", "suspend", "bob", "--reason", "left \u202eus")
        self.succeed("key", "add")
        return first, second

    def entries(self, *args):
        """Of --json, which is a line for each."""
        done = subprocess.run([COMMAND, "journal", "show", "--json", *map(str, args)], capture_output=True, timeout=120,
                              env=self.kept, cwd=self.directory)
        self.assertEqual((done.returncode, done.stderr), (OK, b""))
        for secret in self.secrets:
            self.assertIsNone(leaked_piece(secret, done.stdout.decode()))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def kinds(self, *args):
        return [entry["kind"] for entry in self.entries(*args)]

    def flip(self, octet):
        whole = self.journal.read_bytes()
        self.journal.write_bytes(whole[:octet] + bytes([whole[octet] ^ 1]) + whole[octet + 1:])

    def test_every_change_is_shown_with_who_when_and_why(self):
        first, second = self.fill()
        entries = [entry for entry in self.entries() if entry["kind"] != "learned"]
        self.assertEqual([entry["kind"] for entry in entries], ["issued", "issued", "revoked", "suspended", "key_added"])
        for entry in entries:
            self.assertEqual(list(entry), FIELDS)
            self.assertRegex(entry["at"], EXACT_TIME)
        revoked = entries[2]
        self.assertEqual((revoked["token"], revoked["owner"], revoked["actor"], revoked["reason"], revoked["record"]),
                         (id_of(first), "alice", "administrator:root", "lost", "token"))
        self.assertEqual((entries[3]["owner"], entries[3]["token"], entries[3]["reason"]), ("bob", None, "left \u202eus"))
        self.assertEqual(len(entries[4]["key"]), 2)
        table = self.succeed("journal", "show").out.splitlines()
        self.assertEqual(table[0].split(), ["ENTRY", "TIME", "KIND", "ID", "OWNER", "WORKSPACE", "ACTOR", "REASON"])
        at = table[0].index("KIND")
        self.assertTrue(all(line[at - 1] == " " and line[at] != " " for line in table))
        self.assertRegex(table[1].split()[1], TIME)
        # What turns the writing direction never reaches a terminal.
        self.assertNotIn("\u202e", "".join(table))
        self.assertIn("left \ufffdus", "".join(table))

    def test_what_is_asked_for_is_shown_and_nothing_else(self):
        first, second = self.fill()
        self.assertEqual(self.kinds("--owner", "alice"), ["issued", "revoked"])
        self.assertEqual(self.kinds("--token", id_of(second)), ["issued"])
        self.assertEqual(self.kinds("--actor", "root"), ["revoked"])
        self.assertEqual(self.kinds("--actor", "administrator:root"), ["revoked"])
        self.assertEqual(self.kinds("--kind", "suspended"), ["suspended"])
        self.assertEqual(self.kinds("--from", "1h", "--kind", "issued"), ["issued", "issued"])
        self.assertEqual(self.kinds("--to", "1h"), [])
        self.assertEqual(self.kinds("--workspace", "other"), [])
        self.assertEqual(self.kinds("--workspace", "default", "--kind", "revoked"), ["revoked"])
        numbers = [entry["number"] for entry in self.entries()]
        self.assertEqual([entry["number"] for entry in self.entries("--after", numbers[1])], numbers[2:])
        self.assertEqual(self.succeed("journal", "show", "--owner", "nobody").out, "")
        for wrong in (["--from", "yesterday"], ["--kind", "burnt"], ["--token", "x"], ["--after", "x"], ["--owner", ""]):
            self.fail_with(USAGE, "journal", "show", *wrong)

    def test_no_database_is_needed_but_the_key_is(self):
        self.fill()
        key = self.directory / "elsewhere.key"
        shutil.copy(f"{self.db}.key", key)
        elsewhere = {"PATH": os.environ["PATH"], "TOKENSTORE_JOURNAL": str(self.journal)}
        self.assertIn("revoked", self.succeed("journal", "show", "--key-file", key, env=elsewhere).out)
        self.assertTrue(self.succeed("journal", "verify", "--json", "--key-file", key, env=elsewhere).json["ok"])
        other = self.directory / "other.key"
        self.succeed("keygen", other)
        self.assertEqual(self.run_command("journal", "verify", "--key-file", other, env=elsewhere).code, DAMAGED)
        self.fail_with(USAGE, "journal", "verify", env=elsewhere)
        self.fail_with(USAGE, "journal", "show", env=self.environment(TOKENSTORE_JOURNAL=""))
        missing = self.environment(TOKENSTORE_JOURNAL=str(self.directory / "none"))
        self.fail_with(CANNOT_OPEN, "journal", "show", env=missing)

    def test_verify_says_where_it_is_damaged_and_accept_goes_on_from_there(self):
        first, second = self.fill()
        good = self.succeed("journal", "verify")
        self.assertRegex(good.out, r"\A\d+ entries in 1 segments are good; the last is entry \d+\n\Z")
        self.fail_with(REFUSED, "journal", "accept", "--yes")
        frames = [at for at in range(self.journal.stat().st_size) if self.journal.read_bytes()[at:at + 4] == b"TSJ1"]
        self.flip(frames[-1] + 70)
        damaged = self.journal.read_bytes()
        answer = self.run_command("journal", "verify", "--json")
        self.assertEqual(answer.code, DAMAGED)
        problem = answer.json["problems"][0]
        self.assertEqual((problem["kind"], problem["octet"], problem["accepted"]), ("damaged", frames[-1], False))
        self.assertFalse(answer.json["ok"])
        shown = self.run_command("journal", "show")
        self.assertEqual(shown.code, DAMAGED)
        self.assertIn("revoked", shown.out)
        self.assertIn(f"octet {frames[-1]}", shown.err)
        self.fail_with(DAMAGED, "list")
        self.fail_with(USAGE, "journal", "accept")
        self.fail_with(USAGE, "journal", "accept", "--yes", "--read-only")
        accepted = self.succeed("journal", "accept", "--yes", "--as", "administrator:root", "--json").json
        self.assertEqual(accepted["segment"], 2)
        self.assertEqual(accepted["kept_file"], f"{self.journal}.000001")
        self.assertEqual((self.directory / "tokens.journal.000001").read_bytes(), damaged)
        self.assertIn("accepted: ", self.succeed("journal", "verify").out)
        last = self.entries()[-1]
        self.assertEqual((last["kind"], last["actor"]), ("accepted", "administrator:root"))
        self.assertIn(f"octet {frames[-1]}", last["reason"])
        self.assertEqual(self.validate(second, "read").code, INVALID)
        self.succeed("list")

    def test_accept_asks_on_a_terminal(self):
        self.fill()
        self.flip(self.journal.stat().st_size - 40)
        for typed, code in (("n\n", CANCELLED), ("y\n", OK)):
            parent, child = pty.openpty()
            self.addCleanup(os.close, parent)
            os.write(parent, typed.encode())
            done = subprocess.run([COMMAND, "journal", "accept"], stdin=child, stderr=child, stdout=subprocess.PIPE,
                                  env=self.kept, timeout=120)
            os.close(child)
            said = os.read(parent, 100000).decode()
            self.assertEqual(done.returncode, code, said)
            self.assertIn("DAMAGED: ", said)
            self.assertIn("[y/N]", said)

    def test_follow_shows_what_is_done_from_now_on_over_a_change_of_keys_and_ends_with_its_reader(self):
        self.fill()
        following = subprocess.Popen([COMMAND, "journal", "show", "--json", "--follow", "--kind", "revoked"],
                                     stdout=subprocess.PIPE, env=self.kept)
        try:
            self.assertEqual(json.loads(following.stdout.readline())["reason"], "lost")
            for reason in ("one", "two"):
                token = self.issue("carol")
                self.succeed("revoke", id_of(token), "--reason", reason)
                self.assertEqual(json.loads(following.stdout.readline())["reason"], reason)
                added = self.succeed("key", "add", "--json").json["added"]
                self.succeed("key", "activate", added)
            following.stdout.close()
            self.assertEqual(following.wait(60), CLOSED)
        finally:
            following.kill()
            following.wait()


if __name__ == "__main__":
    unittest.main()
