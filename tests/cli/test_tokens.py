"""A token's life: issue, list, show, validate, expire, revoke, delete, purge."""
import base64
import time
import unittest

from support import (EXACT_TIME, INVALID, NOT_FOUND, OK, REFUSED, TIME, TOKEN, TOKEN_FIELDS, USAGE, StoreCase, id_of,
                     secret_of)


class Issue(StoreCase):
    def test_the_token_is_on_standard_output_once_and_a_notice_on_standard_error(self):
        answer = self.succeed("issue", "alice", "--scope", "read", "--description", "nightly", shows_token=True)
        token = answer.out.rstrip("\n")
        self.assertRegex(token, TOKEN)
        self.assertEqual(answer.out.count(token), 1)
        self.assertIn("shown once", answer.err)
        self.assertIn("nightly", answer.err)
        self.assertNotIn(secret_of(token)[:8], answer.err)

    def test_quiet_prints_the_token_alone(self):
        answer = self.succeed("issue", "alice", "--scope", "read", "--quiet", shows_token=True)
        self.assertRegex(answer.out, TOKEN.pattern.replace(r"\Z", r"\n\Z"))
        self.assertEqual(answer.err, "")

    def test_json_holds_the_token_and_every_field(self):
        answer = self.succeed("issue", "alice", "--scope", "write", "--scope", "read", "--description", "d",
                              "--lifetime", "2h", "--json", shows_token=True)
        self.assertEqual(answer.err, "")
        self.assertEqual(list(answer.json), ["token", *TOKEN_FIELDS])
        self.assertRegex(answer.json["token"], TOKEN)
        self.assertEqual(answer.json["id"], id_of(answer.json["token"]))
        self.assertEqual(answer.json["scopes"], ["read", "write"])
        self.assertEqual(answer.json["state"], "active")
        self.assertEqual(answer.json["created_by"], "host")
        for field in ("created_at", "not_before", "expires_at"):
            self.assertRegex(answer.json[field], EXACT_TIME)
        for field in ("revoked_at", "revoked_by", "revoke_reason", "last_used_at", "last_used_from", "metadata"):
            self.assertIsNone(answer.json[field])

    def test_one_scope_option_may_hold_several_words(self):
        token = self.issue("alice", "--scope", "read  write", "-s", "admin")
        shown = self.succeed("show", id_of(token), "--json").json
        self.assertEqual(shown["scopes"], ["admin", "read", "write"])

    def test_an_option_takes_one_value_so_that_the_owner_may_stand_behind_it(self):
        answer = self.succeed("issue", "--scope", "read", "alice", "--json", shows_token=True)
        self.assertEqual((answer.json["owner"], answer.json["scopes"]), ("alice", ["read"]))

    def test_lifetimes_in_every_unit(self):
        self.succeed("policy", "set", "--never-allowed", "yes", "--quiet")
        units = {"100s": 100, "30m": 1800, "12h": 43200, "2d": 172800, "2w": 1209600, "3": 3 * 86400,
                 "default": 90 * 86400, "0": 90 * 86400}
        for lifetime, seconds in units.items():
            token = self.issue("alice", "--lifetime", lifetime)
            shown = self.succeed("show", id_of(token), "--json").json
            self.assertEqual(span(shown["created_at"], shown["expires_at"]), seconds, lifetime)
        for lifetime in ("never", "-1"):
            token = self.issue("alice", "--lifetime", lifetime)
            self.assertIsNone(self.succeed("show", id_of(token), "--json").json["expires_at"])
            self.assertRegex(self.succeed("show", id_of(token)).out, r"expires +never\n")

    def test_never_is_refused_where_policy_does_not_allow_it(self):
        self.fail_with(REFUSED, "issue", "alice", "--lifetime", "never")
        self.fail_with(REFUSED, "issue", "alice", "--lifetime", "-1", "--json")

    def test_metadata_comes_back_from_validate(self):
        octets = bytes(range(256))
        (self.directory / "octets").write_bytes(octets)
        binary = self.issue("alice", "--scope", "read", "--metadata-file", "octets")
        answer = self.validate(binary, "read", "--json")
        self.assertIsNone(answer.json["metadata"])
        self.assertEqual(base64.b64decode(answer.json["metadata_base64"]), octets)
        self.assertIn("256 octets", self.validate(binary).out)
        text = self.issue("alice", "--scope", "read", "--metadata", "tier=gold")
        self.assertEqual(self.validate(text, "read", "--json").json["metadata"], "tier=gold")
        self.assertIn("tier=gold", self.validate(text).out)

    def test_a_token_without_a_scope_is_issued_with_a_warning(self):
        answer = self.succeed("issue", "alice", shows_token=True)
        self.assertIn("grants nothing", answer.err)
        self.assertEqual(self.validate(answer.out.strip()).code, INVALID)

    def test_a_user_may_leave_the_owner_out_and_may_name_no_other(self):
        answer = self.succeed("issue", "--as", "user:bob", "--scope", "read", "--json", shows_token=True)
        self.assertEqual((answer.json["owner"], answer.json["created_by"]), ("bob", "user:bob"))
        refused = self.run_command("issue", "alice", "--as", "user:bob")
        self.assertIn(refused.code, (REFUSED, NOT_FOUND))
        self.assertEqual(refused.out, "")


