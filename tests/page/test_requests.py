"""How the server reads requests: where each one ends, which method a path has, and that every answer is whole.

    ACCESS_TOKENS_PAGE=program python3 test_requests.py
"""

import contextlib
import gzip
import http.client
import socket
import time
import unittest

from support import Server

COLLECTION = "/v4/apiAccessTokens"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def answers_in(received):
    """Status and body of each answer that the octets hold; the last ends with them."""
    found = []
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        assert separator and head.startswith(b"HTTP/1.1 "), received[:80]
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        size = int(fields.get(b"content-length", b"0"))
        found.append((int(head.split(b" ")[1]), rest[:size]))
        received = rest[size:]
    return found


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().__enter__()
        cls.addClassCleanup(cls.server.__exit__, None)
        cls.ask = cls.server.ask
        cls.token, cls.token_id = cls.server.generate("alice", scopes=["data:read", "tokens:manage"])

    def exchange(self, *parts, pause=0.0):
        """All that the server answers until it closes the connection, or half a second after the last octet."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as connection:
            for part in parts:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(part)
                time.sleep(pause)
            connection.settimeout(0.5)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while chunk := connection.recv(65536):
                    received += chunk
        return answers_in(received)

    def statuses(self, *parts, **more):
        return [status for status, _ in self.exchange(*parts, **more)]

    def head(self, line, *fields):
        fields = ("Host: x", f"Authorization: Bearer {self.token}", *fields)
        return "\r\n".join([f"{line} HTTP/1.1", *fields, "", ""]).encode()

    def post(self, *fields):
        return self.head(f"POST {COLLECTION}", "Content-Type: application/json", *fields)

    def test_a_request_without_body_and_length_is_answered_at_once(self):
        _, name = self.server.generate("alice")
        for line, status in ((f"POST {COLLECTION}/{name}/revoke", 200), (f"POST {COLLECTION}", 415), ("POST /revoke", 415),
                             ("PUT /v4/admin/workspace", 405), ("PATCH /v4/admin/workspace", 403), (f"DELETE {COLLECTION}/{name}", 204)):
            began = time.monotonic()
            self.assertEqual([status], self.statuses(self.head(line)), line)
            self.assertLess(time.monotonic() - began, 3, line)

    def test_a_request_whose_end_is_ambiguous_is_refused_and_what_follows_is_not_served(self):
        chunked, length = "Transfer-Encoding: chunked", "Content-Length: 5"
        for fields in ((length, chunked), (chunked, length), ("Content-Length: 5", "Content-Length: 5"), ("Content-Length: 5, 5",),
                       ("Content-Length: +5",), ("Content-Length: 0x5",), ("Content-Length: -1",), ("Content-Length:",),
                       (chunked, chunked), ("Content-Length : 5",), ("Content-Length: 5\r\n ",), ("X: y\nContent-Length: 5",),
                       ("X: a\rb",), ("X: a\0b",), ("Host: y",), ("no colon",), ("a b: c",)):
            self.assertEqual([400], self.statuses(self.post(*fields) + b"0\r\n\r\n" + SMUGGLED), fields)
        for coding in ("gzip, chunked", "identity", "chunked, chunked", "xchunked"):
            self.assertEqual([501], self.statuses(self.post(f"Transfer-Encoding: {coding}") + b"0\r\n\r\n" + SMUGGLED), coding)
        self.assertEqual([413], self.statuses(self.post("Content-Length: 99999999999999999999") + SMUGGLED))
        self.assertEqual([400], self.statuses(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED))
        self.assertEqual([400], self.statuses(b"GET / HTTP/1.1\r\n\r\n" + SMUGGLED), "no Host")
        self.assertEqual([405, 404], self.statuses(self.head("BREW /") + SMUGGLED))
        self.assertEqual([200, 404], self.statuses(self.head("GET /") + SMUGGLED), "the control: what follows a good one is served")

    def test_a_body_is_never_taken_for_the_next_request(self):
        for method, status in (("GET", 200), ("DELETE", 405), ("OPTIONS", 204), ("POST", 405)):
            for framed in (f"Content-Length: {len(SMUGGLED)}\r\n\r\n".encode() + SMUGGLED,
                           b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)):
                self.assertEqual([status], self.statuses(f"{method} / HTTP/1.1\r\nHost: x\r\n".encode() + framed), method)

    def test_requests_that_are_sent_together_are_all_answered(self):
        body = b'{"lifetimeSeconds":60}'
        post = self.post(f"Content-Length: {len(body)}") + body
        self.assertEqual([201, 200, 201, 404], self.statuses(post + self.head(f"GET {COLLECTION}") + post + SMUGGLED))

    def test_chunks_are_put_together_however_they_arrive(self):
        chunks = b'6;x="y"\r\n{"life\r\n10\r\ntimeSeconds": 60\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n'
        head = self.post("Transfer-Encoding: Chunked")
        self.assertEqual([201, 404], self.statuses(head + chunks + SMUGGLED))
        self.assertEqual([201, 404], self.statuses(head, *(chunks[i:i + 1] for i in range(len(chunks))), SMUGGLED, pause=0.002))
        for broken in (b"zz\r\n", b"\r\n", b"-1\r\n", b"0x1\r\n", b"5 \r\nhello\r\n", b"2\r\nhello\r\n0\r\n\r\n", b"2\nab\r\n0\r\n\r\n",
                       b"2\r\nab0\r\n\r\n", b"f" * 30 + b"\r\n", b"1;" + b"x" * 3000, b"0\r\n" + b"A: b\r\n" * 100 + b"\r\n", b"2\rab"):
            self.assertEqual([400], self.statuses(head + broken + SMUGGLED), broken[:20])

    def test_chunks_are_bounded_as_any_body(self):
        part = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        head = self.post("Transfer-Encoding: chunked")
        self.assertEqual([400], self.statuses(head + part * 4 + b"0\r\n\r\n"), "64 KiB: they are read, and are no JSON")
        self.assertEqual([413], self.statuses(head + part * 4 + b"1\r\n"))

    def test_a_compressed_body_is_refused_and_not_unpacked(self):
        body = gzip.compress(b'{"description":"' + b"x" * 30_000_000 + b'"}')
        answer = self.ask("POST", COLLECTION, raw=body[:60_000], token=self.token,
                          headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
        self.assertEqual(415, answer.status)
        plain = {"Content-Type": "application/json", "Content-Encoding": "identity"}
        self.assertEqual(201, self.ask("POST", COLLECTION, raw=b"{}", token=self.token, headers=plain).status)

    def test_media_types_are_taken_in_every_spelling(self):
        for kind in ("application/x-www-form-urlencoded", "Application/x-www-form-urlencoded ; charset=UTF-8",
                     "APPLICATION/X-WWW-FORM-URLENCODED;charset=utf-8", " application/x-www-form-urlencoded\t"):
            answer = self.ask("POST", "/revoke", raw=b"token=x%2By", token=self.token, headers={"Content-Type": kind})
            self.assertEqual(200, answer.status, kind)
        for kind in ("application/json", "Application/JSON ; charset=UTF-8", "application/json;charset=utf-8"):
            self.assertEqual(201, self.ask("POST", COLLECTION, raw=b"{}", token=self.token, headers={"Content-Type": kind}).status, kind)
        for kind in ("application/x-www-form-urlencodedx", "application", "", "text/plain"):
            self.assertEqual(415, self.ask("POST", "/revoke", raw=b"token=x", token=self.token, headers={"Content-Type": kind}).status, kind)

    def test_a_form_is_decoded_in_every_spelling_of_its_type_and_refused_when_malformed(self):
        token, name = self.server.generate("alice")
        encoded = "".join(f"%{ord(c):02x}" for c in token)
        form = {"Content-Type": "Application/X-WWW-Form-URLEncoded"}
        self.assertEqual(200, self.ask("POST", "/revoke", raw=f"a=b&token={encoded}&".encode(), token=self.token, headers=form).status)
        self.assertEqual("revoked", self.ask("GET", f"{COLLECTION}/{name}", token=self.token).json["status"])
        for body in (b"token=%", b"token=%4", b"token=%zz", b"token=%u0041", b"%=x&token=y"):
            answer = self.ask("POST", "/revoke", raw=body, token=self.token, headers=form)
            self.assertEqual((400, "invalid_request"), (answer.status, answer.json["error"]), body)
        self.assertEqual(413, self.ask("POST", "/revoke", raw=b"token=" + b"x" * 9000, token=self.token, headers=form).status)

    def test_a_method_that_a_path_does_not_have_is_405_and_says_which_it_has(self):
        for method, path, allowed in (("PUT", COLLECTION, "OPTIONS, GET, HEAD, POST"), ("GET", "/introspect", "OPTIONS, POST"),
                                      ("POST", f"{COLLECTION}/{self.token_id}", "OPTIONS, DELETE, GET, HEAD"), ("TRACE", "/", "OPTIONS, GET, HEAD"),
                                      ("DELETE", "/v4/admin/people/bob", "OPTIONS, PATCH"), ("POST", "/style.css", "OPTIONS, GET, HEAD")):
            answer = self.ask(method, path, token=self.token)
            self.assertEqual((405, allowed, "about:blank"), (answer.status, answer.headers["Allow"], answer.kind), (method, path))
        for method in ("GET", "PUT", "OPTIONS", "TRACE", "BREW"):
            self.assertEqual((404, None), (lambda a: (a.status, a.headers["Allow"]))(self.ask(method, "/nothing")), method)

    def test_options_says_what_a_path_has_and_lets_no_other_site_in(self):
        answer = self.ask("OPTIONS", COLLECTION, headers={"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"})
        self.assertEqual((204, "OPTIONS, GET, HEAD, POST", b""), (answer.status, answer.headers["Allow"], answer.raw))
        self.assertEqual([], [name for name in answer.headers if name.lower().startswith("access-control-")])

    def test_the_question_of_a_proxy_has_one_of_four_answers_whatever_it_brings(self):
        extras = [{}, {"Range": "bytes=0-0"}, {"Range": "bytes=9-1"}, {"Range": "nonsense"}, {"Range": "bytes=0-,5-6,-1"},
                  {"If-None-Match": "*"}, {"If-Match": '"x"'}, {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"},
                  {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"If-Range": '"x"', "Range": "bytes=1-2"},
                  {"Expect": "100-continue"}, {"Expect": "nothing"}, {"Accept": "text/html;q=0"}, {"Accept-Encoding": "identity;q=0"}]
        read = {"X-Token-Scope": "data:read"}
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            for extra in extras:
                asked = (method, extra)
                answer = self.ask(method, "/auth", token=self.token, headers={**read, **extra})
                self.assertEqual((204, "alice", b""), (answer.status, answer.headers["X-Token-Owner"], answer.raw), asked)
                self.assertEqual(403, self.ask(method, "/auth", token=self.token, headers={"X-Token-Scope": "data:write", **extra}).status, asked)
                self.assertEqual(401, self.ask(method, "/auth", token="x", headers={**read, **extra}).status, asked)
        token, _ = self.server.generate("bob", scopes=["data:read"])
        with self.server.without_storage():
            for method in ("GET", "HEAD", "OPTIONS"):
                for extra in extras:
                    self.assertEqual(503, self.ask(method, "/auth", token=token, headers={**read, **extra}).status, (method, extra))

    def test_every_answer_is_whole(self):
        for path in ("/", "/style.css", "/openapi.yaml", f"{COLLECTION}/{self.token_id}"):
            whole = self.ask("GET", path, token=self.token)
            self.assertEqual(200, whole.status)
            for asked in ({"Range": "bytes=0-3"}, {"Range": "bytes=999999-"}, {"Range": "bytes=-5"}, {"Range": "x"}, {"If-None-Match": "*"}):
                answer = self.ask("GET", path, token=self.token, headers=asked)
                self.assertEqual((200, None), (answer.status, answer.headers["Content-Range"]), (path, asked))
                if path != f"{COLLECTION}/{self.token_id}":  # whose last use moves
                    self.assertEqual(whole.raw, answer.raw, (path, asked))
            answer = self.ask("HEAD", path, token=self.token)
            self.assertEqual((200, b""), (answer.status, answer.raw))

    def test_a_client_that_waits_for_the_go_ahead_gets_it_or_is_told_why_not(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=5) as connection:
            connection.sendall(self.post("Content-Length: 2", "Expect: 100-Continue"))
            self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", connection.recv(1000))
            connection.sendall(b"{}")
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 201 "))
        self.assertEqual([413], self.statuses(self.post("Content-Length: 99999", "Expect: 100-continue")))

    def test_connections_that_are_kept_take_no_thread_from_others(self):
        with contextlib.ExitStack() as kept:
            connections = []
            for _ in range(100):  # there are 16 threads
                connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
                kept.callback(connection.close)
                connections.append(connection)
            for _ in range(3):
                began = time.monotonic()
                for connection in connections:
                    connection.request("GET", "/icon.svg")
                    response = connection.getresponse()
                    self.assertEqual(200, response.status)
                    response.read()
                self.assertLess(time.monotonic() - began, 3, "each waited for a connection before it to end")
            sockets = [connection.sock for connection in connections]
            self.assertNotIn(None, sockets, "they stayed open")

    def test_a_silent_connection_is_closed(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as used, \
                socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as unused:
            used.sendall(SMUGGLED)
            self.assertTrue(used.recv(65536).startswith(b"HTTP/1.1 404 "))
            began = time.monotonic()
            for connection in (used, unused):
                while connection.recv(65536):
                    pass
            self.assertLess(time.monotonic() - began, 10)

    def test_what_arrives_too_slowly_is_408(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as connection:
            connection.sendall(self.post("Content-Length: 2") + b"{")
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 408 "))


if __name__ == "__main__":
    unittest.main()
