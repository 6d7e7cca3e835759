"""Real HTTP requests against examples/cpp/guarded_server.cpp: every status and header of RFC 6750.

    GUARDED_SERVER=program TOKENSTORE=command python3 test_guarded_server.py
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
from hidden_tables import hidden_tables

SERVER = os.environ["GUARDED_SERVER"]
COMMAND = os.environ["TOKENSTORE"]
REALM = 'Bearer realm="notes"'
INVALID_TOKEN = REALM + ', error="invalid_token", error_description="the token is not valid"'


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:])]

    def header(self, name):
        found = [value for key, value in self.headers if key == name.lower()]
        assert len(found) <= 1, f"{name} stands there {len(found)} times"
        return found[0] if found else None


class GuardedServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.work = pathlib.Path(cls.folder.name)
        cls.database = cls.work / "tokens.db"
        cls.command("init")
        cls.start()

    @classmethod
    def tearDownClass(cls):
        cls.stop()
        cls.folder.cleanup()

    @classmethod
    def start(cls, *arguments):
        cls.log = open(cls.work / "server.log", "a+", encoding="utf-8")
        cls.server = subprocess.Popen([SERVER, "--db", cls.database, "--port", "0", "--use-interval", "1", *arguments],
                                      stdout=subprocess.PIPE, stderr=cls.log, text=True)
        line = cls.server.stdout.readline()
        match = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", line)
        assert match, f"the server said {line!r}"
        cls.port = int(match[1])

    @classmethod
    def stop(cls):
        cls.server.send_signal(signal.SIGTERM)
        outcome = cls.server.wait(timeout=20)
        rest = cls.server.stdout.read()
        cls.server.stdout.close()
        cls.log.close()
        assert outcome == 0 and rest == "stopped\n", f"the server ended with {outcome} and {rest!r}"

    @classmethod
    def command(cls, *arguments, check=True):
        done = subprocess.run([COMMAND, "--db", cls.database, "--quiet", *arguments], text=True, capture_output=True,
                              timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    @classmethod
    def issue(cls, *scopes, owner="alice", **options):
        arguments = [part for scope in scopes for part in ("--scope", scope)]
        arguments += [part for name, value in options.items() for part in ("--" + name, value)]
        text = cls.command("issue", owner, *arguments)
        return text, text.rsplit("_", 2)[1][3:]

    def raw(self, octets):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(octets)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return received

    def ask(self, *headers, method="GET", path="/notes", body=b""):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        return Answer(self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + body))

    def ask_as(self, token, **request):
        return self.ask(f"Authorization: Bearer {token}", **request)

    def test_open_page_needs_no_token(self):
        answer = self.ask(path="/")
        self.assertEqual((200, None), (answer.status, answer.header("WWW-Authenticate")))

    def test_no_token_is_401_without_an_error_code(self):
        for headers in ([], ["Authorization: Basic YWxpY2U6c2VjcmV0"], ["Authorization: Bearerpat_1"],
                        ["X-Authorization: Bearer x"]):
            answer = self.ask(*headers)
            self.assertEqual((401, REALM), (answer.status, answer.header("WWW-Authenticate")), headers)

    def test_valid_token_is_200_and_reads_and_writes_its_owners_notes(self):
        alice, _ = self.issue("notes:read", "notes:write", "profile:read")
        bob, _ = self.issue("notes:read", owner="bob")
        self.assertEqual(201, self.ask_as(alice, method="POST", body=b"buy milk").status)
        answer = self.ask_as(alice)
        self.assertEqual((200, None), (answer.status, answer.header("WWW-Authenticate")))
        self.assertEqual("no-store", answer.header("Cache-Control"))
        self.assertIn(b"buy milk", answer.body)
        self.assertNotIn(b"buy milk", self.ask_as(bob).body)
        self.assertIn(b'"owner": "alice"', self.ask_as(alice, path="/whoami").body)
        self.assertEqual(204, self.ask_as(alice, method="DELETE").status)
        self.assertNotIn(b"buy milk", self.ask_as(alice).body)

    def test_scheme_is_taken_in_either_case_and_the_token_is_not(self):
        token, _ = self.issue("notes:read")
        for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
            self.assertEqual(200, self.ask(f"Authorization: {scheme} {token}").status)
            self.assertEqual(200, self.ask(f"authorization: {scheme} {token}").status)
        swapped = token.swapcase()
        self.assertEqual(401, self.ask_as(swapped).status)

    def test_wrong_scope_is_403_and_names_the_scope(self):
        token, _ = self.issue("notes:read")
        for method, path, scope in (("POST", "/notes", "notes:write"), ("DELETE", "/notes", "notes:write"),
                                    ("GET", "/whoami", "profile:read")):
            answer = self.ask_as(token, method=method, path=path)
            self.assertEqual(403, answer.status)
            self.assertEqual(f'{REALM}, error="insufficient_scope", scope="{scope}"', answer.header("WWW-Authenticate"))

    def test_empty_scopes_grant_nothing(self):
        token, _ = self.issue()
        self.assertEqual(403, self.ask_as(token).status)

    def test_every_bad_token_has_one_and_the_same_answer(self):
        good, _ = self.issue("notes:read")
        expired, expired_id = self.issue("notes:read")
        revoked, revoked_id = self.issue("notes:read")
        deleted, deleted_id = self.issue("notes:read")
        for token in (expired, revoked, deleted):
            self.assertEqual(200, self.ask_as(token).status)
        self.command("expire", expired_id)
        self.command("revoke", revoked_id)
        self.command("delete", deleted_id, "--yes")
        last = "0" if good[-1] != "0" else "1"
        bad = {"expired": expired, "revoked": revoked, "deleted": deleted, "flipped": good[:-1] + last,
               "short": good[:-1], "long": good + "0", "two words": good + " " + good, "list": good + ", Bearer x",
               "other prefix": "ghp" + good[3:], "word": "secret", "quoted": f'"{good}"', "latin": "p\xe4t_1",
               "id": good.rsplit("_", 1)[0]}
        answers = set()
        for what, token in bad.items():
            answer = self.ask_as(token)
            self.assertEqual((401, INVALID_TOKEN), (answer.status, answer.header("WWW-Authenticate")), what)
            answers.add((answer.body, tuple(name for name, _ in answer.headers)))
        self.assertEqual(1, len(answers), "a client could tell the reasons apart")
        self.assertEqual(200, self.ask_as(good).status)

    def test_suspended_owner_is_refused_until_resumed(self):
        token, _ = self.issue("notes:read", owner="carol")
        self.assertEqual(200, self.ask_as(token).status)
        self.command("owner", "suspend", "carol")
        self.assertEqual(401, self.ask_as(token).status)
        self.command("owner", "resume", "carol")
        self.assertEqual(200, self.ask_as(token).status)

    def test_ambiguous_credentials_are_400(self):
        token, _ = self.issue("notes:read")
        for headers in ([f"Authorization: Bearer {token}", "Authorization: Bearer x"],
                        [f"Authorization: Bearer {token}", f"authorization: bearer {token}"],
                        ["Authorization: Basic eA==", f"Authorization: Bearer {token}"],
                        ["Authorization: Bearer"], ["Authorization: Bearer "]):
            answer = self.ask(*headers)
            self.assertEqual(400, answer.status, len(headers))
            self.assertEqual(f'{REALM}, error="invalid_request"', answer.header("WWW-Authenticate"))

    def test_token_in_url_or_form_is_not_taken(self):
        token, _ = self.issue("notes:read", "notes:write")
        self.assertEqual(401, self.ask(path=f"/notes?access_token={token}").status)
        answer = self.ask("Content-Type: application/x-www-form-urlencoded", method="POST",
                          body=f"access_token={token}".encode())
        self.assertEqual(401, answer.status)

    def test_garbage_never_gets_through_and_the_server_goes_on(self):
        token, _ = self.issue("notes:read")
        garbage = [b"\x00" * 100, b"GET\r\n\r\n", b"\r\n\r\n", b"GET /notes HTTP/9.9\r\n\r\n", os.urandom(2000),
                   b"GET /notes HTTP/1.1\r\nAuthorization\r\n\r\n", b"GET /notes HTTP/1.1\r\n: Bearer x\r\n\r\n",
                   b"GET /notes HTTP/1.1\r\nAuthorization: Bearer " + b"A" * 9000 + b"\r\nConnection: close\r\n\r\n",
                   b"GET /notes HTTP/1.1\r\nAuthorization: Bearer \x00\x01\xff\r\nConnection: close\r\n\r\n",
                   b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n"]
        for octets in garbage:
            with self.subTest(octets=octets[:40]):
                try:
                    received = self.raw(octets)
                except (ConnectionError, TimeoutError):
                    received = b""
                if received:
                    self.assertNotEqual(b" 2", received[8:10], received[:60])
        for size in (100, 1000, 4000, 8000):
            self.assertEqual(401, self.ask_as("A" * size).status, size)
        self.assertEqual(200, self.ask_as(token).status)

    def test_a_method_that_a_path_does_not_have_is_405_and_says_which_it_has(self):
        for method, path, status, allowed in (("PUT", "/notes", 405, "OPTIONS, DELETE, GET, HEAD, POST"), ("POST", "/whoami", 405, "OPTIONS, GET, HEAD"),
                                              ("BREW", "/token", 405, "OPTIONS, DELETE"), ("OPTIONS", "/notes", 204, "OPTIONS, DELETE, GET, HEAD, POST"),
                                              ("DELETE", "/", 405, "OPTIONS, GET, HEAD"), ("GET", "/nothing", 404, None), ("PUT", "/nothing", 404, None)):
            answer = self.ask(method=method, path=path)
            self.assertEqual((status, allowed), (answer.status, answer.header("Allow")), (method, path))

    def test_a_post_without_a_body_is_answered_at_once_and_one_with_two_ends_is_refused(self):
        token, _ = self.issue("notes:write")
        head = f"POST /notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        began = time.monotonic()
        self.assertEqual(201, Answer(self.raw(f"{head}\r\n".encode())).status)
        self.assertLess(time.monotonic() - began, 3)
        received = self.raw(f"{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.assertEqual((400, 1), (Answer(received).status, received.count(b"HTTP/1.1 ")))

    def test_a_part_of_an_answer_is_never_asked_for_with_success(self):
        token, _ = self.issue("notes:read")
        for asked in ("bytes=0-0", "bytes=9-1", "nonsense"):
            answer = self.ask(f"Authorization: Bearer {token}", f"Range: {asked}")
            self.assertEqual((200, None), (answer.status, answer.header("Content-Range")), asked)

    def test_body_that_is_too_large_is_refused(self):
        token, _ = self.issue("notes:write")
        self.assertEqual(413, self.ask_as(token, method="POST", body=b"x" * 70_000).status)

    def test_last_use_is_seen_by_the_command(self):
        token, token_id = self.issue("notes:read")
        self.assertEqual(200, self.ask_as(token).status)
        deadline = time.monotonic() + 20
        while "127.0.0.1" not in (shown := self.command("--json", "show", token_id)):
            self.assertLess(time.monotonic(), deadline, f"the last use is not there: {shown}")
            time.sleep(0.1)

    def test_log_names_reasons_and_ids_but_nothing_that_a_client_sent(self):
        token, token_id = self.issue("notes:read")
        self.assertEqual(200, self.ask_as(token, path=f"/notes?access_token={token}").status)
        self.assertEqual(404, self.ask_as(token, path=f"/{token}").status)
        self.command("revoke", token_id)
        self.assertEqual(401, self.ask_as(token).status)
        log = (self.work / "server.log").read_text(encoding="utf-8")
        self.assertRegex(log, rf"GET /notes: 200 \(none, token {token_id}\)")
        self.assertIn("GET /notes: 401 (revoked)", log)
        secret = token.rsplit("_", 1)[1]
        for start in range(0, 43 - 8):
            self.assertNotIn(secret[start : start + 8], log)

    def test_storage_that_cannot_be_read_is_503_and_not_401(self):
        token, _ = self.issue("notes:read")
        self.assertEqual(200, self.ask_as(token).status)
        with hidden_tables(self.database):
            answer = self.ask_as(token)
        self.assertEqual(503, answer.status)
        self.assertEqual("1", answer.header("Retry-After"))
        self.assertIsNone(answer.header("WWW-Authenticate"))
        self.assertEqual(200, self.ask_as(token).status, "and it works again afterwards")

    def test_request_under_way_is_answered_when_the_server_is_stopped(self):
        token, _ = self.issue("notes:read", "notes:write")
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(f"POST /notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                               "Content-Length: 4\r\nConnection: close\r\n\r\nmi".encode())
            time.sleep(0.3)
            self.server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(b"lk")
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        self.assertEqual(201, Answer(received).status)
        cls = type(self)
        self.assertEqual(0, self.server.wait(timeout=20))
        self.server.stdout.close()
        self.log.close()
        cls.start()

    def test_two_servers_cannot_take_one_port(self):
        done = subprocess.run([SERVER, "--db", self.database, "--port", str(self.port)], text=True, capture_output=True,
                              timeout=20)
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertIn("cannot listen on 127.0.0.1", done.stderr)

    def test_database_that_cannot_be_opened_ends_with_one_clear_line(self):
        done = subprocess.run([SERVER, "--db", "/nowhere/at/all.db", "--port", "0"], text=True, capture_output=True,
                              timeout=20)
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