def span(start, end):
    from datetime import datetime
    form = "%Y-%m-%dT%H:%M:%S.%fZ"
    return (datetime.strptime(end, form) - datetime.strptime(start, form)).total_seconds()


class Validate(StoreCase):
    def test_a_valid_token(self):
        token = self.issue("alice", "--scope", "read")
        answer = self.validate(token + "\n")
        self.assertEqual(answer.code, OK)
        self.assertTrue(answer.out.startswith("valid\n"))
        self.assertIn("alice", answer.out)
        answer = self.validate(token + "\r\n", "read", "--json")
        self.assertEqual(answer.code, OK)
        self.assertEqual(list(answer.json), ["outcome", "reason", "http_status", "id", "owner", "scopes", "metadata",
                                             "metadata_base64", "expires_at"])
        self.assertEqual((answer.json["outcome"], answer.json["reason"], answer.json["http_status"]),
                         ("valid", None, 200))

    def test_quiet_says_it_with_the_exit_status_alone(self):
        token = self.issue("alice", "--scope", "read")
        for text, code in ((token, OK), (token[:-1], INVALID)):
            answer = self.validate(text, "read", "--quiet")
            self.assertEqual((answer.code, answer.out, answer.err), (code, "", ""))

    def test_a_missing_scope_can_be_told_from_a_bad_token(self):
        token = self.issue("alice", "--scope", "read")
        answer = self.validate(token, "write")
        self.assertEqual(answer.code, INVALID)
        self.assertTrue(answer.out.startswith("invalid: insufficient_scope"))
        self.assertIn("alice", answer.out)
        answer = self.validate(token, "write", "--json")
        self.assertEqual((answer.code, answer.json["reason"], answer.json["http_status"], answer.json["owner"]),
                         (INVALID, "insufficient_scope", 403, "alice"))

    def test_malformed_texts_are_invalid_and_not_repeated(self):
        token = self.issue("alice", "--scope", "read")
        for bad in ("", "\n", " " + token, token + " ", token + "\n\n", token[:-1], token + "x", token.upper(),
                    "Bearer " + token, token.replace("pat_", "tap_"), "x" * 100_000, "pat_", "\0" * 90,
                    token + "\r", token[:40] + "\n" + token[40:]):
            answer = self.validate(bad, "read", "--json")
            self.assertEqual((answer.code, answer.json["reason"], answer.json["owner"]), (INVALID, "malformed", None))
        answer = self.run_command("validate", "--scope", "read", stdin=b"\xff\xfe" * 45)
        self.assertEqual((answer.code, answer.out), (INVALID, "invalid: malformed\n"))

    def test_a_client_address_is_noted_and_read_only_notes_nothing(self):
        token = self.issue("alice", "--scope", "read")
        self.assertEqual(self.validate(token, "read", "--client-address", "192.0.2.7", "--read-only").code, OK)
        self.assertIsNone(self.succeed("show", id_of(token), "--json").json["last_used_at"])
        self.assertEqual(self.validate(token, "read", "--client-address", "192.0.2.7").code, OK)
        shown = self.succeed("show", id_of(token), "--json").json
        self.assertEqual(shown["last_used_from"], "192.0.2.7")
        self.assertRegex(shown["last_used_at"], EXACT_TIME)
        self.assertIn("192.0.2.7", self.succeed("show", id_of(token)).out)


