"""backup and restore: what they say, what they replace, and what they leave."""
import os
import stat

from support import CANNOT_OPEN, CONFLICT, DAMAGED, OK, REFUSED, USAGE, EXACT_TIME, StoreCase, id_of


class Backup(StoreCase):
    def setUp(self):
        super().setUp()
        self.place = self.directory / "tokens.backup"

    def names(self):
        return sorted(path.name for path in self.directory.iterdir())

    def test_a_store_comes_back_with_what_is_lost_and_kept(self):
        token = self.issue("alice", "--scope", "read")
        made = self.succeed("backup", self.place, "--json").json
        self.assertEqual((made["workspaces"], made["owners"], made["tokens"]), (1, 1, 1))
        self.assertRegex(made["made_at"], EXACT_TIME)
        self.assertEqual(stat.S_IMODE(os.stat(self.place).st_mode), 0o600)
        self.succeed("revoke", id_of(token))
        refused = self.fail_with(CONFLICT, "restore", self.place)
        self.assertIn("1 endings", refused.err)
        before = set(self.names())
        done = self.succeed("restore", self.place, "--overwrite")
        self.assertIn("lost since the backup: 1 endings and 0 suspensions", done.out)
        self.assertIn("open the store again", done.err)
        kept = next(name for name in set(self.names()) - before if "before-restore" in name)
        self.assertIn(kept, done.out)
        self.assertEqual(self.validate(token).code, OK)
        self.succeed("check")
        # The kept file is the old store.
        key = ["--key-file", str(self.db) + ".key"]
        self.assertEqual(self.succeed("--db", self.directory / kept, *key, "show", id_of(token), "--json").json["state"],
                         "revoked")
        # With nothing to lose it needs no word.
        again = self.succeed("restore", self.place, "--json").json
        self.assertEqual((again["compared"], again["lost_endings"], again["tokens"]), (True, 0, 1))

    def test_what_the_journal_knows_does_not_live_again(self):
        journal = ["--journal", self.directory / "tokens.journal"]
        ended = self.issue("alice", "--scope", "read", *journal)
        gone = self.issue("bob", "--scope", "read", *journal)
        lives = self.issue("carol", "--scope", "read", *journal)
        self.succeed("backup", self.place)
        self.succeed("revoke", id_of(ended), "--reason", "lost", *journal)
        self.succeed("delete", id_of(gone), "--yes", *journal)
        self.succeed("owner", "suspend", "dora", *journal)
        # With all that it would undo in the journal, nothing is lost.
        done = self.succeed("restore", self.place, *journal)
        self.assertIn("put forward again from the journal: 3 records\n", done.out)
        self.assertIn("lost since the backup: 0 endings and 0 suspensions, which hold no more; 0 new tokens and 0 other "
                      "changes\n", done.out)
        # Without asking the journal again.
        self.assertEqual(self.validate(ended, "read").out, "invalid: revoked\n")
        self.assertEqual(self.validate(gone, "read").out, "invalid: unknown\n")
        self.assertEqual(self.validate(lives, "read").code, OK)
        self.assertTrue(self.succeed("owner", "show", "dora", "--json").json["suspended_at"])
        self.assertEqual(self.succeed("show", id_of(ended), "--json").json["revoke_reason"], "lost")
        self.assertEqual(self.validate(lives, "read", *journal).err, "")
        # Once more, and with a new token that would be lost.
        self.issue("alice", "--scope", "read", *journal)
        self.assertIn("0 endings, 0 suspensions, 1 new tokens", self.fail_with(CONFLICT, "restore", self.place, *journal).err)
        again = self.succeed("restore", self.place, "--overwrite", "--json", *journal).json
        self.assertEqual((again["healed"], again["lost_endings"], again["lost_tokens"]), (3, 0, 1))
        # The control: without the journal they live again.
        self.assertIsNone(self.succeed("restore", self.place, "--overwrite", "--json").json["healed"])
        self.assertEqual(self.validate(ended, "read").code, OK)
        self.assertEqual(self.validate(gone, "read").code, OK)

    def test_a_journal_that_cannot_be_used_ends_the_restoring_and_nothing_has_happened(self):
        journal = self.directory / "tokens.journal"
        token = self.issue("alice", "--scope", "read", "--journal", journal)
        self.succeed("backup", self.place)
        self.succeed("revoke", id_of(token), "--journal", journal)
        whole = journal.read_bytes()
        journal.write_bytes(whole[:150] + bytes([whole[150] ^ 1]) + whole[151:])
        before = self.names()
        refused = self.fail_with(DAMAGED, "restore", self.place, "--overwrite", "--journal", journal)
        self.assertIn("is damaged at octet ", refused.err)
        self.assertEqual(self.names(), before)
        self.assertEqual(self.validate(token, "read").out, "invalid: revoked\n")

    def test_into_an_empty_place_nothing_is_kept(self):
        self.issue()
        self.succeed("backup", self.place, "--quiet")
        target = self.directory / "other.db"
        done = self.succeed("--db", target, "--key-file", str(self.db) + ".key", "restore", self.place, "--json").json
        self.assertEqual((done["kept_file"], done["lost_endings"], done["compared"]), (None, None, False))
        self.assertEqual(stat.S_IMODE(os.stat(target).st_mode), 0o600)
        self.succeed("--db", target, "--key-file", str(self.db) + ".key", "check")

    def test_a_backup_replaces_a_backup_if_told_and_nothing_else(self):
        self.succeed("backup", self.place, "--quiet")
        self.fail_with(CONFLICT, "backup", self.place)
        self.succeed("backup", self.place, "--overwrite", "--quiet")
        self.fail_with(CONFLICT, "backup", self.db, "--overwrite")
        self.succeed("check")

    def test_what_is_no_whole_backup_is_refused(self):
        self.issue()
        self.succeed("backup", self.place, "--quiet")
        whole = self.place.read_bytes()
        self.place.write_bytes(whole[:-1])
        self.assertIn("cut short", self.fail_with(CANNOT_OPEN, "restore", self.place, "--overwrite").err)
        self.place.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
        self.assertIn("altered", self.fail_with(DAMAGED, "restore", self.place, "--overwrite").err)
        self.fail_with(CANNOT_OPEN, "restore", self.directory / "missing")
        self.fail_with(CANNOT_OPEN, "--db", self.place, "--key-file", str(self.db) + ".key", "list")
        self.place.write_bytes(whole)
        self.succeed("restore", self.place, "--quiet")

    def test_another_store_is_never_replaced(self):
        self.succeed("backup", self.place, "--quiet")
        other = self.directory / "other.db"
        key = ["--key-file", str(self.db) + ".key"]
        self.succeed("--db", other, *key, "init", "--quiet")
        self.fail_with(REFUSED, "--db", other, *key, "restore", self.place, "--overwrite")

    def test_options_that_do_not_fit_are_refused(self):
        self.succeed("backup", self.place, "--quiet")
        self.fail_with(USAGE, "restore", self.place, "--delete-extra")
        self.fail_with(USAGE, "--read-only", "restore", self.place)
        self.fail_with(USAGE, "backup")
