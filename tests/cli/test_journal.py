"""A journal beside the database: what it denies, and what is said when it cannot be used."""
import shutil
import stat
import unittest

from support import CANNOT_OPEN, DAMAGED, INVALID, OK, StoreCase, id_of


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


if __name__ == "__main__":
    unittest.main()
