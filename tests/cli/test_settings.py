"""Owners, policy, check and stats."""
import sqlite3
import unittest

from support import (DAMAGED, INVALID, NOT_FOUND, OK, OWNER_FIELDS, REFUSED, USAGE, StoreCase, id_of)


class Owners(StoreCase):
    def test_suspend_stops_every_token_and_resume_lets_them_work_again(self):
        token = self.issue("alice", "--scope", "read")
        answer = self.succeed("owner", "suspend", "alice", "--reason", "audit", "--json").json
        self.assertEqual(list(answer), OWNER_FIELDS)
        self.assertEqual((answer["suspended"], answer["suspend_reason"], answer["suspended_by"]),
                         (True, "audit", "host"))
        self.assertEqual(self.validate(token, "read", "--json").json["reason"], "owner_suspended")
        self.assertIn("audit", self.succeed("owner", "show", "alice").out)
        self.succeed("owner", "resume", "alice", "--quiet")
        self.assertEqual(self.validate(token).code, OK)
        self.assertRegex(self.succeed("owner", "show", "alice").out, r"suspended +no\n")

    def test_allow_sets_what_is_given_and_keeps_the_rest(self):
        token = self.issue("alice", "--scope", "read")
        self.succeed("owner", "allow", "alice", "--use", "no")
        self.assertEqual(self.validate(token, "read", "--json").json["reason"], "owner_may_not_use")
        shown = self.succeed("owner", "allow", "alice", "--issue", "no", "--json").json
        self.assertEqual((shown["may_issue"], shown["may_use"]), (False, False))
        self.fail_with(REFUSED, "issue", "--as", "user:alice")
        self.issue("alice")  # the host still may
        self.succeed("owner", "allow", "alice", "--issue", "yes", "--use", "yes")
        self.assertEqual(self.validate(token).code, OK)
        self.succeed("owner", "allow", "new owner", "--issue", "no")
        self.fail_with(REFUSED, "issue", "--as", "administrator:new owner", "--json")

    def test_revoke_all_ends_every_token_of_one_owner(self):
        tokens = [self.issue("alice", "--scope", "read") for _ in range(3)]
        other = self.issue("bob", "--scope", "read")
        answer = self.succeed("owner", "revoke-all", "alice", "--reason", "left", "--yes", "--json").json
        self.assertEqual(answer, {"owner": "alice", "revoked": 3})
        self.assertEqual([self.validate(token).code for token in (*tokens, other)], [INVALID] * 3 + [OK])
        self.assertEqual(self.succeed("owner", "revoke-all", "alice").out, "revoked 0 of alice\n")

    def test_list_by_name_with_pages(self):
        for owner in ("carol", "alice", "bob"):
            self.issue(owner)
        self.succeed("owner", "suspend", "bob", "--quiet")
        self.assertEqual(self.succeed("owner", "list", "--quiet").out.split(), ["alice", "bob", "carol"])
        self.assertRegex(self.succeed("owner", "list").out, r"bob +suspended +yes +yes +\d{4}")
        page = self.succeed("owner", "list", "--limit", "2", "--json").json
        self.assertEqual([owner["owner"] for owner in page["owners"]], ["alice", "bob"])
        page = self.succeed("owner", "list", "--cursor", page["next"], "--json").json
        self.assertEqual(([owner["owner"] for owner in page["owners"]], page["next"]), (["carol"], None))

    def test_an_owner_may_be_called_as_a_command_is(self):
        for name in ("list", "show", "issue", "-dash", "a b", "'; DROP TABLE token; --"):
            token = self.succeed("issue", "--quiet", "--scope", "read", "--", name, shows_token=True).out.strip()
            self.assertEqual(self.validate(token, "read", "--json").json["owner"], name)
            self.assertEqual(self.succeed("owner", "show", "--json", "--", name).json["owner"], name)

    def test_an_unknown_owner_is_not_found(self):
        self.fail_with(NOT_FOUND, "owner", "show", "nobody")
        self.fail_with(NOT_FOUND, "owner", "show", "nobody", "--json")


