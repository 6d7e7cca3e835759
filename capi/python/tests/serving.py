"""Real servers in threads of the test, and requests written octet by octet."""

import contextlib
import socket
import threading
import time
import wsgiref.simple_server

import uvicorn


class Answer:
    def __init__(self, received):
        head, _, self.body = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
        if self.header("Transfer-Encoding") == "chunked":
            self.body = b"".join(chunks(self.body))

    def header(self, name):
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} was sent {len(found)} times"
        return found[0] if found else None

    def outward(self):
        """All that a client can tell apart."""
        names = sorted(name.lower() for name, _ in self.headers if name.lower() != "date")
        return self.status, self.header("WWW-Authenticate"), self.body, tuple(names)


def chunks(body):
    while True:
        size, _, body = body.partition(b"\r\n")
        if int(size, 16) == 0:
            return
        yield body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]


class Client:
    def __init__(self, port):
        self.port = port

    def ask(self, path, *headers, method="GET", body=b""):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        if method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body)}")
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return Answer(received)

    def ask_as(self, token, path, **request):
        return self.ask(path, f"Authorization: Bearer {token}", **request)


@contextlib.contextmanager
def asgi(app):
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield Client(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
        assert not thread.is_alive()


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *words):
        pass


@contextlib.contextmanager
def wsgi(app):
    with wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Client(server.server_port)
        finally:
            server.shutdown()
            thread.join(20)
