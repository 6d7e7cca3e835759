"""The service of examples/python as it is meant to run: gunicorn with --preload and two workers, over real HTTP."""

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import serving
import tokenstore
from conftest import HOST, TREE, leaked

PASSWORDS = {"alice": "first-password", "bob": "second-password"}


class Service:
    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "log"
        environment = {
            **os.environ,
            "NOTES_TOKENS": str(folder / "tokens.db"),
            "NOTES_DATABASE": str(folder / "notes.db"),
            "NOTES_ACCOUNTS": " ".join(f"{name}:{word}" for name, word in PASSWORDS.items()),
        }
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--worker-class"]
        command += ["uvicorn.workers.UvicornWorker", "--bind", "127.0.0.1:0", "--graceful-timeout", "10", "service:app"]
        place = TREE / "examples" / "python"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, cwd=place, env=environment, stderr=log, stdout=log)
        self.client = serving.Client(self.when(r"Listening at: http://127\.0\.0\.1:(\d+)"))
        deadline = time.monotonic() + 30
        while self.read().count("Application startup complete") < 2:
            assert time.monotonic() < deadline, self.read()
            time.sleep(0.05)

    def read(self):
        return self.log.read_text()

    def when(self, pattern):
        deadline = time.monotonic() + 30
        while not (found := re.search(pattern, self.read())):
            assert self.process.poll() is None and time.monotonic() < deadline, self.read()
            time.sleep(0.05)
        return int(found[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def person(self, method, path, name="alice", password=None, body=None):
        word = base64.b64encode(f"{name}:{password or PASSWORDS[name]}".encode()).decode()
        octets = b"" if body is None else json.dumps(body).encode()
        headers = [f"Authorization: Basic {word}", "Content-Type: application/json"]
        return self.client.ask(path, *headers, method=method, body=octets)

    def issue(self, *scopes, name="alice", **more):
        answer = self.person("POST", "/tokens", name, body={"description": "laptop", "scopes": scopes, **more})
        assert answer.status == 201, answer.body
        made = json.loads(answer.body)
        return made["token"], made["id"]

    def workers_that_answer(self, ask):
        """The answers of at least one request to each worker."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        workers = [int(word) for word in children.split()]
        assert len(workers) == 2
        answers = []
        for stopped in workers:
            # The other one has to answer.
            os.kill(stopped, signal.SIGSTOP)
            try:
                answers.append(ask())
            finally:
                os.kill(stopped, signal.SIGCONT)
        return answers


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = Service(tmp_path_factory.mktemp("service"))
    yield running
    assert running.stop() == 0, running.read()
    assert "Traceback" not in running.read()


def test_a_token_s_life_is_the_same_in_every_worker(service):
    token, token_id = service.issue("notes:read", "notes:write", "profile:read")

    def who():
        return service.client.ask_as(token, "/whoami")

    for _ in range(2):  # a miss and a hit in each
        for answer in service.workers_that_answer(who):
            assert (answer.status, json.loads(answer.body)["owner"]) == (200, "alice")
    assert service.client.ask_as(token, "/notes", method="POST", body=b"buy milk").status == 201
    for answer in service.workers_that_answer(lambda: service.client.ask_as(token, "/notes")):
        assert json.loads(answer.body) == {"notes": ["buy milk"]}
    listed = json.loads(service.person("GET", "/tokens").body)["tokens"]
    assert [one["state"] for one in listed if one["id"] == token_id] == ["active"]
    assert not leaked(token, json.dumps(listed))
    assert service.person("DELETE", f"/tokens/{token_id}").status == 204
    for answer in service.workers_that_answer(who):
        assert answer.status == 401 and 'error="invalid_token"' in answer.header("WWW-Authenticate")
    listed = json.loads(service.person("GET", "/tokens").body)["tokens"]
    assert [one["state"] for one in listed if one["id"] == token_id] == ["revoked"]


def test_a_token_that_one_worker_ends_is_refused_by_the_very_next_request_to_any(service):
    for _ in range(20):
        token, _ = service.issue("profile:read")
        assert service.client.ask_as(token, "/whoami").status == 200
        assert service.client.ask_as(token, "/whoami").status == 200
        assert service.client.ask_as(token, "/token", method="DELETE").status == 204
        assert service.client.ask_as(token, "/whoami").status == 401


def test_each_route_demands_its_own_scope(service):
    reader, _ = service.issue("notes:read")
    for method, path, scope in (
        ("POST", "/notes", "notes:write"),
        ("DELETE", "/notes", "notes:write"),
        ("GET", "/whoami", "profile:read"),
        ("DELETE", "/token", "profile:read"),
    ):
        answer = service.client.ask_as(reader, path, method=method)
        expected = f'Bearer realm="notes", error="insufficient_scope", scope="{scope}"'
        assert (answer.status, answer.header("WWW-Authenticate")) == (403, expected)
    assert service.client.ask_as(reader, "/notes").status == 200
    assert service.client.ask("/notes").header("WWW-Authenticate") == 'Bearer realm="notes"'
    assert service.client.ask("/").status == 200
    assert service.client.ask_as(reader, "/notes").header("Cache-Control") == "no-store"


def test_nobody_sees_or_ends_what_is_another_s(service):
    token, token_id = service.issue("notes:read")
    assert service.person("DELETE", f"/tokens/{token_id}", "bob").status == 404
    assert service.person("DELETE", "/tokens/nothing", "bob").status == 404
    assert token_id not in service.person("GET", "/tokens", "bob").body.decode()
    assert service.person("GET", "/tokens", "alice", "wrong").status == 401
    assert service.person("GET", "/tokens", "mallory", "x").status == 401
    assert service.client.ask_as(token, "/tokens").status == 401, "a token makes and lists no tokens"
    assert service.client.ask_as(token, "/notes").status == 200


def test_what_is_wrong_is_said(service):
    for body, status in (
        ({"description": "x", "scopes": []}, 422),
        ({"description": "x", "scopes": ["admin"]}, 422),
        ({"description": "x", "scopes": ["notes:read"], "days": 0}, 422),
        ({"description": "x" * 201, "scopes": ["notes:read"]}, 422),
        ({"description": "a\nb", "scopes": ["notes:read"]}, 422),
    ):
        assert service.person("POST", "/tokens", body=body).status == status, body
    assert service.person("GET", "/tokens?cursor=nonsense").status == 422
    writer, _ = service.issue("notes:write", name="bob")
    assert service.client.ask_as(writer, "/notes", method="POST", body=b"x" * 70_000).status == 413
    for _ in range(100):
        assert service.client.ask_as(writer, "/notes", method="POST", body=b"\xff").status == 201
    assert service.client.ask_as(writer, "/notes", method="POST", body=b"x").status == 409
    assert service.client.ask_as(writer, "/notes", method="DELETE").status == 204


def test_the_command_and_other_processes_use_the_same_file(service):
    token, token_id = service.issue("profile:read")
    assert service.client.ask_as(token, "/whoami").status == 200
    with tokenstore.open(service.folder / "tokens.db") as store:
        assert store.validate(token, "profile:read").owner == "alice"
        store.suspend(HOST, "alice")
        answers = service.workers_that_answer(lambda: service.client.ask_as(token, "/whoami"))
        assert [answer.status for answer in answers] == [401, 401]
        store.resume(HOST, "alice")
        assert service.client.ask_as(token, "/whoami").status == 200


def test_storage_that_fails_is_503_for_tokens_and_for_people(service):
    token, _ = service.issue("profile:read")
    hide = [sys.executable, str(TREE / "tests" / "support" / "hidden_tables.py")]
    subprocess.run([*hide, "hide", service.folder / "tokens.db"], check=True)
    try:
        answers = [service.client.ask_as(token, "/whoami"), service.person("GET", "/tokens")]
    finally:
        subprocess.run([*hide, "show", service.folder / "tokens.db"], check=True)
    assert [(answer.status, answer.header("Retry-After")) for answer in answers] == [(503, "1"), (503, "1")]
    assert service.client.ask_as(token, "/whoami").status == 200


def test_last_uses_are_written_by_the_workers_and_the_log_holds_no_token(tmp_path):
    service = Service(tmp_path)
    token, token_id = service.issue("profile:read")
    for answer in service.workers_that_answer(lambda: service.client.ask_as(token, "/whoami")):
        assert answer.status == 200
    assert service.client.ask_as(token, "/notes").status == 403
    assert service.stop() == 0
    with tokenstore.open(tmp_path / "tokens.db") as store:
        assert store.get(HOST, token_id).last_used_from == "127.0.0.1"
    log = service.read()
    assert f"a token was refused: insufficient_scope, token {token_id}" in log and "back it up" in log
    assert not leaked(token, log) and PASSWORDS["alice"] not in log