class Policy(StoreCase):
    def test_show_and_set(self):
        shown = self.succeed("policy", "show", "--json").json
        self.assertEqual(shown, {"tokens_enabled": True, "users_may_issue": True, "never_allowed": False,
                                 "longest_lifetime_ms": 366 * 86400000, "default_lifetime_ms": 90 * 86400000,
                                 "most_active_per_owner": None})
        self.succeed("policy", "set", "--longest", "30d", "--default", "12h", "--most-active", "2")
        shown = self.succeed("policy", "set", "--never-allowed", "yes", "--json").json
        self.assertEqual((shown["longest_lifetime_ms"], shown["default_lifetime_ms"], shown["most_active_per_owner"],
                          shown["never_allowed"]), (30 * 86400000, 12 * 3600000, 2, True))
        self.assertRegex(self.succeed("policy", "show").out, r"longest lifetime +30 days\n(.*\n)*most active.* 2\n")
        self.assertIsNone(self.succeed("policy", "set", "--longest", "unlimited", "--json").json["longest_lifetime_ms"])

    def test_its_rules_hold(self):
        self.succeed("policy", "set", "--most-active", "1", "--longest", "10d", "--quiet")
        token = self.issue("alice", "--scope", "read", "--lifetime", "10d")
        self.fail_with(REFUSED, "issue", "alice")
        self.fail_with(REFUSED, "issue", "bob", "--lifetime", "11d")
        self.succeed("policy", "set", "--users-may-issue", "no", "--quiet")
        self.fail_with(REFUSED, "issue", "--as", "user:carol")
        self.succeed("policy", "set", "--tokens-enabled", "no", "--quiet")
        self.assertEqual(self.validate(token, "read", "--json").json["reason"], "tokens_disabled")

    def test_only_administrators_and_the_host_set_it(self):
        before = self.state()
        self.fail_with(REFUSED, "policy", "set", "--never-allowed", "yes", "--as", "user:alice")
        self.fail_with(REFUSED, "owner", "suspend", "bob", "--as", "user:alice", "--json")
        self.assertEqual(self.state(), before)
        self.succeed("policy", "set", "--never-allowed", "yes", "--as", "administrator:root")

    def test_wrong_values_change_nothing(self):
        before = self.state()
        for wrong in ([], ["--longest", "-1"], ["--longest", "never"], ["--longest", "0"], ["--default", "unlimited"],
                      ["--most-active", "-1"], ["--most-active", "4294967296"], ["--tokens-enabled", "maybe"],
                      ["--never-allowed", "yes", "--longest", "99999999999999999999d"]):
            self.fail_with(USAGE, "policy", "set", *wrong)
            self.fail_with(USAGE, "policy", "set", "--json", *wrong)
        self.assertEqual(self.state(), before)


class Upkeep(StoreCase):
    def tamper(self):
        base = sqlite3.connect(self.db)
        self.addCleanup(base.close)
        tables = [name for name, in base.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        changed = 0
        for table in tables:
            columns = [row[1] for row in base.execute(f"PRAGMA table_info({table})")]
            if "description" in columns:
                changed += base.execute(f"UPDATE {table} SET description = 'mine' WHERE owner = 'alice'").rowcount
        base.commit()
        self.assertEqual(changed, 1)

    def test_check_of_a_sound_store(self):
        self.issue()
        answer = self.succeed("check", "--json").json
        self.assertEqual(answer, {"ok": True, "tokens": 1, "owners": 1, "problem_count": 0, "problems": [],
                                  "keys": [{"key": "0A", "seals": 4, "living_tokens": 1}]})
        self.assertIn("sound", self.succeed("check").out)
        self.assertEqual(self.succeed("check", "--quiet").out, "")

    def test_check_finds_a_changed_record(self):
        token = self.issue("alice", "--scope", "read")
        self.issue("bob")
        self.tamper()
        answer = self.run_command("check", "--json")
        self.assertEqual((answer.code, answer.json["ok"], answer.json["problem_count"]), (DAMAGED, False, 1))
        self.assertIn(id_of(token), answer.json["problems"][0])
        self.assertEqual(self.run_command("check").code, DAMAGED)
        self.assertEqual(self.fail_with(DAMAGED, "show", id_of(token), "--json").error["status"], "tampered")
        self.assertRegex(self.succeed("list").out, rf"{id_of(token)}  tampered  -  ")
        self.assertNotIn("mine", self.succeed("list").out)
        listed = {token["id"]: token for token in self.succeed("list", "--json").json["tokens"]}
        self.assertEqual((listed[id_of(token)]["state"], listed[id_of(token)]["owner"]), ("tampered", None))
        self.assertEqual(self.validate(token, "read", "--json").json["reason"], "tampered")

    def test_stats(self):
        self.issue()
        self.succeed("revoke", id_of(self.issue()), "--quiet")
        answer = self.succeed("stats", "--json").json
        self.assertEqual(list(answer), ["database", "workspace", "prefix", "database_bytes", "log_bytes", "tokens"])
        self.assertEqual(answer["tokens"], {"active": 1, "pending": 0, "expired": 0, "revoked": 1, "total": 2})
        self.assertGreater(answer["database_bytes"] + answer["log_bytes"], 0)
        self.assertRegex(self.succeed("stats").out, r"active +1\n")


if __name__ == "__main__":
    unittest.main()