class List(StoreCase):
    def test_the_table_lines_up_for_wide_and_combining_characters(self):
        for owner in ("alice", "日本語の人", "e\u0301toile", "Ωmega"):
            self.issue(owner, "--scope", "read", "--description", "about " + owner)
        lines = self.succeed("list").out.splitlines()
        self.assertTrue(lines[0].startswith("ID "))
        # With the space: an id may have a "20" of its own.
        self.assertEqual(len({columns_before(line, " 20" if at else " CREATED") for at, line in enumerate(lines)}), 1)

    def test_newest_first_whole_ids_and_no_wrapping_in_a_pipe(self):
        ids = [id_of(self.issue("alice", "--description", "x" * 300)) for _ in range(3)]
        rows = self.succeed("list").out.splitlines()[1:]
        self.assertEqual([row.split()[0] for row in rows], ids[::-1])
        self.assertTrue(all(row.endswith("x" * 300) for row in rows))

    def test_quiet_prints_the_ids_alone(self):
        ids = [id_of(self.issue()) for _ in range(3)]
        answer = self.succeed("list", "--quiet")
        self.assertEqual((answer.out.split(), answer.err), (ids[::-1], ""))

    def test_pages_go_on_where_the_last_one_ended(self):
        ids = [id_of(self.issue()) for _ in range(5)]
        seen, cursor, pages = [], [], 0
        while True:
            page = self.succeed("list", "--limit", "2", "--json", *cursor).json
            self.assertEqual([list(token) for token in page["tokens"]], [TOKEN_FIELDS] * len(page["tokens"]))
            seen += [token["id"] for token in page["tokens"]]
            pages += 1
            if page["next"] is None:
                break
            cursor = ["--cursor", page["next"]]
        self.assertEqual(seen, ids[::-1])
        self.assertGreaterEqual(pages, 3)
        everything = self.succeed("list", "--all", "--json").json
        self.assertEqual(([token["id"] for token in everything["tokens"]], everything["next"]), (ids[::-1], None))
        self.assertIn("--cursor ", self.succeed("list", "-n", "2").err)

    def test_filters_by_owner_state_and_text_which_is_literal(self):
        kept = self.issue("alice", "--description", "100% Real_deal")
        self.issue("bob", "--description", "1000 realXdeal")
        self.succeed("revoke", id_of(self.issue("alice", "--description", "gone")), "--quiet")
        for filters in (["--owner", "alice", "--state", "active"], ["--text", "100%"], ["--text", "REAL_DEAL"]):
            self.assertEqual(self.succeed("list", "--quiet", *filters).out.split(), [id_of(kept)], filters)
        answer = self.succeed("list", "--owner", "nobody")
        self.assertEqual((answer.out, answer.err), ("", "no tokens\n"))
        self.assertEqual(self.succeed("list", "--owner", "nobody", "--json").json, {"tokens": [], "next": None})

    def test_count_tells_the_states(self):
        self.issue("alice")
        self.succeed("revoke", id_of(self.issue("bob")), "--quiet")
        self.assertEqual(self.succeed("list", "--count", "--json").json,
                         {"active": 1, "pending": 0, "expired": 0, "revoked": 1, "total": 2})
        self.assertRegex(self.succeed("list", "--count", "--owner", "alice").out, r"active +1\n(.*\n)*total +1\n")


def columns_before(line, mark):
    """Columns that a terminal uses up to the first `mark`."""
    import unicodedata
    width = 0
    for character in line[:line.index(mark)]:
        if not unicodedata.combining(character):
            width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


