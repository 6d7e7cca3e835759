"""A guarded route serves at least 0.9 of the requests per second that it serves without the validator.

    PAGE_LOAD_SERVER=program [PAGE_LOAD_SECONDS=2] python3 test_load.py

Both are measured by wrk in one run, in turns, so that a busy machine is busy for both.
"""

import os
import re
import signal
import statistics
import subprocess
import tempfile
import unittest

ROUNDS = 7
SECONDS = os.environ.get("PAGE_LOAD_SECONDS", "1")


class Load(unittest.TestCase):
    def wrk(self, port, path, token):
        done = subprocess.run(["wrk", "-t2", "-c8", f"-d{SECONDS}s", "-H", f"Authorization: Bearer {token}",
                               f"http://127.0.0.1:{port}{path}"], text=True, capture_output=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn("Non-2xx", done.stdout)
        self.assertNotIn("Socket errors", done.stdout)
        return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])

    def median_ratio(self, port, token):
        ratios = []
        for number in range(ROUNDS):
            sides = ["/guarded", "/open"] if number % 2 else ["/open", "/guarded"]
            rates = {path: self.wrk(port, path, token) for path in sides}
            ratios.append(rates["/guarded"] / rates["/open"])
            print(f"open {rates['/open']:.0f}/s, guarded {rates['/guarded']:.0f}/s, ratio {ratios[-1]:.3f}")
        print(f"median ratio {statistics.median(ratios):.3f}")
        return statistics.median(ratios)

    def test_the_validator_costs_less_than_a_tenth(self):
        with tempfile.TemporaryDirectory() as folder:
            with subprocess.Popen([os.environ["PAGE_LOAD_SERVER"], os.path.join(folder, "tokens.db")], text=True,
                                  stdout=subprocess.PIPE) as server:
                port, token = server.stdout.readline().strip(), server.stdout.readline().strip()
                try:
                    self.wrk(port, "/open", token)
                    best = self.median_ratio(port, token)
                    for _ in range(2):
                        if best < 0.9:  # somebody else used the machine: measure again
                            best = max(best, self.median_ratio(port, token))
                    bad = subprocess.run(["wrk", "-t1", "-c1", "-d1s", "-H", "Authorization: Bearer no",
                                          f"http://127.0.0.1:{port}/guarded"], text=True, capture_output=True, timeout=60)
                    self.assertIn("Non-2xx", bad.stdout, "the control: the guarded route is guarded")
                finally:
                    server.send_signal(signal.SIGTERM)
                self.assertEqual(0, server.wait(timeout=30))
        self.assertGreaterEqual(best, 0.9)


if __name__ == "__main__":
    unittest.main()
