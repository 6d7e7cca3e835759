"""Holds the running server to openapi.yaml: every answer to every operation, good and bad, fits the description,
and every operation of the description was asked and answered with success.

    ACCESS_TOKENS_PAGE=program python3 test_openapi.py
"""

import pathlib
import re
import unittest

import jsonschema
import yaml

from support import PASSWORDS, Server

TREE = pathlib.Path(__file__).resolve().parents[2]
DESCRIPTION = TREE / "examples/access_tokens_page/openapi.yaml"


class Contract:
    """The description, and what it says of an answer."""

    def __init__(self, text):
        self.document = yaml.safe_load(text)
        self.asked = set()

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def operation(self, method, path):
        path = path.partition("?")[0]
        fitting = [name for name in self.document["paths"]
                   if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(name)), path)]
        assert len(fitting) == 1, f"{path} fits {fitting}"
        return self.document["paths"][fitting[0]][method.lower()]

    def check(self, method, path, answer):
        operation = self.operation(method, path)
        responses = operation["responses"]
        status = str(answer.status)
        said = responses.get(status) or responses.get(status[0] + "XX")
        assert said, f"{method} {path} answered {status}, of which the description says nothing"
        said = self.resolve(said)
        for name, header in said.get("headers", {}).items():
            assert name in answer.headers or not header.get("required"), f"{method} {path} {status}: {name} is missing"
        if "content" not in said:
            assert answer.raw == b"", f"{method} {path} {status}: no body is described"
        else:
            assert answer.type in said["content"], f"{method} {path} {status}: {answer.type} is not described"
            schema = {**said["content"][answer.type]["schema"], "components": self.document["components"]}
            jsonschema.Draft202012Validator(schema).validate(answer.json)
        if status.startswith("2"):
            self.asked.add(operation["operationId"])


KEYWORDS = {"$ref", "type", "format", "enum", "oneOf", "not", "properties", "required", "additionalProperties", "dependentRequired", "items",
            "uniqueItems", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "pattern", "default", "description"}


def what_stops_generators(document):
    """What ogen, oapi-codegen and openapi-python-client stumble over: test_clients.py is how that was found."""
    found = []

    def look_at(schema, where):
        found.extend(f"{where}: {keyword} is no keyword that all of them know" for keyword in schema.keys() - KEYWORDS)
        if not schema.keys() & {"type", "$ref", "oneOf"}:
            found.append(f"{where}: has no type")
        for name, part in schema.get("properties", {}).items():
            look_at(part, f"{where}.{name}")
        if "items" in schema:
            look_at(schema["items"], f"{where}[]")
        for part in schema.get("oneOf", []):
            look_at(part, f"{where}|")

    def find_schemas(node, where):
        for name, part in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            if name == "schema":
                look_at(part, where)
            elif name != "schemas":
                find_schemas(part, f"{where}/{name}")

    find_schemas(document, "")
    components = document["components"]
    for name, schema in components["schemas"].items():
        look_at(schema, name)
    kinds = [name.lower() for group in ("schemas", "securitySchemes") for name in components[group]]
    found.extend(f"{name}: two components of this name" for name in sorted(set(kinds)) if kinds.count(name) > 1)
    return found


