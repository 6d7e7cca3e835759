"""Bad input, limits, failing storage, secrets in the log, and the stop of the server.

    ACCESS_TOKENS_PAGE=program python3 test_limits.py
"""

import base64
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from support import PASSWORDS, Server

COLLECTION = "/v4/apiAccessTokens"


def raw(port, octets, pause=0.0):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in octets if isinstance(octets, list) else [octets]:
            connection.sendall(part)
            time.sleep(pause)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    return received


def cookie_of(jar):
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().__enter__()
        cls.addClassCleanup(cls.server.__exit__, None)
        cls.ask = cls.server.ask

    def refused(self, status, kind, **request):
        answer = self.ask("POST", COLLECTION, user="alice", **request)
        self.assertEqual((status, kind), (answer.status, answer.kind), request)
        return answer

    def test_every_field_too_long_or_of_another_type(self):
        before = len(self.ask("GET", COLLECTION, user="alice").json["data"])
        self.refused(400, "invalid-argument", body={"description": "x" * 1025})
        self.refused(400, "invalid-argument", body={"description": "é" * 513})
        self.refused(400, "invalid-argument", body={"description": "line\nline"})
        self.refused(400, "invalid-argument", body={"description": "zero\0"})
        self.refused(400, "unknown-scope", body={"scopes": ["x" * 129]})
        self.refused(400, "unknown-scope", body={"scopes": ["data:read"] * 65 + ["y"]})
        self.refused(400, "unknown-field", body={"owner": "bob"})
        self.refused(400, "unknown-field", body={"x" * 1000: 1})
        for value in (True, 1, [], {}):
            self.refused(400, "invalid-field", body={"description": value})
        for value in (True, "1", 1.5, 1e300, -1e300, 1e16, [], {}, 2**64):
            self.refused(400, "invalid-field", body={"lifetimeSeconds": value})
        self.assertEqual(201, self.ask("POST", COLLECTION, {"lifetimeSeconds": 60.0}, user="alice").status, "60.0 is a whole number")
        before += 1
        self.assertEqual(before, len(self.ask("GET", COLLECTION, user="alice").json["data"]), "nothing was made")
        _, name = self.server.generate("alice")
        answer = self.ask("POST", f"{COLLECTION}/{name}/revoke", {"reason": "x" * 1025}, user="alice")
        self.assertEqual(400, answer.status)
        self.assertEqual("active", self.ask("GET", f"{COLLECTION}/{name}", user="alice").json["status"])
        self.assertEqual(201, self.ask("POST", COLLECTION, {"description": "x" * 1024}, user="alice").status)

    def test_broken_bodies(self):
        json_type = {"Content-Type": "application/json"}
        for body in (b"", b"{", b"[]", b"null", b"1", b'{"description":"\xff"}', b'{"a":1}}', b"[" * 20000, b"\0"):
            self.refused(400, "malformed-json", raw=body, headers=json_type)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
            self.refused(415, "wrong-content-type", raw=b"{}", headers={"Content-Type": kind})
        answer = self.ask("POST", COLLECTION, raw=b"{}", headers={"Content-Type": "multipart/form-data; boundary=x"}, user="alice")
        self.assertEqual(400, answer.status)
        for kind in ("application/json; charset=utf-8", "Application/JSON"):
            self.assertEqual(201, self.ask("POST", COLLECTION, raw=b"{}", headers={"Content-Type": kind}, user="alice").status)

    def test_body_and_head_that_are_too_large(self):
        answer = self.ask("POST", COLLECTION, raw=b"x" * (65 << 10), headers={"Content-Type": "application/json"}, user="alice")
        self.assertEqual(413, answer.status)
        many = b"".join(b"X-%d: %s\r\n" % (i, b"a" * 100) for i in range(400))
        received = raw(self.server.port, b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
        self.assertTrue(received.startswith(b"HTTP/1.1 431 "), received[:80])
        self.assertEqual(431, json.loads(received.partition(b"\r\n\r\n")[2])["status"])
        self.assertEqual(1, received.count(b"HTTP/1.1"))
        self.assertTrue(raw(self.server.port, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 4"))
        self.assertEqual(200, self.ask("GET", "/").status, "and it goes on")

    def test_a_slow_sender_is_cut_off(self):
        began = time.monotonic()
        parts = [b"GET / HTTP/1.1\r\n"] + [b"X-A: b\r\n"] * 60
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as connection:
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                for part in parts:
                    connection.sendall(part)
                    time.sleep(0.3)
        self.assertLess(time.monotonic() - began, 16)

    def test_garbage_gets_an_error_and_the_server_goes_on(self):
        for octets in (b"\r\n\r\n", b"\0" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                       b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                       b"POST /session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
            received = raw(self.server.port, octets)
            self.assertTrue(received == b"" or b" 4" in received[:13], received[:80])
        for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/style.css/..", "/v4", "/v4/admin/none"):
            answer = self.ask("GET", path)
            self.assertEqual((404, "about:blank"), (answer.status, answer.kind))
        self.assertEqual(200, self.ask("GET", "/").status)

    def test_malformed_credentials(self):
        for value, status in (("Basic", 400), ("Basic !!!", 400), ("Basic " + base64.b64encode(b"alice").decode(), 400),
                              ("Bearer", 400), ("Bearer x", 401), ("Bearer " + "x" * 3000, 401), ("Digest x", 401)):
            self.assertEqual(status, self.ask("GET", COLLECTION, headers={"Authorization": value}).status, value[:20])
        token, _ = self.server.generate("alice")
        for path in (f"{COLLECTION}?access_token={token}", f"{COLLECTION}?token={token}"):
            self.assertEqual(401, self.ask("GET", path).status, "a token in an address is not taken")

    def test_security_headers_stand_on_every_answer(self):
        for path in ("/", "/app.js", "/session", COLLECTION, "/nothing"):
            headers = self.ask("GET", path).headers
            policy = headers["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual("nosniff", headers["X-Content-Type-Options"])
            self.assertEqual("no-referrer", headers["Referrer-Policy"])
            self.assertIn(headers["Cache-Control"], ("no-cache", "no-store") if path in ("/", "/app.js") else ("no-store", None))
        page = self.ask("GET", "/index.html").raw.decode()
        for inline in ("<style", " style=", "onclick", "javascript:", "<script>"):
            self.assertNotIn(inline, page)

    def test_storage_that_fails_is_503_and_nothing_is_lost(self):
        token, name = self.server.generate("alice", description="kept")
        browser = self.server.sign_in("alice")
        with self.server.without_storage():
            for method, path, who in (("GET", COLLECTION, {"user": "alice"}), ("POST", COLLECTION, {"user": "alice"}),
                                      ("GET", COLLECTION, {"token": token}), ("DELETE", f"{COLLECTION}/{name}", {"user": "alice"}),
                                      ("POST", f"{COLLECTION}/{name}/revoke", {"headers": browser}), ("GET", "/session", {"headers": browser}),
                                      ("GET", "/v4/admin/people", {"user": "ada"})):
                answer = self.ask(method, path, {} if method == "POST" else None, **who)
                self.assertEqual(503, answer.status, (method, path, answer.raw))
                self.assertIn(answer.kind, ("unavailable", "outcome-unknown"))
                self.assertEqual("1", answer.headers["Retry-After"])
        answer = self.ask("GET", f"{COLLECTION}/{name}", token=token)
        self.assertEqual((200, "active", "kept"), (answer.status, answer.json["status"], answer.json["description"]))

    def test_no_secret_is_in_the_log(self):
        token, _ = self.server.generate("alice", description="canary description")
        self.ask("GET", f"{COLLECTION}?access_token={token}")
        self.ask("GET", f"/{token}")
        self.ask("GET", COLLECTION, token=token[:-1])
        browser = self.server.sign_in("bob")
        self.ask("GET", COLLECTION, headers=browser)
        log = self.server.log
        self.assertIn("POST /v4/apiAccessTokens: 201", log, "the control: the log is written")
        secrets = [token[24:67], PASSWORDS["alice"], PASSWORDS["bob"], browser["Cookie"].split("=")[1], browser["X-CSRF-Token"],
                   "canary description", "access_token"]
        for secret in secrets:
            self.assertNotIn(secret, log)


class Alone(unittest.TestCase):
    """What needs a server of its own."""

    def test_sign_in_is_limited_per_address(self):
        with Server("--sign-in-burst", "3", "--sign-in-interval", "6000", "--address-header", "X-Real-IP") as server:
            def attempt(address, password="wrong"):
                return server.ask("POST", "/session", {"user": "alice", "password": password}, headers={"X-Real-IP": address})

            self.assertEqual([401, 401, 401], [attempt("192.0.2.1").status for _ in range(3)])
            answer = attempt("192.0.2.1", PASSWORDS["alice"])
            self.assertEqual((429, "too-many-attempts"), (answer.status, answer.kind), "not even with the right one")
            wait = int(answer.headers["Retry-After"])
            self.assertTrue(1 <= wait <= 6, wait)
            basic = {"X-Real-IP": "192.0.2.1", "Authorization": "Basic " + base64.b64encode(b"alice:alice-demo").decode()}
            self.assertEqual(429, server.ask("GET", COLLECTION, headers=basic).status, "no way around it")
            self.assertEqual(201, attempt("192.0.2.2", PASSWORDS["alice"]).status, "others are not held up")
            self.assertEqual([401, 401, 401, 429], [attempt(f"2001:db8::{i}").status for i in range(1, 5)], "one /64")
            time.sleep(wait)
            self.assertEqual(201, attempt("192.0.2.1", PASSWORDS["alice"]).status)

    def test_an_address_counts_as_one_client_however_a_proxy_writes_it(self):
        spellings = (("192.0.2.1", "192.0.2.1:4711", "192.0.2.1:1", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80", " 192.0.2.1 ", "10.0.0.1, 192.0.2.1"),
                     ("2001:db8::1", "[2001:db8::1]:443", "[2001:db8::1]", "2001:DB8:0::1", "2001:db8::1%eth0", "[2001:db8::1%2]:9", "2001:db8:0:0::ffff"))
        with Server("--sign-in-burst", "3", "--sign-in-interval", "3600000", "--address-header", "X-Real-IP") as server:
            def attempt(address):
                return server.ask("POST", "/session", {"user": "alice", "password": "wrong"}, headers={"X-Real-IP": address}).status

            for client in spellings:
                self.assertEqual([401, 401, 401, 429, 429, 429, 429], [attempt(address) for address in client], client)
            for nonsense in ("192.0.2.1:x", "192.0.2.256", "[2001:db8::2", "unknown", "", "192.0.2.9:123456"):
                server.ask("POST", "/session", {"user": "alice", "password": "wrong"}, headers={"X-Real-IP": nonsense})
            self.assertEqual(429, server.ask("POST", "/session", {"user": "alice", "password": "wrong"}).status,
                             "what is no address counts as the proxy's own")
            self.assertEqual(401, attempt("192.0.2.2"), "the control: another address is another client")

    def test_last_used_from_is_an_address_without_a_port(self):
        with Server("--address-header", "X-Real-IP") as server:
            token, name = server.generate("alice")
            for written, shown in (("192.0.2.7:4711", "192.0.2.7"), ("[2001:DB8::7]:443", "2001:db8::7"), ("fe80::7%eth0", "fe80::7"), ("no", "127.0.0.1")):
                self.assertEqual(200, server.ask("GET", COLLECTION, token=token, headers={"X-Real-IP": written}).status)
                self.assertEqual(shown, server.ask("GET", f"{COLLECTION}/{name}", user="alice").json["lastUsedFrom"], written)

    def test_two_servers_on_one_host_do_not_sign_each_other_out(self):
        for options, names in (((), None), (("--session-cookie", "other"), "other")):
            with Server() as one, Server(*options) as other:
                jar = {}  # a browser sends what one of them set to the other as well: cookies know no ports
                for server in (one, other):
                    answer = server.ask("POST", "/session", {"user": "alice", "password": PASSWORDS["alice"]}, headers=cookie_of(jar))
                    name, _, value = answer.headers["Set-Cookie"].split(";")[0].partition("=")
                    self.assertEqual((names if server is other else None) or f"session-{server.port}", name)
                    jar[name] = value
                for server in (one, other):
                    self.assertEqual("alice", server.ask("GET", "/session", headers=cookie_of(jar)).json["user"])
        for name in ("", "a b", "a;b", "x" * 65):
            done = subprocess.run([os.environ["ACCESS_TOKENS_PAGE"], "--demo", "--session-cookie", name], text=True, capture_output=True, timeout=60)
            self.assertNotEqual(0, done.returncode)
            self.assertIn("a cookie's name is 1 to 64 letters", done.stdout + done.stderr, name)

    def test_behind_tls_the_cookie_is_secure(self):
        with Server("--secure") as server:
            answer = server.ask("POST", "/session", {"user": "alice", "password": PASSWORDS["alice"]})
            self.assertRegex(answer.headers["Set-Cookie"], r"^__Host-session-\d+=.*; Secure$")
            self.assertIn("max-age", answer.headers["Strict-Transport-Security"])

    def test_an_unused_session_ends(self):
        with Server("--session-idle", "1") as server:
            browser = server.sign_in("alice")
            self.assertEqual(200, server.ask("GET", COLLECTION, headers=browser).status)
            time.sleep(1.3)
            answer = server.ask("POST", COLLECTION, {}, headers=browser)
            self.assertEqual((401, "session-ended"), (answer.status, answer.kind))

    def test_a_request_under_way_is_answered_when_the_server_is_stopped(self):
        with Server() as server:
            received = []

            def send_slowly():
                head = b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"
                received.append(raw(server.port, [head, b"}"], pause=1.0))

            sender = threading.Thread(target=send_slowly)
            sender.start()
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            sender.join()
            self.assertTrue(received[0].startswith(b"HTTP/1.1 401 "), received[0][:60])

    def test_a_stop_right_after_the_start_is_heard(self):
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cpus)})  # with more to do than one CPU can, what could come late does
        busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(4)]
        try:
            for _ in range(6):
                with Server():
                    pass  # it is told to stop as soon as it has said where it listens
        finally:
            os.sched_setaffinity(0, cpus)
            for process in busy:
                process.kill()
                process.wait()

    def test_a_flood_of_connections_is_left_outside(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        with Server() as server, contextlib.ExitStack() as flood:
            def open_files():
                return len(os.listdir(f"/proc/{server.process.pid}/fd"))

            before = open_files()
            most = after = 0
            for _ in range(900):  # fewer than it could have open: it is the bound that holds, not the system's
                connection = flood.enter_context(socket.socket())
                connection.settimeout(5)
                try:
                    connection.connect(("127.0.0.1", server.port))
                except TimeoutError:
                    pass  # left outside
                most = max(most, open_files() - before)
                after += most > 240
                if after == 100:  # enough to go beyond the bound, were there none
                    break
            self.assertGreater(most, 100, "the flood arrived")
            self.assertLess(most, 300)
            flood.close()
            self.assertEqual(200, server.ask("GET", "/").status, "and it goes on")

    def test_people_are_added_and_the_file_is_closed_to_others(self):
        program = os.environ["ACCESS_TOKENS_PAGE"]
        with tempfile.TemporaryDirectory() as folder:
            accounts = os.path.join(folder, "accounts.json")
            done = subprocess.run([program, "--accounts", accounts, "--add-user", "eve"], input="a good password\n", text=True,
                                  capture_output=True, timeout=60)
            self.assertEqual((0, "eve may sign in\n"), (done.returncode, done.stdout), done.stderr)
            self.assertEqual(0o600, os.stat(accounts).st_mode & 0o777)
            with open(accounts, encoding="utf-8") as file:
                content = file.read()
            self.assertIn("$argon2id$", content)
            self.assertNotIn("a good password", content)
            short = subprocess.run([program, "--accounts", accounts, "--add-user", "eve"], input="short\n", text=True,
                                   capture_output=True, timeout=60)
            self.assertEqual(1, short.returncode)
            with Server("--accounts", accounts, demo=False) as server:
                self.assertEqual(201, server.ask("POST", "/session", {"user": "eve", "password": "a good password"}).status)
                self.assertEqual(401, server.ask("POST", "/session", {"user": "alice", "password": "alice-demo"}).status)

    def test_the_demo_stays_on_loopback_and_a_place_is_needed(self):
        program = os.environ["ACCESS_TOKENS_PAGE"]
        for arguments, said in ((["--demo", "--listen", "0.0.0.0"], "loopback"), ([], "--db")):
            done = subprocess.run([program, *arguments], text=True, capture_output=True, timeout=60)
            self.assertEqual((1, 1), (done.returncode, done.stderr.count("\n")))
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
