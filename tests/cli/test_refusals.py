"""Wrong usage of every kind: a clear error, exit status 2, and nothing changed."""
import unittest

from support import NOT_FOUND, USAGE, CommandCase, StoreCase, id_of, leaked_piece, secret_of


class Refusals(StoreCase):
    def setUp(self):
        super().setUp()
        self.token = self.issue("alice", "--scope", "read")
        self.before = self.state()

    def tearDown(self):
        self.assertEqual(self.state(), self.before)

    def refuse(self, *args, code=USAGE, **how):
        answer = self.fail_with(code, *args, **how)
        told = self.fail_with(code, "--json", *args, **how).error
        self.assertTrue(told["message"])
        return answer.err

    def test_a_token_as_an_argument_is_refused_with_a_hint_and_not_repeated(self):
        handle, secret = self.token.rsplit("_", 1)
        for args in (["validate", self.token], ["validate", "--scope", "read", self.token], ["show", self.token],
                     ["revoke", self.token], [self.token], ["list", "--owner", self.token], ["--db", self.token],
                     ["issue", "alice", f"--description=see {self.token}."], [f"--{self.token}"],
                     ["show", self.token[:-20]], ["show", handle[4:] + "_" + secret], ["completion", self.token]):
            told = self.refuse(*args)
            self.assertIn("standard input", told)
            self.assertNotIn(id_of(self.token), told)

    def test_a_piece_of_a_token_as_an_argument_is_not_repeated(self):
        for args in (["validate", "--scope", "read", secret_of(self.token)], ["show", secret_of(self.token)],
                     [secret_of(self.token)], [f"--{secret_of(self.token)}"], ["list", "--limit", secret_of(self.token)],
                     ["list", "--state", secret_of(self.token)], ["purge", "--before", secret_of(self.token)],
                     ["issue", "bob", "--lifetime", secret_of(self.token)], ["list", "--json=" + secret_of(self.token)],
                     ["--as", secret_of(self.token), "list"], ["list", "--cursor", secret_of(self.token)],
                     ["policy", "set", "--longest", secret_of(self.token)], ["completion", secret_of(self.token)]):
            self.refuse(*args)

    def test_a_connection_string_that_is_no_uri_is_refused_and_not_repeated(self):
        password = "Rotkehlchen-5518"
        self.secrets.append(password)
        for place in (f"host=db password={password} dbname=x", f"password = '{password}'", f"user=app,pwd={password}",
                      f"dbname=x\tpassword={password}", f"port=5432 passwort={password}", f"service={password}",
                      f" sslmode=require password={password}", f"sslpassword={password}", f"passfile={password}",
                      f"Host=db;Password={password}", f"target_session_attrs=read-write user={password}",
                      f"jdbc:postgresql://app:{password}@db/x", f" postgresql://app:{password}@db/x",
                      f"postgre://app:{password}@db/x", f"hostaddr=127.0.0.1 password={password}"):
            for command in (["list"], ["init"], ["stats"], ["check"], ["issue", "alice"], ["show", "0" * 16],
                            ["copy", "--to", "other.db"], ["pattern"]):
                self.assertIn("postgresql://", self.refuse("--db", place, *command))
                self.refuse(*command, env=self.environment(TOKENSTORE_DB=place))
            self.refuse("copy", "--to", place)
            self.refuse("copy", "--from", place, "--to", "other.db")
        self.assertEqual(sorted(path.name for path in self.directory.iterdir() if "tokens.db" not in path.name), [])

    def test_a_path_that_looks_like_a_connection_string_can_still_be_written(self):
        (self.directory / "user=5").mkdir()
        for db in ("./user=5/tokens.db", self.directory / "user=5" / "host=x password=y.db", "a=b.db"):
            self.succeed("--db", db, "init", "--quiet")
            self.succeed("--db", db, "list")
        self.refuse("--db", "user=5/tokens.db", "list")

    def test_a_schema_is_refused_for_a_file_unless_its_variable_says_so(self):
        for args in (["list"], ["init"], ["issue", "alice"], ["validate", "--scope", "read"],
                     ["copy", "--to", "other.db"]):
            self.assertIn("--schema", self.refuse(*args, "--schema", "x"))
            self.assertIn("--schema", self.refuse("--schema=x", *args))
        self.assertIn("empty", self.refuse("list", "--schema", ""))
        self.succeed("list", env=self.environment(TOKENSTORE_SCHEMA="x"))
        self.assertFalse((self.directory / "other.db").exists())

    def test_misspelt_commands_and_options_get_a_suggestion(self):
        for args, meant in ((["isue", "bob"], "issue"), (["revok", "x"], "revoke"), (["owner", "shw", "x"], "show"),
                            (["policy", "sett"], "set"), (["list", "--onwer", "x"], "--owner"),
                            (["list", "--jsn"], "--json"), (["stat"], "stats")):
            self.assertIn(f"did you mean {meant}?", self.refuse(*args), args)
        self.assertNotIn("did you mean", self.refuse("frobnicate"))

    def test_missing_and_superfluous_words(self):
        self.assertIn("--help", self.refuse())
        for args in (["owner"], ["policy"], ["show"], ["revoke"], ["validate"], ["purge"], ["keygen"], ["completion"],
                     ["list", "x"], ["show", "a", "b"], ["list", "--limit"], ["list", "--all", "--limit", "3"],
                     ["list", "--count", "--text", "x"], ["init", "x"], ["expire", "a", "--at", "1", "--in", "2"],
                     ["issue"], ["completion", "fish"], ["--as", "nobody", "list"], ["--as", "user:", "list"]):
            self.refuse(*args)

    def test_an_empty_value_is_a_variable_that_was_not_set(self):
        for args in (["list", "--owner", ""], ["issue", ""], ["issue", "bob", "--scope", ""], ["show", ""],
                     ["--db", "", "list"], ["--workspace", "", "list"], ["owner", "show", ""], ["list", "--cursor", ""],
                     ["policy", "set", "--tokens-enabled", ""], ["revoke", ""], ["owner", "revoke-all", "", "--yes"]):
            self.assertIn("empty", self.refuse(*args))

    def test_a_flag_takes_no_value(self):
        for flag in ("--read-only=no", "--read-only=false", "--json=1", "--quiet=0"):
            self.assertIn("takes no value", self.refuse("list", flag))
        self.refuse("list", "-q=1")
        self.refuse("delete", id_of(self.token), "--yes=false")

    def test_the_database_given_twice(self):
        self.assertIn("only once", self.refuse("--db", self.db, "--db", self.db, "list"))
        self.refuse("--db", self.db, "list", "--db", self.directory / "other.db")

    def test_names_and_texts_that_are_too_long_or_hold_control_characters(self):
        for args in (["issue", "a" * 256], ["issue", "a\nb"], ["issue", "a\x1b[2Jb"], ["issue", "a\u0085b"],
                     ["issue", b"\xff\xfe".decode("utf-8", "surrogateescape")],
                     ["issue", "bob", "--description", "d" * 1025], ["issue", "bob", "--description", "a\tb"],
                     ["issue", "bob", "--scope", "s" * 129], ["issue", "bob", "--scope", 'a"b'],
                     ["issue", "bob", "--scope", "é"], ["issue", "bob", "--metadata", "m" * 4097],
                     ["issue", "bob", *[f"--scope=s{at}" for at in range(65)]],
                     ["revoke", id_of(self.token), "--reason", "r" * 1025],
                     ["owner", "suspend", "a\nb"], ["owner", "suspend", "alice", "--reason", "a\nb"],
                     ["owner", "allow", "a" * 256, "--use", "no"], ["--as", "user:a\nb", "issue"],
                     ["--workspace", "a\nb", "list"], ["--workspace", "w" * 256, "init"], ["--prefix", "Pat", "list"],
                     ["--prefix", "p" * 25, "pattern"]):
            self.assertNotIn("\x1b", self.refuse(*args))

    def test_the_longest_names_and_texts_are_taken(self):
        args = ["a" * 255, "--description", "d" * 1024, "--scope", "s" * 128, "--metadata", "m" * 4096]
        token = self.succeed("issue", *args, "--quiet", shows_token=True).out.strip()
        self.succeed("delete", id_of(token), "--yes")
        self.before = self.state()  # the owner's settings have come into being

    def test_lifetimes_that_are_negative_too_long_or_no_lifetimes(self):
        for wrong in ("-2", "-90d", "-1d", "-1s", "1.5d", "d", "90x", "1 d", "+5", "0x10", "0d", "0s", "-0",
                      "9223372036854775807", "9223372036854775808", "99999999999999999999999d", "106751991168d", "NEVER"):
            self.refuse("issue", "bob", "--lifetime", wrong)
            self.refuse("issue", "bob", f"--lifetime={wrong}")
        for wrong in ("-1", "never", "0", "x"):
            self.refuse("expire", id_of(self.token), f"--in={wrong}")

    def test_dates_that_are_none(self):
        for wrong in ("yesterday", "2026-13-01", "2026-02-30", "2026-1-1", "2026-12-31T25:00", "2026-12-31T12:00:60",
                      "2026-12-31T12:00+25:00", "20261231", "2026-12-31T12", "2026-12-31T12:00ZZ", "-1", "10000-01-01"):
            self.refuse("expire", id_of(self.token), "--at", wrong)
            self.refuse("issue", "bob", "--not-before", wrong)
            self.refuse("purge", "--yes", "--before", wrong)

    def test_cursors_limits_and_states_that_are_none(self):
        for args in (["--cursor", "x"], ["--cursor", "c1"], ["--cursor", "c1" + "0" * 15 + "!"], ["--limit", "0"],
                     ["--limit", "-1"], ["--limit", "1000001"], ["--limit", "99999999999999999999"], ["--limit", "5x"],
                     ["--state", "gone"], ["--state", "tampered"]):
            self.refuse("list", *args)

    def test_ids_that_are_none_or_nobodys(self):
        for wrong in ("x", "0" * 15, "0" * 17, "0" * 15 + "_", "../../etc/passwd"):
            for command in (["show"], ["expire"], ["revoke"], ["delete", "--yes"]):
                self.refuse(*command, wrong)
        for command in (["show"], ["expire"], ["revoke"], ["delete", "--yes"]):
            self.refuse(*command, "0" * 16, code=NOT_FOUND)

    def test_ids_that_differ_in_case_are_different(self):
        other = id_of(self.token).swapcase()
        self.refuse("revoke", other, code=NOT_FOUND)

    def test_metadata_files_that_cannot_be_used(self):
        (self.directory / "big").write_bytes(b"x" * 4097)
        self.refuse("issue", "bob", "--metadata-file", "big")
        self.refuse("issue", "bob", "--metadata-file", "missing")
        self.refuse("issue", "bob", "--metadata-file", ".")
        self.refuse("issue", "bob", "--metadata-file", "big", "--metadata", "x")


class Detectors(unittest.TestCase):
    def test_the_leak_detector_finds_a_planted_piece(self):
        self.assertEqual(leaked_piece("abcdefghijkl", "..cdefghij.."), "cdefghij")
        self.assertIsNone(leaked_piece("abcdefghijkl", "..cdefghi.."))


class NoDatabase(CommandCase):
    def test_no_database_at_all(self):
        answer = self.fail_with(USAGE, "list", env={"PATH": "/usr/bin:/bin"})
        self.assertIn("TOKENSTORE_DB", answer.err)


if __name__ == "__main__":
    unittest.main()
