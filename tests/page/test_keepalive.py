"""nginx keeps its connections to the page and the backend: each one that ends holds a port of the machine for a minute,
and a machine has 28,000 of them, which is less than a minute at 500 requests a second.

    ACCESS_TOKENS_PAGE=program [PAGE_KEEPALIVE_SECONDS=60] python3 test_keepalive.py

It runs in a network of its own (unshare, as root or with user namespaces) that has 2,000 ports.
"""

import os
import pathlib
import re
import subprocess
import sys
import unittest

from support import Server
from test_nginx import Nginx, free_port

SECONDS = int(os.environ.get("PAGE_KEEPALIVE_SECONDS", "4"))
PORTS = 2000
OWN_NETWORK = "PAGE_OWN_NETWORK"


def enter_own_network():
    """Goes on in a network of its own: as root, or as somebody whom the kernel lets be root there."""
    os.environ[OWN_NETWORK] = "yes"
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    os.execvp("unshare", ["unshare", *user, "--net", sys.executable, "-B", *sys.argv])


def prepare_own_network():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, value in (("ip_local_port_range", f"30000 {30000 + PORTS - 1}"), ("tcp_tw_reuse", "0")):
        pathlib.Path("/proc/sys/net/ipv4", name).write_text(value, encoding="ascii")


def with_a_backend(port):
    """nginx itself is the guarded server: it is faster than what would have to wait for it."""
    return lambda text: text + f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"hello\"; }} }}\n"


def opened_connections():
    lines = [line.split() for line in pathlib.Path("/proc/net/snmp").read_text(encoding="ascii").splitlines() if line.startswith("Tcp:")]
    return int(dict(zip(*lines))["ActiveOpens"])


class Keepalive(unittest.TestCase):
    def load(self, nginx, token, path, seconds, connections=16):
        """Requests a second, and what wrk says of those that failed."""
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-H", f"Authorization: Bearer {token}",
                               "-H", "Host: tokens.example.org", f"https://127.0.0.1:{nginx.port}{path}"], text=True, capture_output=True, timeout=600)
        self.assertEqual(0, done.returncode, done.stderr)
        print(done.stdout)
        failed = re.findall(r"Non-2xx.*|Socket errors.*", done.stdout)
        return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]), failed

    def test_two_thousand_ports_are_enough_for_any_number_of_requests(self):
        backend = free_port()
        with Server("--quiet", "--address-header", "X-Real-IP") as server, Nginx(server.port, backend, with_a_backend(backend)) as nginx:
            token, _ = server.generate("alice", scopes=["data:read", "tokens:manage"])
            before = opened_connections()
            rate, failed = self.load(nginx, token, "/api/data", SECONDS)
            opened = opened_connections() - before
            print(f"{rate:.0f} requests a second, {opened} connections opened")
            self.assertEqual([], failed)
            self.assertLess(opened, rate * SECONDS / 20)
            self.assertGreater(rate * SECONDS, PORTS if SECONDS < 10 else 1000 * SECONDS)

    # Comes second: it leaves no port free.
    def test_without_keeping_them_they_are_not_which_is_the_control(self):
        def forget(text):
            return re.sub(r"keepalive\w* \w+;", "", with_a_backend(backend)(text))

        backend = free_port()
        with Server("--quiet") as server, Nginx(server.port, backend, forget) as nginx:
            token, _ = server.generate("alice", scopes=["data:read"])
            before = opened_connections()
            rate, failed = self.load(nginx, token, "/api/data", 2)
            opened = opened_connections() - before
            print(f"{rate:.0f} requests a second, {opened} connections opened, {failed}")
            self.assertTrue(failed)


if __name__ == "__main__":
    if OWN_NETWORK not in os.environ:
        enter_own_network()
    prepare_own_network()
    unittest.main()