class End(StoreCase):
    def test_expire_brings_the_end_forward_and_never_back(self):
        token = self.issue("alice", "--scope", "read", "--lifetime", "2d")
        sooner = self.succeed("expire", id_of(token), "--in", "1h", "--json").json
        self.assertEqual(sooner["state"], "active")
        self.fail_with(USAGE, "expire", id_of(token), "--in", "3h")
        self.fail_with(USAGE, "expire", id_of(token), "--at", "2099-01-01", "--json")
        self.assertEqual(self.validate(token).code, OK)
        self.assertRegex(self.succeed("expire", id_of(token)).out, r"state +expired")
        self.assertEqual(self.validate(token, "read", "--json").json["reason"], "expired")

    def test_revoke_keeps_the_record_with_who_when_and_why(self):
        token = self.issue("alice", "--scope", "read")
        answer = self.succeed("revoke", id_of(token), "--reason", "laptop lost", "--as", "administrator:root", "--json")
        self.assertEqual((answer.json["state"], answer.json["revoked_by"], answer.json["revoke_reason"]),
                         ("revoked", "administrator:root", "laptop lost"))
        self.assertEqual(self.validate(token, "read", "--json").json["reason"], "revoked")
        self.assertIn("laptop lost", self.succeed("show", id_of(token)).out)
        again = self.succeed("revoke", id_of(token), "--reason", "other", "--json").json
        self.assertEqual(again["revoke_reason"], "laptop lost")

    def test_delete_removes_the_record_and_answers_not_found_the_second_time(self):
        token = self.issue("alice", "--scope", "read")
        self.assertEqual(self.succeed("delete", id_of(token), "--json", "--yes").json, {"deleted": id_of(token)})
        self.fail_with(NOT_FOUND, "delete", id_of(token), "--yes")
        self.fail_with(NOT_FOUND, "show", id_of(token), "--json")
        self.assertEqual(self.validate(token, "read", "--json").json["reason"], "unknown")
        other = self.issue()
        self.assertEqual(self.succeed("delete", id_of(other)).out, f"deleted {id_of(other)}\n")
        self.assertEqual(self.succeed("delete", id_of(self.issue()), "--quiet").out, "")

    def test_purge_deletes_what_ended_before_and_nothing_else(self):
        kept, gone = self.issue("alice", "--scope", "read"), self.issue()
        self.succeed("revoke", id_of(gone), "--quiet")
        self.assertEqual(self.succeed("purge", "--before", "1h", "--json").json["removed"], 0)
        time.sleep(1.1)
        answer = self.succeed("purge", "--before", "1s", "--yes", "--json").json
        self.assertEqual((list(answer), answer["removed"]), (["removed", "ended_before"], 1))
        self.assertRegex(answer["ended_before"], EXACT_TIME)
        self.fail_with(NOT_FOUND, "show", id_of(gone))
        self.assertEqual(self.validate(kept).code, OK)
        self.assertRegex(self.succeed("purge", "--before", "2020-01-01").out, r"\Aremoved 0 that ended before 2020-01-01T")
        self.fail_with(USAGE, "purge", "--before", "2099-01-01", "--yes")

    def test_another_users_token_is_as_unknown_as_no_token(self):
        token = self.issue("alice", "--scope", "read")
        unknown = "0" * 16
        for command in (["show"], ["expire"], ["revoke"], ["delete", "--yes"]):
            foreign = self.fail_with(NOT_FOUND, *command, id_of(token), "--as", "user:bob")
            missing = self.fail_with(NOT_FOUND, *command, unknown, "--as", "user:bob")
            self.assertEqual(foreign.err.replace(id_of(token), unknown), missing.err)
        self.assertEqual(self.validate(token).code, OK)
        self.assertEqual(self.succeed("list", "--as", "user:bob", "--json").json["tokens"], [])

    def test_times_for_people_are_iso_8601_in_utc(self):
        token = self.issue()
        row = self.succeed("list").out.splitlines()[1].split()
        self.assertRegex(row[3], TIME)
        self.assertRegex(row[4], TIME)
        self.assertRegex(self.succeed("show", id_of(token)).out, r"created +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ by host\n")


if __name__ == "__main__":
    unittest.main()