class OpenApi(unittest.TestCase):
    def setUp(self):
        self.contract = Contract(DESCRIPTION.read_text(encoding="utf-8"))

    def test_every_answer_fits_the_description(self):
        with Server() as server:
            def ask(method, path, body=None, **who):
                answer = server.ask(method, path, body, **who)
                self.contract.check(method, path, answer)
                return answer

            browser = {}

            def sign_in(user, password):
                answer = ask("POST", "/session", {"user": user, "password": password})
                if answer.status == 201:
                    browser.update({"Cookie": answer.headers["Set-Cookie"].split(";")[0], "X-CSRF-Token": answer.json["csrfToken"]})

            ask("GET", "/session")
            sign_in("ada", "wrong")
            sign_in("ada", PASSWORDS["ada"])
            users = server.sign_in("alice")
            whos = ({}, {"headers": users}, {"headers": browser}, {"token": "x"}, {"headers": {"Cookie": browser["Cookie"]}})
            bodies = (None, {}, {"description": 1}, {"nonsense": 1}, {"lifetimeSeconds": -1}, {"lifetimeSeconds": 60, "description": "d"},
                      {"reason": "r"}, {"at": "x"}, {"at": None}, {"mayUse": True}, {"mayUse": 1}, {"longestLifetimeDays": 0}, {"usersMayGenerate": True})
            for path, item in self.contract.document["paths"].items():
                for method in ("get", "post", "patch", "delete"):
                    if method not in item or path == "/session":
                        continue
                    for who in whos:
                        for body in bodies if method in ("post", "patch") else (None,):
                            owner = users if who.get("headers") is users and "admin" not in path else browser
                            token = server.ask("POST", "/v4/apiAccessTokens", {}, headers=owner).json["tokenInfo"]["tokenId"]
                            for name in (token, "0" * 16):
                                ask(method.upper(), path.format(id=name, name="bob" if name == token else "nobody"), body, **who)
                                if "{" not in path:
                                    break
            ask("GET", "/v4/apiAccessTokens", user="alice")
            for query in ("limit=2", "limit=0", "status=revoked", "status=x", "text=d", "cursor=x"):
                for root in ("/v4/apiAccessTokens", "/v4/admin/apiAccessTokens", "/v4/admin/people"):
                    ask("GET", f"{root}?{query}", headers=browser)
            text, _ = server.generate("alice")
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            for path in ("/introspect", "/introspect?token=x", "/revoke"):
                for who in ({"user": "bob"}, {"user": "alice"}, {"token": text}, {}):
                    for body in (f"token={text}", "token=x", "token=x&token=y", "token_type_hint=access_token", ""):
                        ask("POST", path, raw=body.encode(), headers=form, **who)
            text, _ = server.generate("alice")
            for demanded in ({"X-Token-Scope": "data:read"}, {"X-Token-Scope": "no:such"}, {}):
                for token in (text, "x"):
                    ask("GET", "/auth", token=token, headers=demanded)
            ask("GET", "/session", headers=browser)
            with server.without_storage():
                for path in ("/v4/apiAccessTokens", "/v4/admin/people", "/v4/admin/workspace", "/session"):
                    self.assertEqual(503, ask("GET", path, headers=browser).status)
                self.assertEqual(503, ask("GET", "/auth", token=text, headers={"X-Token-Scope": "data:read"}).status)
                for path in ("/introspect", "/revoke"):
                    self.assertEqual(503, ask("POST", path, raw=b"token=" + text.encode(), headers=form, user="alice").status)
            ask("DELETE", "/session", headers={"Cookie": browser["Cookie"]})
            ask("DELETE", "/session", headers=browser)
            described = {operation["operationId"] for item in self.contract.document["paths"].values()
                         for method, operation in item.items() if method != "parameters"}
            self.assertEqual(described, self.contract.asked, "every operation was answered with success at least once")

    def test_nothing_in_it_stops_the_generators_of_clients(self):
        self.assertEqual([], what_stops_generators(self.contract.document))

    def test_the_control_what_stops_generators_is_noticed(self):
        text = DESCRIPTION.read_text(encoding="utf-8")
        for right, wrong in (("active: {type: boolean,", "active: {"), ("role: {type: string, enum: [", "role: {enum: ["), ("{type: string, enum: [Bearer]}", "{const: Bearer}"),
                             ("sessionCookie:\n", "session:\n"), ("{name: cursor, in: query, schema: {type: string}", "{name: cursor, in: query, schema: {}"),
                             ("'The owner, as username'", "The owner, as username")):
            self.assertIn(right, text)
            self.assertNotEqual([], what_stops_generators(yaml.safe_load(text.replace(right, wrong, 1))), wrong)

    def test_it_is_served_as_it_is(self):
        with Server() as server:
            answer = server.ask("GET", "/openapi.yaml")
            self.assertEqual((200, "application/yaml", DESCRIPTION.read_bytes()), (answer.status, answer.type, answer.raw))

    def test_the_control_an_answer_that_differs_is_noticed(self):
        text = DESCRIPTION.read_text(encoding="utf-8")
        for right, wrong in (("tokenValue: {type: string", "tokenValue: {type: integer"), ("'201':", "'202':"),
                             ("required: [tokenValue, tokenInfo]", "required: [tokenValue, tokenInfo, more]")):
            self.assertIn(right, text)
            spoilt = Contract(text.replace(right, wrong))
            with Server() as server:
                answer = server.ask("POST", "/v4/apiAccessTokens", {}, user="alice")
                self.contract.check("POST", "/v4/apiAccessTokens", answer)
                with self.assertRaises((AssertionError, jsonschema.ValidationError)):
                    spoilt.check("POST", "/v4/apiAccessTokens", answer)


if __name__ == "__main__":
    unittest.main()
