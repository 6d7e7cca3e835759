"""The first page of a list costs the same with many tokens as with ten.

    ACCESS_TOKENS_PAGE=program PAGE_SEED=program [PAGE_TOKENS=1000000] python3 test_first_page.py

20,000 tokens by default; a million is the slow tier.
"""

import http.client
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import unittest

from support import Server

MANY = int(os.environ.get("PAGE_TOKENS", "20000"))
PATHS = ("/v4/apiAccessTokens?limit=10", "/v4/apiAccessTokens?limit=10&status=active", "/v4/admin/apiAccessTokens?limit=10")


class FirstPage(unittest.TestCase):
    def seed(self, database, count):
        subprocess.run([os.environ["PAGE_SEED"], database, "ada", str(count)], check=True, stdout=subprocess.DEVNULL, timeout=3000)

    def ask(self, connection, path, headers):
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        self.assertEqual(200, response.status, body)
        return time.perf_counter() - began

    def is_as_fast(self, sides, path):
        """The quick half of the answers counts: a busy machine slows some of them down by many times."""
        times = [[], []]
        for _ in range(100):  # one after the other, so that the machine is as busy for both
            for side, (connection, headers) in enumerate(sides):
                times[side].append(self.ask(connection, path, headers))
        small, large = (statistics.quantiles(side, n=4)[0] for side in times)
        print(f"{path}: 10 tokens {small * 1e3:.2f} ms, {MANY} tokens {large * 1e3:.2f} ms")
        return large < small * 1.5 + 0.0003

    def test_first_page_of_many_is_as_fast_as_of_ten(self):
        with tempfile.TemporaryDirectory() as folder:
            few, many = pathlib.Path(folder, "few.db"), pathlib.Path(folder, "many.db")
            self.seed(few, 10)
            self.seed(many, MANY)
            with Server("--quiet", database=few) as small, Server("--quiet", database=many) as large:
                sides = []
                for server in (small, large):
                    headers = server.sign_in("ada")
                    sides.append((http.client.HTTPConnection("127.0.0.1", server.port, timeout=60), headers))
                for path in PATHS:
                    self.assertTrue(any(self.is_as_fast(sides, path) for _ in range(3)), path)
                for connection, _ in sides:
                    connection.close()


if __name__ == "__main__":
    unittest.main()
