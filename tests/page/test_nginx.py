"""Debian's nginx with the configuration of examples/access_tokens_page, in front of a backend that knows nothing of
tokens.

    ACCESS_TOKENS_PAGE=program python3 test_nginx.py
"""

import contextlib
import http.client
import http.server
import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from urllib.parse import urljoin, urlsplit

from support import PASSWORDS, Server

CONFIGURATION = pathlib.Path(__file__).resolve().parents[2] / "examples/access_tokens_page/nginx.conf"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"

# What Debian's own nginx.conf does around such a file, made small and kept in a folder.
AROUND = """
daemon off;
pid {work}/pid;
error_log {work}/error.log warn;
worker_processes 2;
events {{ worker_connections 128; }}
http {{
  access_log {work}/access.log;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi; uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  include {work}/tokens.conf;
}}
"""


class Backend(http.server.BaseHTTPRequestHandler):
    """Says what it was asked. /api/broken and /api/refuses answer an error of their own."""

    seen = []

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.seen.append(self.path)
        status = {"/api/broken": 500, "/api/refuses": 403}.get(self.path, 200)
        said = json.dumps({"path": self.path, "method": self.command, "body": body, "headers": dict(self.headers)}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """`with Nginx(page_port, backend_port) as nginx:`; `change` rewrites the configuration first."""

    def __init__(self, page, backend, change=lambda text: text):
        self.folder = tempfile.TemporaryDirectory()
        self.work = pathlib.Path(self.folder.name)
        self.work.chmod(0o755)  # its workers are somebody else when the tests run as root
        self.port = free_port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                        "-subj", "/CN=tokens.example.org", "-addext", "subjectAltName=DNS:tokens.example.org",
                        "-keyout", self.work / "key", "-out", self.work / "certificate"],
                       check=True, capture_output=True, timeout=60)
        text = CONFIGURATION.read_text(encoding="utf-8")
        for given, here in (("server 127.0.0.1:8080;", f"server 127.0.0.1:{page};"), ("server 127.0.0.1:9000;", f"server 127.0.0.1:{backend};"),
                            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
                            ("/etc/ssl/certs/tokens.example.org.pem", f"{self.work}/certificate"),
                            ("/etc/ssl/private/tokens.example.org.key", f"{self.work}/key")):
            assert text.count(given) == 1, given
            text = text.replace(given, here)
        changed = change(text)
        (self.work / "tokens.conf").write_text(changed, encoding="utf-8")
        (self.work / "nginx.conf").write_text(AROUND.format(work=self.work), encoding="utf-8")
        self.tls = ssl.create_default_context(cafile=self.work / "certificate")

    def __enter__(self):
        self.process = subprocess.Popen([NGINX, "-p", self.work, "-c", self.work / "nginx.conf", "-e", self.work / "error.log"],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"nginx did not start: {self.process.stdout.read()}{self.log}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        self.folder.cleanup()

    @property
    def log(self):
        return "".join(path.read_text(encoding="utf-8") for path in self.work.glob("*.log"))

    def ask(self, method, path, *, token=None, headers=None, body=None):
        sent = {"Host": "tokens.example.org", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as plain:
            connection = http.client.HTTPConnection("tokens.example.org")
            connection.sock = self.tls.wrap_socket(plain, server_hostname="tokens.example.org")
            with contextlib.closing(connection):
                connection.request(method, path, body=body, headers=sent)
                response = connection.getresponse()
                return response.status, response.headers, response.read()


class InFront(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        Backend.seen.clear()
        backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        cls.addClassCleanup(backend.server_close)
        cls.addClassCleanup(backend.shutdown)
        cls.backend = backend.server_address[1]
        cls.server = Server("--secure", "--address-header", "X-Real-IP").__enter__()
        cls.addClassCleanup(cls.server.__exit__, None)
        cls.nginx = Nginx(cls.server.port, cls.backend).__enter__()
        cls.addClassCleanup(cls.nginx.__exit__)
        cls.reading, cls.reading_id = cls.server.generate("alice", scopes=["data:read"])

    def ask(self, *arguments, **more):
        return self.nginx.ask(*arguments, **more)

    def challenges(self, headers):
        return headers.get_all("WWW-Authenticate") or []

    def test_a_good_token_passes_and_the_backend_is_told_whose_it_is(self):
        status, _, said = self.ask("GET", "/api/data?x=1", token=self.reading,
                                   headers={"X-Token-Owner": "ada", "X-Token-Id": "none", "X-Token-Scope": "x"})
        self.assertEqual(200, status)
        said = json.loads(said)
        sent = {name.lower(): value for name, value in said["headers"].items()}
        self.assertEqual("/api/data?x=1", said["path"])
        self.assertEqual(("alice", self.reading_id), (sent["x-token-owner"], sent["x-token-id"]), "not what the client says")
        self.assertNotIn("authorization", sent)
        shown = self.server.ask("GET", f"/v4/apiAccessTokens/{self.reading_id}", user="alice").json
        self.assertEqual("127.0.0.1", shown["lastUsedFrom"])

    def test_bodies_arrive(self):
        writing, _ = self.server.generate("alice", scopes=["data:write"])
        status, _, said = self.ask("POST", "/api/data", token=writing, body="x" * 50_000)
        self.assertEqual((200, 50_000), (status, len(json.loads(said)["body"])))

    def test_no_token_or_a_bad_one_is_401_with_a_challenge(self):
        before = len(Backend.seen)
        revoked, name = self.server.generate("alice", scopes=["data:read"])
        self.assertEqual(200, self.ask("GET", "/api/data", token=revoked)[0])
        self.server.ask("POST", f"/v4/apiAccessTokens/{name}/revoke", user="alice")
        for token, challenge in ((None, 'Bearer realm="access tokens"'), ("x", 'Bearer realm="access tokens", error="invalid_token"'),
                                 (revoked, 'Bearer realm="access tokens", error="invalid_token"')):
            status, headers, body = self.ask("GET", "/api/data", token=token)
            self.assertEqual((401, [challenge]), (status, self.challenges(headers)))
            self.assertEqual(("application/problem+json", 401), (headers["Content-Type"], json.loads(body)["status"]))
        for more in ({"Authorization": "Basic YWxpY2U6YWxpY2UtZGVtbw=="}, {"Cookie": "session=x"}):
            self.assertEqual(401, self.ask("GET", "/api/data", headers=more)[0], "the guarded server takes tokens alone")
        self.assertEqual(before + 1, len(Backend.seen), "the backend was asked once")

    def test_a_scope_that_is_missing_is_403_with_a_challenge(self):
        for claimed in ({}, {"X-Token-Scope": "data:read"}, {"x-token-scope": "data:read"}, {"X_Token_Scope": "data:read"}):
            before = len(Backend.seen)
            status, headers, body = self.ask("POST", "/api/data", token=self.reading, headers=claimed, body="x")
            self.assertEqual(403, status, "no client chooses what is demanded of it")
            self.assertEqual(['Bearer realm="access tokens", error="insufficient_scope", scope="data:write"'], self.challenges(headers))
            self.assertEqual(("application/problem+json", 403), (headers["Content-Type"], json.loads(body)["status"]))
            self.assertEqual(before, len(Backend.seen))

    def test_storage_that_is_gone_is_503(self):
        with self.server.without_storage():
            status, headers, body = self.ask("GET", "/api/data", token=self.reading)
            self.assertEqual((503, "1"), (status, headers["Retry-After"]))
            self.assertEqual([], self.challenges(headers), "nobody knows whether the token is bad")
            self.assertEqual(("application/problem+json", 503), (headers["Content-Type"], json.loads(body)["status"]))
        self.assertEqual(200, self.ask("GET", "/api/data", token=self.reading)[0])

    def test_a_page_that_is_gone_is_503(self):
        with Nginx(free_port(), self.backend) as nginx:
            status, headers, _ = nginx.ask("GET", "/api/data", token=self.reading)
            self.assertEqual((503, "1"), (status, headers["Retry-After"]))

    def test_the_backends_own_errors_stay_its_own(self):
        for path, status in (("/api/broken", 500), ("/api/refuses", 403)):
            answered, headers, body = self.ask("GET", path, token=self.reading)
            self.assertEqual((status, path, []), (answered, json.loads(body)["path"], self.challenges(headers)))

    def test_a_location_without_a_scope_lets_nobody_in(self):
        def forget(text):  # another location has one, or nginx would not start
            return text.replace("set $token_scope $api_scope;", "").replace("location / {", "location / { set $token_scope data:read;")

        with Nginx(self.server.port, self.backend, forget) as nginx:
            for claimed in ({}, {"X-Token-Scope": "data:read"}):
                status, headers, _ = nginx.ask("GET", "/api/data", token=self.reading, headers=claimed)
                self.assertEqual((403, ['Bearer realm="access tokens", error="insufficient_scope"']), (status, self.challenges(headers)))

    def test_the_control_a_configuration_that_passes_the_clients_header_on_is_noticed(self):
        line = "proxy_set_header X-Token-Scope $token_scope;"
        with Nginx(self.server.port, self.backend, lambda text: text.replace(line, "")) as nginx:
            status, _, _ = nginx.ask("POST", "/api/data", token=self.reading, headers={"X-Token-Scope": "data:read"}, body="x")
            self.assertEqual(200, status, "without that line a client would choose")

    def test_nobody_comes_to_the_question_from_outside(self):
        status, _, _ = self.ask("GET", "/auth", token=self.reading, headers={"X-Token-Scope": "data:read"})
        self.assertEqual(404, status)

    def test_the_page_behind_nginx(self):
        status, headers, _ = self.ask("GET", "/")
        self.assertEqual((200, "text/html"), (status, headers["Content-Type"].split(";")[0]))
        self.assertIn("max-age", headers["Strict-Transport-Security"])
        credentials = json.dumps({"user": "alice", "password": PASSWORDS["alice"]})
        own = {"Content-Type": "application/json", "Origin": "https://tokens.example.org"}
        status, headers, _ = self.ask("POST", "/session", headers=own, body=credentials)
        self.assertEqual(201, status, "a page of the same origin")
        self.assertRegex(headers["Set-Cookie"], r"^__Host-session-\d+=.*; Secure$")
        foreign = {**own, "Origin": "https://elsewhere.example.org"}
        self.assertEqual(403, self.ask("POST", "/session", headers=foreign, body=credentials)[0])

    def test_what_a_client_brings_besides_its_token_changes_no_answer(self):
        extras = ({"Range": "bytes=0-0"}, {"Range": "bytes=9-1"}, {"Range": "nonsense"}, {"If-None-Match": "*"}, {"If-Match": '"x"'},
                  {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}, {"If-Range": '"x"', "Range": "bytes=1-2"},
                  {"Accept-Encoding": "identity;q=0"}, {"Upgrade": "websocket", "Connection": "upgrade"})
        for extra in extras:
            for method, body in (("GET", None), ("HEAD", None)):
                self.assertEqual(200, self.ask(method, "/api/data", token=self.reading, headers=extra)[0], (method, extra))
                self.assertEqual(401, self.ask(method, "/api/data", token="x", headers=extra)[0], (method, extra))
            self.assertEqual(403, self.ask("POST", "/api/data", token=self.reading, headers=extra, body="x")[0], extra)
        writing, _ = self.server.generate("alice", scopes=["data:write"])
        self.assertEqual(200, self.ask("POST", "/api/data", token=writing, headers={"Expect": "100-continue"}, body="x")[0])

    def test_preflights_of_the_sites_that_are_named_are_answered_without_a_token(self):
        asked = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        before = len(Backend.seen)
        status, headers, body = self.ask("OPTIONS", "/api/data", headers=asked)
        self.assertEqual((204, "https://app.example.org", b""), (status, headers["Access-Control-Allow-Origin"], body))
        self.assertIn("POST", headers["Access-Control-Allow-Methods"])
        self.assertIn("Authorization", headers["Access-Control-Allow-Headers"])
        status, headers, _ = self.ask("OPTIONS", "/api/data", headers={**asked, "Origin": "https://elsewhere.example.org"})
        self.assertEqual((204, None), (status, headers["Access-Control-Allow-Origin"]))
        self.assertEqual(before, len(Backend.seen))
        for token, expected in ((self.reading, 200), ("x", 401)):
            status, headers, _ = self.ask("GET", "/api/data", token=token, headers={"Origin": "https://app.example.org"})
            self.assertEqual((expected, "https://app.example.org"), (status, headers["Access-Control-Allow-Origin"]))
            status, headers, _ = self.ask("GET", "/api/data", token=token, headers={"Origin": "https://elsewhere.example.org"})
            self.assertEqual((expected, None), (status, headers["Access-Control-Allow-Origin"]))

    def test_the_page_works_under_a_path(self):
        def under_a_path(text):
            return text.replace("location / {\n    proxy_pass http://access_tokens;", "location /tokens/ {\n    proxy_pass http://access_tokens/;")

        with Nginx(self.server.port, self.backend, under_a_path) as nginx:
            status, headers, _ = nginx.ask("GET", "/tokens")
            self.assertEqual((301, "/tokens/"), (status, urlsplit(headers["Location"]).path))
            page = "https://tokens.example.org/tokens/"
            status, _, text = nginx.ask("GET", "/tokens/")
            self.assertEqual(200, status)
            named = re.findall(r'(?:src|href)="([^"#]+)"', text.decode())
            self.assertIn("app.js", named)
            for name in named:
                self.assertEqual(200, nginx.ask("GET", urlsplit(urljoin(page, name)).path)[0], name)
            own = {"Content-Type": "application/json", "Origin": "https://tokens.example.org"}
            credentials = json.dumps({"user": "alice", "password": PASSWORDS["alice"]})
            status, headers, said = nginx.ask("POST", "/tokens/session", headers=own, body=credentials)
            self.assertEqual(201, status)
            signed_in = {"Cookie": headers["Set-Cookie"].split(";")[0], "X-CSRF-Token": json.loads(said)["csrfToken"], **own}
            collection = "/tokens/v4/apiAccessTokens"
            status, headers, said = nginx.ask("POST", collection, headers=signed_in, body="{}")
            self.assertEqual(201, status)
            where = urlsplit(urljoin("https://tokens.example.org" + collection, headers["Location"])).path
            self.assertEqual(f"{collection}/{json.loads(said)['tokenInfo']['tokenId']}", where)
            self.assertEqual(200, nginx.ask("GET", where, headers=signed_in)[0])

    def test_no_token_stands_in_a_log_of_nginx(self):
        self.ask("GET", "/api/data", token=self.reading)
        self.assertIn("GET /api/data", self.nginx.log)
        self.assertNotIn(self.reading[24:67], self.nginx.log)
        self.assertIsNone(re.search(r"\[(emerg|alert|crit)\]", self.nginx.log))


if __name__ == "__main__":
    unittest.main()
