"""schemathesis asks the running server whatever openapi.yaml lets it think of, and finds nothing. A slow tier: it is not
among Debian's packages.

    ACCESS_TOKENS_PAGE=program [SCHEMATHESIS=st] [PAGE_FUZZ_SECONDS=600] python3 test_schemathesis.py

Tried with schemathesis 4.32.5.
"""

import contextlib
import os
import pathlib
import subprocess
import threading
import unittest

from support import Server

HERE = pathlib.Path(__file__).resolve().parent
DESCRIPTION = HERE.parents[1] / "examples/access_tokens_page/openapi.yaml"
SECONDS = int(os.environ.get("PAGE_FUZZ_SECONDS", "600"))


@contextlib.contextmanager
def kept_open(server):
    """What is tried switches tokens off and takes people's rights: that would make everything after it a refusal."""
    browser = server.sign_in("ada")
    over = threading.Event()

    def keep():
        while not over.wait(0.2):
            server.ask("PATCH", "/v4/admin/workspace", {"tokensEnabled": True, "usersMayGenerate": True, "longestLifetimeDays": 366}, headers=browser)
            server.ask("PATCH", "/v4/admin/people/ada", {"mayUse": True, "mayGenerate": True}, headers=browser)

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


class Schemathesis(unittest.TestCase):
    def run_against(self, server, token, seconds, description=DESCRIPTION):
        return subprocess.run([os.environ.get("SCHEMATHESIS", "schemathesis"), "--config-file", HERE / "schemathesis.toml", "--no-color", "run", description,
                               "--url", server.url, "--max-time", str(seconds), "--max-examples", "100000", "--continue-on-failure",
                               "--header", f"Authorization: Bearer {token}", "--output-sanitize", "false"],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 600, cwd=server.work)

    def test_nothing_is_found(self):
        with Server("--quiet") as server:
            scopes = ["tokens:manage", "tokens:introspect", "tokens:administer", "data:read"]
            token, name = server.generate("ada", scopes=scopes, lifetimeSeconds=86400)
            with kept_open(server):
                done = self.run_against(server, token, SECONDS)
            print(done.stdout[-3000:])
            self.assertEqual(0, done.returncode, done.stdout[-30000:])
            self.assertEqual("active", server.ask("GET", f"/v4/apiAccessTokens/{name}", user="ada").json["status"],
                             "the token that it asked with held until the end")

    def test_the_control_a_description_that_is_wrong_is_noticed(self):
        with Server("--quiet") as server:
            token, _ = server.generate("ada", scopes=["tokens:manage", "tokens:administer"])
            text = DESCRIPTION.read_text(encoding="utf-8")
            right = "tokenValue: {type: string"
            self.assertIn(right, text)
            spoilt = server.work / "openapi.yaml"
            spoilt.write_text(text.replace(right, "tokenValue: {type: integer"), encoding="utf-8")
            with kept_open(server):
                done = self.run_against(server, token, 20, spoilt)
            self.assertEqual(1, done.returncode, done.stdout[-3000:])
            self.assertIn("POST /v4/apiAccessTokens", done.stdout)


if __name__ == "__main__":
    unittest.main()
