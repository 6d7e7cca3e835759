"""key: the whole way of a key by commands, and what is refused on it."""
import stat
import unittest

from support import (CANNOT_OPEN, NOT_FOUND, OK, REFUSED, USAGE, StoreCase)


class Keys(StoreCase):
    def key_file(self):
        return self.directory / "tokens.db.key"

    def status(self):
        return {key["key"]: (key["use"], key["seals"], key["living_tokens"])
                for key in self.succeed("key", "status", "--json").json["keys"]}

    def test_a_key_goes_its_whole_way(self):
        old = self.issue("alice", "--scope", "read")
        self.assertEqual(self.succeed("key", "list", "--json").json, {"keys": [{"key": "0A", "use": "active"}]})
        self.assertEqual(self.status(), {"0A": ("active", 4, 1)})
        self.assertEqual(self.succeed("key", "add", "--json").json, {"added": "0B"})
        self.assertEqual(self.status(), {"0A": ("active", 4, 1), "0B": ("verify-only", 0, 0)})
        self.assertEqual(self.succeed("key", "activate", "0B", "--json").json, {"activated": "0B"})
        fresh = self.issue("alice", "--scope", "read")
        self.assertTrue(fresh.startswith("pat_10B"))
        self.assertEqual([self.validate(token).code for token in (old, fresh)], [OK, OK])
        self.fail_with(REFUSED, "key", "retire", "0A", "--yes")
        self.fail_with(REFUSED, "key", "remove", "0A", "--yes")
        self.succeed("key", "reseal")
        self.assertEqual(self.status(), {"0A": ("verify-only", 0, 1), "0B": ("active", 5, 1)})
        self.fail_with(REFUSED, "key", "remove", "0A", "--yes")
        self.assertEqual(self.succeed("key", "retire", "0A", "--yes", "--json").json, {"retired": "0A"})
        self.assertEqual(self.validate(old, "read", "--json").json["reason"], "retired_key")
        self.assertEqual(self.succeed("key", "remove", "0A", "--yes", "--json").json, {"removed": "0A"})
        self.assertEqual(self.validate(old, "read", "--json").json["reason"], "forged")
        self.assertEqual(self.validate(fresh).code, OK)
        self.assertRegex(self.succeed("key", "list").out, r"\AKEY +USE\n0B +active\n\Z")
        self.succeed("check")
        self.assertEqual(stat.S_IMODE(self.key_file().stat().st_mode), 0o600)

    def test_what_is_refused_changes_nothing(self):
        before = self.key_file().read_bytes()
        self.fail_with(REFUSED, "key", "retire", "0A", "--yes")
        self.fail_with(REFUSED, "key", "remove", "0A", "--yes")
        for command in ("activate", "retire", "remove"):
            self.fail_with(NOT_FOUND, "key", command, "0B", *(["--yes"] if command != "activate" else []))
            self.fail_with(USAGE, "key", command, "not an id")
        for args in (["add"], ["activate", "0A"], ["retire", "0A", "--yes"], ["remove", "0A", "--yes"]):
            self.fail_with(REFUSED, "--read-only", "key", *args)
            self.fail_with(REFUSED, "--as", "user:alice", "key", *args)
        self.fail_with(REFUSED, "--as", "user:alice", "key", "status")
        self.assertEqual(self.key_file().read_bytes(), before)

    def test_the_list_needs_no_database_and_shows_no_secret(self):
        self.succeed("keygen", self.directory / "alone.key")
        secret = (self.directory / "alone.key").read_text().split()[-1]
        self.secrets.append(secret)
        answer = self.succeed("--key-file", self.directory / "alone.key", "key", "list")
        self.assertRegex(answer.out, r"0A +active")
        self.fail_with(CANNOT_OPEN, "--key-file", self.directory / "none.key", "key", "list")

    def test_keys_read_only_once_cannot_be_changed(self):
        with open(self.key_file(), "rb") as keys:
            answer = self.run_command("--key-file", f"/dev/fd/{keys.fileno()}", "--key-file-trust",
                                      "inherited-descriptor", "key", "add", pass_fds=[keys.fileno()])
        self.assertNotEqual(answer.code, OK)
        self.assertIn("key file", answer.err)

if __name__ == "__main__":
    unittest.main()
