"""What other servers ask: introspection and revocation, by Authlib's client and Authlib's resource server, and by
hand where a client library would not go.

    ACCESS_TOKENS_PAGE=program python3 test_servers.py    (Debian's python3, for python3-authlib)
"""

import base64
import contextlib
import os
import sqlite3
import subprocess
import tempfile
import time
import unittest
from urllib.parse import quote, quote_plus, urlencode

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7662 import IntrospectTokenValidator

from support import PASSWORDS, Server

COLLECTION = "/v4/apiAccessTokens"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Servers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--scope", "data:read=Read", "--scope", "data:write=Write").__enter__()
        cls.addClassCleanup(cls.server.__exit__, None)
        cls.ask = cls.server.ask
        # What a server that asks has: a token that is good for asking and for nothing else.
        cls.asking, _ = cls.server.generate("bob", scopes=["tokens:introspect"], description="the data service")

    def introspect(self, token, **who):
        return self.ask("POST", "/introspect", raw=urlencode({"token": token}).encode(), headers=FORM, **(who or {"token": self.asking}))

    def revoke(self, token, **who):
        return self.ask("POST", "/revoke", raw=urlencode({"token": token}).encode(), headers=FORM, **who)

    def shown(self, name, user="alice"):
        return self.ask("GET", f"{COLLECTION}/{name}", user=user).json

    def test_authlib_introspects_with_a_token_and_with_a_password(self):
        before = int(time.time())
        token, name = self.server.generate("alice", scopes=["data:read", "data:write"], lifetimeSeconds=3600)
        with_token = OAuth2Session(token={"access_token": self.asking, "token_type": "Bearer"})
        with_password = OAuth2Session("bob", PASSWORDS["bob"])
        for client, auth in ((with_token, with_token.token_auth), (with_password, None)):
            answer = client.introspect_token(f"{self.server.url}/introspect", token=token, token_type_hint="access_token", auth=auth)
            self.assertEqual(200, answer.status_code, answer.text)
            said = answer.json()
            self.assertEqual({"active": True, "scope": "data:read data:write", "username": "alice", "sub": "alice",
                              "token_type": "Bearer", "jti": name, "exp": said["exp"], "iat": said["iat"]}, said)
            self.assertLessEqual(before, said["iat"])
            self.assertLessEqual(said["iat"], time.time())
            self.assertIn(said["exp"] - said["iat"], (3600, 3601))
        self.assertIsNotNone(self.shown(name)["lastUsed"], "whoever asks lets it in: that is a use")

    def test_authlib_guards_a_route_with_what_it_is_told(self):
        class Guard(IntrospectTokenValidator):
            def introspect_token(guard, token_string):
                return self.introspect(token_string).json

        def enter(token, scope):
            guard = Guard()
            guard.validate_token(guard.authenticate_token(token), [scope], None)

        token, name = self.server.generate("alice", scopes=["data:read"])
        enter(token, "data:read")
        with self.assertRaises(InsufficientScopeError):
            enter(token, "data:write")
        self.ask("POST", f"{COLLECTION}/{name}/revoke", user="alice")
        with self.assertRaises(InvalidTokenError):
            enter(token, "data:read")

    def test_of_what_is_not_valid_nothing_more_is_said(self):
        good, _ = self.server.generate("alice")
        ended = []
        for route in ("expire", "revoke"):
            token, name = self.server.generate("alice", description="ended")
            self.ask("POST", f"{COLLECTION}/{name}/{route}", user="alice")
            ended.append(token)
        token, name = self.server.generate("alice")
        self.ask("DELETE", f"{COLLECTION}/{name}", user="alice")
        changed = good[:-1] + ("a" if good[-1] != "a" else "b")
        answers = {self.introspect(text).raw for text in (*ended, token, changed, "x", "", " " + good, good + "\n", "x" * 3000)}
        self.assertEqual({b'{"active":false}'}, answers)
        suspended, _ = self.server.generate("alice")
        self.ask("PATCH", "/v4/admin/people/alice", {"mayUse": False}, user="ada")
        try:
            self.assertEqual({"active": False}, self.introspect(suspended).json)
        finally:
            self.ask("PATCH", "/v4/admin/people/alice", {"mayUse": True}, user="ada")
        self.assertTrue(self.introspect(suspended).json["active"])

    def test_what_never_ends_and_what_grants_nothing(self):
        self.ask("PATCH", "/v4/admin/workspace", {"longestLifetimeDays": -1}, user="ada")
        token, _ = self.server.generate("alice", lifetimeSeconds=-1, scopes=[])
        said = self.introspect(token).json
        self.ask("PATCH", "/v4/admin/workspace", {"longestLifetimeDays": 366}, user="ada")
        self.assertNotIn("exp", said)
        self.assertEqual((True, ""), (said["active"], said["scope"]))

    def test_only_authenticated_callers_are_answered(self):
        token, _ = self.server.generate("alice", scopes=["data:read"])
        for path in ("/introspect", "/revoke"):
            body = urlencode({"token": token}).encode()
            nobody = self.ask("POST", path, raw=body, headers=FORM)
            self.assertEqual((401, True), (nobody.status, "WWW-Authenticate" in nobody.headers))
            bad = self.ask("POST", path, raw=body, headers=FORM, token="x")
            self.assertEqual((401, True), (bad.status, 'error="invalid_token"' in bad.headers["WWW-Authenticate"]))
            weak = self.ask("POST", path, raw=body, headers=FORM, token=token)
            self.assertEqual((403, True), (weak.status, 'error="insufficient_scope"' in weak.headers["WWW-Authenticate"]))
        cookie = {"Cookie": self.server.sign_in("alice")["Cookie"], **FORM}
        self.assertEqual((403, "missing-csrf-token"), (lambda a: (a.status, a.kind))(self.ask("POST", "/revoke", raw=body, headers=cookie)))
        self.assertTrue(self.introspect(token).json["active"])

    def test_malformed_questions(self):
        token, _ = self.server.generate("alice")
        for path in ("/introspect", "/revoke"):
            for raw in (b"", b"tokens=x", b"token=a&token=b", b"&&==", b"\0"):
                answer = self.ask("POST", path, raw=raw, headers=FORM, user="alice")
                self.assertEqual((400, "invalid_request"), (answer.status, answer.json["error"]), raw)
            in_address = self.ask("POST", f"{path}?token={token}", raw=b"", headers=FORM, user="alice")
            self.assertEqual((400, "invalid-request"), (in_address.status, in_address.kind))
            for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
                answer = self.ask("POST", path, raw=b'{"token":"x"}', headers={"Content-Type": kind}, user="alice")
                self.assertIn(answer.status, (400, 415))
            self.assertEqual(413, self.ask("POST", path, raw=b"token=" + b"x" * 9000, headers=FORM, user="alice").status)
            self.assertEqual(405, self.ask("GET", path, user="alice").status)
        self.assertTrue(self.introspect(token).json["active"])

    def test_authlib_revokes_and_unknown_tokens_are_fine(self):
        token, name = self.server.generate("alice")
        client = OAuth2Session("alice", PASSWORDS["alice"])
        for text in (token, token, "x", token[:-1]):
            answer = client.revoke_token(f"{self.server.url}/revoke", token=text, token_type_hint="access_token")
            self.assertEqual((200, ""), (answer.status_code, answer.text))
        self.assertEqual(("revoked", "user:alice"), tuple(self.shown(name)[key] for key in ("status", "revokedBy")))
        token, name = self.server.generate("alice", scopes=["tokens:manage"])
        client = OAuth2Session(token={"access_token": token, "token_type": "Bearer"})
        answer = client.revoke_token(f"{self.server.url}/revoke", token=token, auth=client.token_auth)
        self.assertEqual(200, answer.status_code, "a program that ends takes its own token back")
        self.assertEqual("revoked", self.shown(name)["status"])

    def test_credentials_of_oauth_clients_are_percent_encoded_or_not(self):
        name, password = "data service/1", "p+s s%41:w&rd=%/é"
        with tempfile.TemporaryDirectory() as folder:
            accounts = os.path.join(folder, "accounts.json")
            subprocess.run([os.environ["ACCESS_TOKENS_PAGE"], "--accounts", accounts, "--add-user", name], input=password + "\n", text=True,
                           check=True, capture_output=True, timeout=60)
            with Server("--accounts", accounts, demo=False) as server:
                def ask(path, pair, method="POST"):
                    credentials = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
                    return server.ask(method, path, raw=b"token=x" if method == "POST" else None, headers={**FORM, **credentials}).status

                plain, encoded = f"{name}:{password}", f"{quote_plus(name)}:{quote_plus(password)}"
                spaces = f"{quote(name, safe='')}:{quote(password, safe='')}"
                for path in ("/introspect", "/revoke"):
                    for pair in (plain, encoded, spaces):
                        self.assertEqual(200, ask(path, pair), pair)
                    for pair in (encoded + "x", quote_plus(encoded), f"{name}:{quote_plus(password)}%", f"{name}:%"):
                        self.assertIn(ask(path, pair), (400, 401), pair)
                self.assertEqual([200, 401], [ask(COLLECTION, pair, "GET") for pair in (plain, encoded)], "elsewhere they are what RFC 7617 says")

    def test_a_password_in_two_spellings_is_one_attempt(self):
        with Server("--sign-in-burst", "2", "--sign-in-interval", "3600000") as server:
            credentials = {"Authorization": "Basic " + base64.b64encode(b"alice:wrong%41").decode()}
            answers = [server.ask("POST", "/introspect", raw=b"token=x", headers={**FORM, **credentials}).status for _ in range(3)]
            self.assertEqual([401, 401, 429], answers)

    def test_the_token_of_another_is_left_alone_but_for_administrators(self):
        token, name = self.server.generate("alice")
        for user in ("bob",):
            answer = self.revoke(token, user=user)
            self.assertEqual((403, "unauthorized_client"), (answer.status, answer.json["error"]))
        self.assertEqual("active", self.shown(name)["status"])
        self.assertEqual(200, self.revoke(token, user="ada").status)
        self.assertEqual(("revoked", "administrator:ada"), tuple(self.shown(name)[key] for key in ("status", "revokedBy")))
        _, name = self.server.generate("alice")
        self.assertEqual(200, self.revoke(name, user="bob").status, "an id is no token")
        self.assertEqual("active", self.shown(name)["status"])

    def test_what_cannot_be_used_at_the_moment_is_revoked_all_the_same(self):
        switches = (("/v4/admin/people/alice", "mayUse"), ("/v4/admin/workspace", "tokensEnabled"))
        for path, switch in switches:
            token, name = self.server.generate("alice")
            self.assertEqual(200, self.ask("PATCH", path, {switch: False}, user="ada").status)
            try:
                self.assertEqual(200, self.revoke(token, user="alice").status)
            finally:
                self.ask("PATCH", path, {switch: True}, user="ada")
            self.assertEqual("revoked", self.shown(name)["status"], switch)

    def test_a_storage_failure_is_neither_no_nor_done(self):
        token, name = self.server.generate("alice")
        with self.server.without_storage():
            for answer in (self.introspect(token), self.introspect(token, user="bob"), self.revoke(token, user="alice")):
                self.assertEqual((503, "unavailable"), (answer.status, answer.kind))
                self.assertIn("Retry-After", answer.headers)

    def test_a_revocation_that_storage_refused_is_tried_again(self):
        token, name = self.server.generate("alice")
        self.assertTrue(self.introspect(token).json["active"])
        with contextlib.closing(sqlite3.connect(self.server.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # everybody else can read, and write no more
            refused = self.revoke(token, user="alice")
            self.assertFalse(self.introspect(token).json["active"], "it is refused here all the same")
            other.execute("ROLLBACK")
        self.assertEqual(503, refused.status)
        self.assertEqual(200, self.revoke(token, user="alice").status)
        self.assertEqual("revoked", self.shown(name)["status"])

    def test_nothing_of_a_token_is_logged(self):
        token, _ = self.server.generate("alice")
        self.introspect(token)
        self.revoke(token, user="bob")
        self.revoke(token, user="alice")
        self.ask("GET", "/auth", token=token, headers={"X-Token-Scope": token})
        log = self.server.log
        self.assertIn("POST /introspect: 200", log)
        secret = token[24:67]
        for at in range(len(secret) - 7):
            self.assertNotIn(secret[at:at + 8], log)


if __name__ == "__main__":
    unittest.main()
