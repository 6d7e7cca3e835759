"""The REST API with its documented requests and answers, by curl and by Python's standard library.

    ACCESS_TOKENS_PAGE=program python3 test_rest.py
"""

import json
import re
import subprocess
import unittest

from support import PASSWORDS, Server

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
COLLECTION = "/v4/apiAccessTokens"
ADMIN = "/v4/admin/apiAccessTokens"


class Rest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().__enter__()
        cls.addClassCleanup(cls.server.__exit__, None)
        cls.ask = cls.server.ask

    def setUp(self):
        for user in PASSWORDS:
            for token in self.ask("GET", COLLECTION, user=user).json["data"]:
                self.assertEqual(204, self.ask("DELETE", f"{COLLECTION}/{token['tokenId']}", user=user).status)

    def curl(self, *arguments):
        done = subprocess.run(["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", *arguments], text=True,
                              capture_output=True, timeout=60, check=True)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body) if body else None

    def test_documented_requests_by_curl(self):
        url = self.server.url + COLLECTION
        status, made = self.curl("-u", "alice:alice-demo", "-H", "Content-Type: application/json", "-d",
                                 '{"lifetimeSeconds":100,"description":"API token for the docs"}', url)
        self.assertEqual(201, status)
        self.assertEqual({"tokenValue", "tokenInfo"}, set(made))
        info = made["tokenInfo"]
        self.assertEqual("API token for the docs", info["description"])
        self.assertIsNone(info["lastUsed"])
        self.assertRegex(info["createdAt"], TIME)
        self.assertRegex(info["expiredAt"], TIME)
        self.assertTrue(made["tokenValue"].startswith("pat_1") and info["tokenId"] in made["tokenValue"])

        bearer = ("-H", f"Authorization: Bearer {made['tokenValue']}")
        status, page = self.curl(*bearer, url)
        self.assertEqual((200, ["data"]), (status, list(page)))
        self.assertEqual([info["tokenId"]], [token["tokenId"] for token in page["data"]])
        status, one = self.curl(*bearer, f"{url}/{info['tokenId']}")
        self.assertEqual((200, info["tokenId"]), (status, one["tokenId"]))
        self.assertRegex(one["lastUsed"], TIME)
        status, second = self.curl(*bearer, "-H", "Content-Type: application/json", "-d", '{"lifetimeSeconds":200}', url)
        self.assertEqual(201, status, "a valid token of the same user makes the next one")
        status, body = self.curl(*bearer, "-X", "DELETE", f"{url}/{info['tokenId']}")
        self.assertEqual((204, None), (status, body))
        status, _ = self.curl(*bearer, url)
        self.assertEqual(401, status, "it deleted itself")
        status, _ = self.curl("-H", f"Authorization: Bearer {second['tokenValue']}", url)
        self.assertEqual(200, status)

    def test_lifetimes(self):
        def lifetime(seconds):
            answer = self.ask("POST", COLLECTION, {"lifetimeSeconds": seconds}, user="alice")
            return answer.status if answer.status != 201 else answer.json["tokenInfo"]["expiredAt"]

        self.assertEqual(403, lifetime(-1), "never is not allowed at first")
        self.assertEqual(403, lifetime(367 * 86400))
        for seconds in (-2, 2**62, -(2**63), 2**64):
            self.assertEqual(400, lifetime(seconds), seconds)
        self.assertRegex(lifetime(366 * 86400), TIME)
        self.assertRegex(lifetime(0), TIME, "0 is the default")
        self.assertEqual(200, self.ask("PATCH", "/v4/admin/workspace", {"longestLifetimeDays": -1}, user="ada").status)
        try:
            self.assertIsNone(lifetime(-1), "null for never")
        finally:
            self.ask("PATCH", "/v4/admin/workspace", {"longestLifetimeDays": 366}, user="ada")

    def test_ids_of_others_and_unknown_ids_have_one_answer(self):
        token, _ = self.server.generate("alice")
        _, bobs = self.server.generate("bob")
        unknown = "0" * 16
        for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", "/expire"), ("POST", "/revoke")):
            answers = [self.ask(method, f"{COLLECTION}/{name}{suffix}", token=token) for name in (bobs, unknown, "x", "%00")]
            self.assertEqual([404] * 4, [answer.status for answer in answers], method + suffix)
            self.assertEqual(answers[0].raw, answers[1].raw)
        self.assertEqual("active", self.ask("GET", f"{COLLECTION}/{bobs}", user="bob").json["status"])

    def test_expire_and_revoke(self):
        token, name = self.server.generate("alice")
        answer = self.ask("POST", f"{COLLECTION}/{name}/expire", {"at": "2026-02-30T00:00:00.000Z"}, user="alice")
        self.assertEqual((400, "invalid-field"), (answer.status, answer.kind))
        later = self.ask("POST", f"{COLLECTION}/{name}/expire", {"at": "2999-01-01T00:00:00.000Z"}, user="alice")
        self.assertEqual(400, later.status, "an end is never moved to later")
        self.assertEqual("expired", self.ask("POST", f"{COLLECTION}/{name}/expire", user="alice").json["status"])
        self.assertEqual(401, self.ask("GET", COLLECTION, token=token).status)

        token, name = self.server.generate("alice")
        answer = self.ask("POST", f"{COLLECTION}/{name}/revoke", {"reason": "lost"}, user="alice")
        self.assertEqual(("revoked", "lost", "user:alice"), tuple(answer.json[key] for key in ("status", "revokeReason", "revokedBy")))
        self.assertEqual(401, self.ask("GET", COLLECTION, token=token).status)

    def test_pages_filters_and_search(self):
        ids = [self.server.generate("alice", description=f"job {i} 100%")[1] for i in range(7)]
        self.ask("POST", f"{COLLECTION}/{ids[2]}/revoke", user="alice")
        seen, cursor = [], ""
        while True:
            answer = self.ask("GET", f"{COLLECTION}?limit=3&cursor={cursor}", user="alice").json
            seen += [token["tokenId"] for token in answer["data"]]
            self.assertLessEqual(len(answer["data"]), 3)
            if "next" not in answer:
                break
            cursor = answer["next"]
        self.assertEqual(ids[::-1], seen, "newest first, each once")

        def found(query):
            return [token["tokenId"] for token in self.ask("GET", f"{COLLECTION}?{query}", user="alice").json["data"]]

        self.assertEqual([ids[2]], found("status=revoked"))
        self.assertEqual(6, len(found("status=active")))
        self.assertEqual([ids[4]], found("text=JOB%204"))
        self.assertEqual([ids[5]], found(f"text={ids[5]}"))
        self.assertEqual(7, len(found("text=%25")), "a percent sign is a percent sign")
        self.assertEqual([], found("text=_"))
        for query in ("limit=0", "limit=1001", "limit=x", "limit=-1", "status=all", "cursor=%00%01", "cursor=zzz",
                      "text=" + "a" * 1025):
            self.assertEqual(400, self.ask("GET", f"{COLLECTION}?{query}", user="alice").status, query)

    def test_a_token_gives_no_scope_that_it_does_not_hold(self):
        weak, _ = self.server.generate("alice", scopes=["data:read"])
        answer = self.ask("GET", COLLECTION, token=weak)
        self.assertEqual((403, "insufficient-scope"), (answer.status, answer.kind))
        self.assertIn('scope="tokens:manage"', answer.headers["WWW-Authenticate"])

        maker, _ = self.server.generate("alice", scopes=["tokens:manage", "data:read"])
        answer = self.ask("POST", COLLECTION, {"scopes": ["data:write"]}, token=maker)
        self.assertEqual((403, "scope-not-allowed"), (answer.status, answer.kind))
        answer = self.ask("POST", COLLECTION, {}, token=maker)
        self.assertEqual(["data:read", "tokens:manage"], answer.json["tokenInfo"]["scopes"], "no more than its own")
        for scopes, status in ((["tokens:administer"], 403), (["nothing"], 400), (["data:read", 7], 400), ("data:read", 400)):
            self.assertEqual(status, self.ask("POST", COLLECTION, {"scopes": scopes}, user="alice").status, scopes)
        empty = self.ask("POST", COLLECTION, {"scopes": []}, user="alice").json
        self.assertEqual([], empty["tokenInfo"]["scopes"])
        self.assertEqual(403, self.ask("GET", COLLECTION, token=empty["tokenValue"]).status, "no scopes, no rights")

    def test_administration_is_for_administrators(self):
        token, name = self.server.generate("bob", description="of bob")
        users = self.server.sign_in("alice")
        for method, path, body in (("GET", ADMIN, None), ("GET", f"{ADMIN}/{name}", None), ("DELETE", f"{ADMIN}/{name}", None),
                                   ("POST", f"{ADMIN}/{name}/revoke", None), ("POST", f"{ADMIN}/{name}/expire", None),
                                   ("GET", "/v4/admin/people", None), ("GET", "/v4/admin/workspace", None),
                                   ("PATCH", "/v4/admin/workspace", {}), ("PATCH", "/v4/admin/people/bob", {})):
            self.assertEqual(403, self.ask(method, path, body, user="alice").status, path)
            self.assertEqual(403, self.ask(method, path, body, headers=users).status, path)
            self.assertEqual(403, self.ask(method, path, body, token=token).status, path)
            self.assertEqual(401, self.ask(method, path, body).status, path)
        answer = self.ask("GET", f"{ADMIN}?owner=bob", user="ada").json
        self.assertEqual([("bob", name)], [(token["owner"], token["tokenId"]) for token in answer["data"]])
        self.assertEqual(204, self.ask("DELETE", f"{ADMIN}/{name}", user="ada").status)
        self.assertEqual(401, self.ask("GET", COLLECTION, token=token).status)

        manage, _ = self.server.generate("ada", scopes=["tokens:manage"])
        self.assertEqual(403, self.ask("GET", ADMIN, token=manage).status, "an administrator's token needs the scope")
        administer, _ = self.server.generate("ada", scopes=["tokens:administer"])
        self.assertEqual(200, self.ask("GET", ADMIN, token=administer).status)

    def test_people_may_be_stopped(self):
        token, _ = self.server.generate("bob")
        self.assertEqual(200, self.ask("PATCH", "/v4/admin/people/bob", {"mayUse": False}, user="ada").status)
        self.assertEqual(401, self.ask("GET", COLLECTION, token=token).status)
        self.ask("PATCH", "/v4/admin/people/bob", {"mayUse": True, "mayGenerate": False}, user="ada")
        self.assertEqual(200, self.ask("GET", COLLECTION, token=token).status)
        answer = self.ask("POST", COLLECTION, {}, user="bob")
        self.assertEqual((403, "refused"), (answer.status, answer.kind))
        self.ask("PATCH", "/v4/admin/people/bob", {"mayGenerate": True}, user="ada")
        self.assertEqual(404, self.ask("PATCH", "/v4/admin/people/nobody", {"mayUse": True}, user="ada").status)
        names = [person["name"] for person in self.ask("GET", "/v4/admin/people", user="ada").json["data"]]
        self.assertEqual(["ada", "alice", "bob"], names)
        first = self.ask("GET", "/v4/admin/people?limit=2", user="ada").json
        rest = self.ask("GET", f"/v4/admin/people?limit=2&cursor={first['next']}", user="ada").json
        self.assertEqual(names, [person["name"] for person in first["data"] + rest["data"]])

    def test_the_routes_do_not_exist_while_tokens_are_switched_off(self):
        token, name = self.server.generate("alice")
        self.assertEqual(200, self.ask("PATCH", "/v4/admin/workspace", {"tokensEnabled": False}, user="ada").status)
        try:
            for method, path in (("GET", COLLECTION), ("POST", COLLECTION), ("GET", f"{COLLECTION}/{name}"),
                                 ("DELETE", f"{COLLECTION}/{name}"), ("POST", f"{COLLECTION}/{name}/revoke")):
                for who in ({"user": "alice"}, {"user": "ada"}, {"token": token}, {}):
                    self.assertEqual(404, self.ask(method, path, {} if method == "POST" else None, **who).status, path)
            self.assertEqual(401, self.ask("GET", ADMIN, token=token).status)
        finally:
            self.assertEqual(200, self.ask("PATCH", "/v4/admin/workspace", {"tokensEnabled": True}, user="ada").status)
        self.assertEqual(200, self.ask("GET", COLLECTION, token=token).status)

    def test_nobody_has_a_name_that_cannot_be(self):
        for name in ("nobody", "%01", "%ff", "x" * 255, "%C3%A9" * 127):
            answer = self.ask("PATCH", f"/v4/admin/people/{name}", {}, user="ada")
            self.assertEqual((404, "not-found"), (answer.status, answer.kind), name)

    def test_users_may_be_kept_from_generating_and_administrators_may_still(self):
        self.ask("PATCH", "/v4/admin/workspace", {"usersMayGenerate": False}, user="ada")
        try:
            self.assertEqual(403, self.ask("POST", COLLECTION, {}, user="alice").status)
            self.assertEqual(201, self.ask("POST", COLLECTION, {}, user="ada").status)
        finally:
            self.ask("PATCH", "/v4/admin/workspace", {"usersMayGenerate": True}, user="ada")

    def test_session_and_csrf(self):
        answer = self.ask("POST", "/session", {"user": "alice", "password": PASSWORDS["alice"]})
        cookie = answer.headers["Set-Cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(part, cookie)
        browser = self.server.sign_in("alice")
        self.assertEqual("alice", self.ask("GET", "/session", headers=browser).json["user"])
        self.assertEqual(201, self.ask("POST", COLLECTION, {}, headers=browser).status)
        cookie_only = {"Cookie": browser["Cookie"]}
        other = self.server.sign_in("alice")
        for wrong in (cookie_only, {**cookie_only, "X-CSRF-Token": "x"}, {**cookie_only, "X-CSRF-Token": other["X-CSRF-Token"]}):
            for method, path in (("POST", COLLECTION), ("DELETE", f"{COLLECTION}/0000000000000000"), ("DELETE", "/session")):
                answer = self.ask(method, path, {} if method == "POST" else None, headers=wrong)
                self.assertEqual((403, "missing-csrf-token"), (answer.status, answer.kind), path)
        self.assertEqual(200, self.ask("GET", COLLECTION, headers=cookie_only).status, "reading changes nothing")
        answer = self.ask("POST", "/session", {"user": "alice", "password": PASSWORDS["alice"]},
                          headers={"Origin": "https://elsewhere.example"})
        self.assertEqual((403, "foreign-origin"), (answer.status, answer.kind))
        self.assertEqual(204, self.ask("DELETE", "/session", headers=browser).status)
        answer = self.ask("GET", COLLECTION, headers=browser)
        self.assertEqual((401, "session-ended"), (answer.status, answer.kind))
        self.assertIsNone(self.ask("GET", "/session", headers=browser).json["user"])

    def test_passwords_that_are_wrong_have_one_answer(self):
        raws = set()
        for user, password in (("alice", "wrong"), ("nobody", "wrong"), ("", ""), ("alice", "x" * 2000), ("alice", "")):
            answer = self.ask("POST", "/session", {"user": user, "password": password})
            self.assertEqual(401, answer.status)
            self.assertNotIn("Set-Cookie", answer.headers)
            raws.add(answer.raw)
        self.assertEqual(1, len(raws))
        self.assertEqual(401, self.ask("GET", COLLECTION, user="nobody").status)

    def test_no_browser_window_for_passwords(self):
        plain = self.ask("GET", COLLECTION)
        self.assertEqual(2, len(plain.headers.get_all("WWW-Authenticate")))
        browser = self.ask("GET", COLLECTION, headers={"Sec-Fetch-Site": "same-origin"})
        self.assertEqual(['Bearer realm="access tokens"'], browser.headers.get_all("WWW-Authenticate"))


if __name__ == "__main__":
    unittest.main()
