"""Starts the real server for the tests, and asks it over HTTP as Python's standard library does.

ACCESS_TOKENS_PAGE names the server's program.
"""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from hidden_tables import hidden_tables

PASSWORDS = {"alice": "alice-demo", "bob": "bob-demo", "ada": "ada-demo"}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()

    @property
    def type(self):
        return (self.headers.get("Content-Type") or "").split(";")[0]

    @property
    def json(self):
        return json.loads(self.raw)

    @property
    def kind(self):
        """What the problem document is called."""
        assert self.type == "application/problem+json", (self.status, self.type, self.raw[:200])
        assert self.json["status"] == self.status and self.json["title"], self.json
        return self.json["type"].removeprefix("urn:access-tokens:problem:")


class Server:
    """A server with a store of its own. `with Server() as server:` `database=False`: the options say where."""

    def __init__(self, *options, database=None, demo=True):
        self.folder = tempfile.TemporaryDirectory()
        self.work = pathlib.Path(self.folder.name)
        self.database = self.work / "tokens.db" if database is None else database
        self.log_path = self.work / "log"
        place = ["--db", self.database] if self.database else []
        self.options = [*(["--demo"] if demo else []), *place, "--port", "0", *options]
        if "--sign-in-burst" not in options:
            self.options += ["--sign-in-burst", "1000000"]

    def __enter__(self):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([os.environ["ACCESS_TOKENS_PAGE"], *self.options], stdout=subprocess.PIPE,
                                            stderr=log, text=True)
        while line := self.process.stdout.readline():
            if match := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self.port = int(match[1])
                return self
        raise AssertionError(f"the server ended: {self.log}")

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        outcome = self.process.wait(timeout=180)
        output = self.process.stdout.read()
        self.process.stdout.close()
        if kind is None:
            assert outcome == 0 and output.endswith("stopped\n"), (outcome, output, self.log)
        self.folder.cleanup()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self):
        return self.log_path.read_text(encoding="utf-8")

    def ask(self, method, path, body=None, *, user=None, token=None, headers=None, raw=None):
        """`body` is sent as JSON, `raw` as it is."""
        sent = dict(headers or {})
        if user:
            pair = f"{user}:{PASSWORDS.get(user, user)}".encode()
            sent["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            raw = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        with contextlib.closing(connection):
            connection.request(method, path, body=raw, headers=sent)
            return Answer(connection.getresponse())

    def generate(self, user="alice", **body):
        answer = self.ask("POST", "/v4/apiAccessTokens", {"lifetimeSeconds": 1000, **body}, user=user)
        assert answer.status == 201, answer.raw
        return answer.json["tokenValue"], answer.json["tokenInfo"]["tokenId"]

    def sign_in(self, user):
        """A browser's headers: the cookie, and the CSRF token for changes."""
        answer = self.ask("POST", "/session", {"user": user, "password": PASSWORDS[user]})
        assert answer.status == 201, answer.raw
        cookie = answer.headers["Set-Cookie"].split(";")[0]
        return {"Cookie": cookie, "X-CSRF-Token": answer.json["csrfToken"]}

    def without_storage(self):
        """Without its tables the database answers everything with an error."""
        return hidden_tables(self.database)
