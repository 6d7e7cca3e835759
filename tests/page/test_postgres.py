"""The page with its tokens in PostgreSQL, on a throw-away server.

    ACCESS_TOKENS_PAGE=program THROWAWAY_POSTGRES=program PYTHONPATH=../support python3 test_postgres.py
"""

import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

from support import Server
from throwaway_postgres import ThrowawayPostgres

COLLECTION = "/v4/apiAccessTokens"


class OnPostgres(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postgres = cls.enterClassContext(ThrowawayPostgres())
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.key_file = cls.folder / "tokens.key"

    def page(self, *options):
        return Server("--postgres", self.postgres.conninfo, "--key-file", self.key_file, *options, database=False)

    def refused(self, *options):
        done = subprocess.run([os.environ["ACCESS_TOKENS_PAGE"], "--port", "0", "--accounts", self.folder / "accounts", *options],
                              text=True, capture_output=True, timeout=120)
        self.assertEqual((1, "", 1), (done.returncode, done.stdout, done.stderr.count("\n")), done.stderr)
        return done.stderr

    def test_the_life_of_a_token_on_two_pages_that_share_a_server(self):
        with self.page() as one, self.page() as two:
            self.assertEqual(0o600, self.key_file.stat().st_mode & 0o777)
            token, name = one.generate("alice", description="shared", scopes=["data:read", "tokens:manage"])
            listed = two.ask("GET", COLLECTION, token=token)
            self.assertEqual((200, name), (listed.status, listed.json["data"][0]["tokenId"]))
            self.assertEqual("shared", listed.json["data"][0]["description"])
            self.assertEqual(204, two.ask("GET", "/auth", token=token, headers={"X-Token-Scope": "data:read"}).status)
            self.assertEqual(200, one.ask("POST", f"{COLLECTION}/{name}/revoke", {"reason": "lost"}, user="alice").status)
            self.assertEqual(401, one.ask("GET", COLLECTION, token=token).status)
            deadline = time.monotonic() + 120  # a second as a rule; what that bound is worth is tested elsewhere
            while two.ask("GET", COLLECTION, token=token).status != 401:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
            self.assertEqual("lost", two.ask("GET", f"{COLLECTION}/{name}", user="alice").json["revokeReason"])
            self.assertEqual(204, two.ask("DELETE", f"{COLLECTION}/{name}", user="alice").status)
            self.assertEqual(404, one.ask("GET", f"{COLLECTION}/{name}", user="alice").status)
            self.assertEqual(200, one.ask("PATCH", "/v4/admin/people/bob", {"mayGenerate": False}, user="ada").status)
            self.assertEqual(403, two.ask("POST", COLLECTION, {}, user="bob").status)
            one.ask("PATCH", "/v4/admin/people/bob", {"mayGenerate": True}, user="ada")

    def test_a_server_that_is_away_is_503_and_nothing_is_lost(self):
        with self.page() as page:
            token, name = page.generate("alice", scopes=["data:read", "tokens:manage"])
            browser = page.sign_in("alice")
            self.postgres.tell("stop")
            try:
                deadline = time.monotonic() + 120  # until what was read last may no longer be trusted
                while (answer := page.ask("GET", "/auth", token=token, headers={"X-Token-Scope": "data:read"})).status != 503:
                    self.assertEqual(204, answer.status)
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.1)
                for method, path, who in (("GET", COLLECTION, {"headers": browser}), ("POST", COLLECTION, {"headers": browser}),
                                          ("GET", COLLECTION, {"token": token}), ("DELETE", f"{COLLECTION}/{name}", {"user": "alice"})):
                    answer = page.ask(method, path, {} if method == "POST" else None, **who)
                    self.assertEqual((503, "unavailable"), (answer.status, answer.kind), (method, path))
                    self.assertNotIn("host=", answer.raw.decode())
            finally:
                self.postgres.tell("start")
            deadline = time.monotonic() + 120
            while page.ask("GET", COLLECTION, token=token).status != 200:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
            self.assertIn(name, [item["tokenId"] for item in page.ask("GET", COLLECTION, headers=browser).json["data"]])
        with self.page() as again:
            self.assertEqual(200, again.ask("GET", COLLECTION, token=token).status, "a page that is started anew knows it")

    def test_what_is_set_up_wrong_is_said_in_one_line(self):
        self.assertIn("--key-file", self.refused("--postgres", self.postgres.conninfo))
        self.assertIn("--db", self.refused("--postgres", self.postgres.conninfo, "--db", self.folder / "x.db", "--key-file", self.key_file))
        said = self.refused("--postgres", "host=/nowhere user=tokens password=not-for-logs", "--key-file", self.folder / "none.key")
        self.assertIsNone(re.search("not-for-logs", said), said)
        with self.page():
            pass
        self.assertIn("key", self.refused("--postgres", self.postgres.conninfo, "--key-file", self.folder / "another.key"))
        self.assertFalse((self.folder / "another.key").exists(), "a key that fits nothing is not left behind")


if __name__ == "__main__":
    unittest.main()
