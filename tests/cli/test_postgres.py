"""The command on PostgreSQL: `--db` is a URI with a password, and no output ever holds a piece of it."""
import os
import pathlib
import re
import stat
import subprocess
import unittest

from support import (CANNOT_OPEN, CONFLICT, INVALID, NOT_FOUND, OK, REFUSED, TOKEN, UNAVAILABLE, USAGE, CommandCase,
                     id_of, secret_of)
from throwaway_postgres import ThrowawayPostgres

PASSWORD = "Kanarienvogel-7391"
WRONG = "Zaunkoenig-8264-xy"


class Postgres(ThrowawayPostgres):
    """With a role that needs a password, and one that needs none."""

    def __enter__(self):
        super().__enter__()
        self.directory = re.search(r"host=(\S+)", self.conninfo)[1]
        self.sql("CREATE ROLE guest LOGIN")
        self.sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE app LOGIN PASSWORD '%s'" % PASSWORD)
        rules = pathlib.Path(self.directory, "data", "pg_hba.conf")
        rules.write_text("local all app scram-sha-256\n" + rules.read_text())
        self.sql("SELECT pg_reload_conf()")
        return self

    def sql(self, command, database="postgres"):
        done = subprocess.run(["psql", "-h", self.directory, "-U", "postgres", "-d", database, "-qAt", "-v",
                               "ON_ERROR_STOP=1", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def uri(self, database, user="app", password=PASSWORD):
        return f"postgresql://{user}:{password}@/{database}?host={self.directory}"


class OnPostgres(CommandCase):
    number = 0

    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres()
        cls.postgres.__enter__()
        cls.addClassCleanup(cls.postgres.__exit__)

    def setUp(self):
        super().setUp()
        OnPostgres.number += 1
        self.database = f"base{OnPostgres.number}"
        self.postgres.sql(f"CREATE DATABASE {self.database} OWNER app")
        self.db = self.postgres.uri(self.database)
        self.key = self.directory / "main.key"
        self.secrets = [PASSWORD, WRONG]

    def environment(self, **more):
        return super().environment(PGCONNECT_TIMEOUT="20", **more)

    def on(self, *args, db=None, **how):
        """The command with its database and key."""
        return self.run_command("--key-file", self.key, "--db", db or self.db, *args, **how)

    def done(self, *args, **how):
        answer = self.on(*args, **how)
        self.assertEqual(answer.code, OK, (args, answer.err))
        return answer

    def refuse(self, code, *args, db=None, **how):
        return self.fail_with(code, "--key-file", self.key, "--db", db or self.db, *args, **how)

    def issue(self, owner="alice"):
        token = self.done("issue", owner, "--scope", "read", "--quiet", shows_token=True).out.strip()
        self.assertRegex(token, TOKEN)
        self.secrets.append(secret_of(token))
        return token

    def tables(self):
        return self.postgres.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'tokenstore'", self.database)

    def test_the_life_of_a_token(self):
        made = self.done("init", "--json").json
        self.assertEqual(made, {"database": "PostgreSQL", "workspace": "default", "created_database": True,
                                "created_workspace": True, "created_key_file": str(self.key)})
        self.assertEqual(stat.S_IMODE(self.key.stat().st_mode), 0o600)
        token = self.issue()
        self.assertEqual([each["id"] for each in self.done("list", "--json").json["tokens"]], [id_of(token)])
        self.assertEqual(self.on("validate", "--scope", "read", stdin=token).code, OK)
        self.assertEqual(self.on("validate", "--scope", "write", stdin=token).code, INVALID)
        self.done("policy", "set", "--longest", "9d")
        self.done("owner", "suspend", "bob")
        self.done("revoke", id_of(token), "--reason", "lost")
        self.assertEqual(self.on("validate", "--scope", "read", stdin=token).code, INVALID)
        self.assertEqual(self.done("show", id_of(token), "--json").json["state"], "revoked")
        self.assertIs(self.done("check", "--json").json["ok"], True)
        stats = self.done("stats", "--json").json
        self.assertEqual((stats["database"], stats["database_bytes"], stats["log_bytes"], stats["tokens"]["revoked"]),
                         ("PostgreSQL", None, None, 1))
        self.assertRegex(self.done("stats").out, r"database +PostgreSQL\n")
        self.done("purge", "--before", "1s", "--yes")
        self.refuse(REFUSED, "issue", "bob", "--read-only")

    def test_a_key_goes_its_whole_way(self):
        self.done("init")
        self.done("init", "--workspace", "acme")
        old = self.issue()
        self.assertEqual(self.done("key", "list", "--json").json, {"keys": [{"key": "0A", "use": "active"}]})
        self.assertEqual(self.done("key", "add", "--json").json, {"added": "0B"})
        self.done("key", "activate", "0B")
        fresh = self.issue()
        self.assertTrue(fresh.startswith("pat_10B"))
        self.done("key", "reseal")
        # The other workspace's record was sealed anew when the key was activated, and nothing else is there.
        self.assertEqual({key["key"]: (key["seals"], key["living_tokens"])
                          for key in self.done("key", "status", "--json").json["keys"]}, {"0A": (0, 1), "0B": (6, 1)})
        self.done("key", "retire", "0A", "--yes")
        self.assertEqual(self.on("validate", "--scope", "read", "--json", stdin=old).json["reason"], "retired_key")
        self.done("key", "remove", "0A", "--yes")
        self.assertEqual(self.on("validate", "--scope", "read", stdin=fresh).code, OK)
        self.done("check")

    def test_init_makes_what_is_missing_and_nothing_else_does(self):
        for command in (["list"], ["stats"], ["check"], ["issue", "alice"], ["revoke", "0" * 16]):
            self.refuse(CANNOT_OPEN, *command)
        self.fail_with(USAGE, "init", "--db", self.db)
        self.refuse(USAGE, "init", "--read-only")
        self.assertEqual((self.tables(), os.listdir(self.directory)), ("0", []))
        self.assertIn("PostgreSQL (new)", self.done("init").out)
        for command in (["list"], ["issue", "alice"]):
            self.refuse(NOT_FOUND, *command, "--workspace", "acme")
        again = self.done("init", "--workspace", "acme", "--json").json
        self.assertEqual((again["created_database"], again["created_workspace"], again["created_key_file"]),
                         (False, True, None))
        again = self.done("init", "--json").json
        self.assertEqual((again["created_database"], again["created_workspace"], again["created_key_file"]),
                         (False, False, None))

    def test_a_missing_or_another_key_is_refused_and_not_replaced(self):
        self.done("init", "--quiet")
        self.key.rename(self.directory / "moved")
        for command in (["init"], ["list"], ["issue", "alice"]):
            self.refuse(CANNOT_OPEN, *command)
        self.assertFalse(self.key.exists())
        self.succeed("keygen", self.key, "--quiet")
        for command in (["init"], ["list"], ["issue", "alice"], ["init", "--workspace", "acme"]):
            self.refuse(CANNOT_OPEN, *command)
            self.assertEqual(self.on(*command, "--json").error["status"], "wrong_key")

    def test_errors_say_what_is_wrong_and_hold_no_password(self):
        self.done("init", "--quiet")
        wrong = {
            self.postgres.uri(self.database, password=WRONG): "password authentication failed",
            self.postgres.uri("missing"): "missing",
            self.postgres.uri(self.database, user="nobody"): "nobody",
            self.postgres.uri(self.database, user="guest"): "rant",
            f"postgresql://app:{PASSWORD}@127.0.0.1:1/x": "connect",
            f"postgresql://app:{PASSWORD}@/x?host=/nowhere": "/nowhere",
            f"postgresql://app:a@{PASSWORD}@/x?host=/nowhere": "malformed",
            f"postgresql://app:{PASSWORD}/x": "malformed",
            f"postgresql:app:{PASSWORD}@/x": "malformed",
            f"PostgreSQL://app:{PASSWORD}@/x": "malformed",
        }
        for db, words in wrong.items():
            for command in (["list"], ["issue", "alice"], ["stats"], ["check"], ["init"], ["revoke", "0" * 16]):
                self.assertIn(words, self.refuse(CANNOT_OPEN, *command, db=db).err)
                self.refuse(CANNOT_OPEN, *command, "--json", db=db)

    def test_a_server_that_is_down_loses_nothing(self):
        self.done("init", "--quiet")
        token = self.issue()
        self.postgres.tell("stop")
        try:
            for command in (["list"], ["issue", "alice"], ["revoke", id_of(token)], ["init"], ["stats"]):
                self.refuse(CANNOT_OPEN, *command)
            self.assertIn(self.on("validate", "--scope", "read", stdin=token).code, (UNAVAILABLE, CANNOT_OPEN))
        finally:
            self.postgres.tell("start")
        self.assertEqual(self.on("validate", "--scope", "read", stdin=token).code, OK)

    def test_another_applications_schema_is_left_alone(self):
        self.succeed("keygen", self.key, "--quiet")
        for made in ("CREATE TABLE tokenstore.token (name text)",
                     "CREATE TABLE tokenstore.about (application text, version int8); "
                     "INSERT INTO tokenstore.about VALUES ('another', 1)"):
            self.postgres.sql("DROP SCHEMA IF EXISTS tokenstore CASCADE; CREATE SCHEMA tokenstore AUTHORIZATION app; " +
                              made, self.database)
            self.postgres.sql("GRANT ALL ON ALL TABLES IN SCHEMA tokenstore TO app", self.database)
            count = "SELECT count(*) FROM pg_class WHERE relnamespace = 'tokenstore'::regnamespace"
            before = self.postgres.sql(count, self.database)
            for command in (["init"], ["list"], ["issue", "alice"]):
                self.refuse(CANNOT_OPEN, *command)
                self.assertEqual(self.on(*command, "--json").error["status"], "not_a_store")
            self.assertEqual(self.postgres.sql(count, self.database), before)

    def test_every_command_works_in_the_schema_that_is_named(self):
        elsewhere = ("--schema", "elsewhere")
        self.done("init", "--quiet", *elsewhere)
        self.assertEqual(self.tables(), "0")
        self.refuse(CANNOT_OPEN, "list")
        token = self.done(*elsewhere, "issue", "alice", "--scope", "read", "--quiet", shows_token=True).out.strip()
        self.secrets.append(secret_of(token))
        for command in (["list"], ["show", id_of(token)], ["stats"], ["check"], ["policy", "show"], ["owner", "list"],
                        ["validate", "--scope", "read"]):
            self.done(*command, *elsewhere, stdin=token)
        file = self.directory / "copied.db"
        self.done("copy", "--to", file, *elsewhere)
        self.done("copy", "--to", self.db, "--schema=third", db=file)
        variable = self.environment(TOKENSTORE_SCHEMA="third")
        self.done("revoke", id_of(token), env=variable)
        self.assertEqual(self.on("validate", "--scope", "read", stdin=token, env=variable).code, INVALID)
        self.done("validate", "--scope", "read", *elsewhere, stdin=token, env=variable)
        for wrong in ("Elsewhere", "a-b", "1a", "a;b", "s" * 41):
            self.refuse(USAGE, "list", "--schema", wrong)
        self.refuse(CANNOT_OPEN, "list", "--schema", "missing")
        self.assertEqual(self.tables(), "0")

    def test_copy_from_a_file_and_back(self):
        file = self.directory / "first.db"
        self.succeed("--db", file, "--key-file", self.key, "init", "--quiet")
        token = self.succeed("--db", file, "--key-file", self.key, "issue", "alice", "--scope", "read", "--quiet",
                             shows_token=True).out.strip()
        self.secrets.append(secret_of(token))
        there = self.done("copy", "--to", self.db, "--json", db=file).json
        self.assertEqual((there["tokens"], there["different"], there["problems"]), (1, 0, 0))
        self.assertEqual(self.on("validate", "--scope", "read", stdin=token).code, OK)
        self.done("revoke", id_of(token))
        self.assertIn("every seal verifies", self.done("copy", "--from", self.db, "--to", file).out)
        self.assertEqual(self.on("validate", "--scope", "read", stdin=token, db=file).code, INVALID)
        self.issue()
        self.refuse(CONFLICT, "copy", "--to", self.db, db=file)
        self.refuse(CANNOT_OPEN, "copy", "--to", self.postgres.uri(self.database, password=WRONG), db=file)
        self.refuse(USAGE, "copy", "--to", self.db)


if __name__ == "__main__":
    unittest.main()
