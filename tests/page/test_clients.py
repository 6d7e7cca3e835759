"""What generators make of openapi.yaml compiles, and lives a token's life with the running server. A slow tier: Go, its
module proxy and PyPI are not Debian's packages.

    ACCESS_TOKENS_PAGE=program python3 test_clients.py

test_openapi.py holds the description to what these three can read, and needs none of them.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import PASSWORDS, Server

HERE = pathlib.Path(__file__).resolve().parent
DESCRIPTION = HERE.parents[1] / "examples/access_tokens_page/openapi.yaml"
OGEN = "github.com/ogen-go/ogen/cmd/ogen@v1.25.0"
OAPI_CODEGEN = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
PYTHON_CLIENT = "openapi-python-client==0.29.1"


class Clients(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        self.server = Server().__enter__()
        self.addCleanup(self.server.__exit__, None)

    def run_in(self, folder, *command, **environment):
        done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800,
                              env={**os.environ, "GOFLAGS": "-mod=mod", **environment})
        self.assertEqual(0, done.returncode, f"{command}\n{done.stdout[-5000:]}")
        return done.stdout

    def live(self, *command, **environment):
        said = self.run_in(self.work, *command, self.server.url, "alice", PASSWORDS["alice"], **environment)
        self.assertEqual("ok\n", said)

    def go(self, program, *generate):
        (self.work / "go.mod").write_text("module life\n\ngo 1.22\n", encoding="utf-8")
        (self.work / "api").mkdir()
        self.run_in(self.work, "go", "run", *generate, DESCRIPTION)
        shutil.copy(HERE / "clients" / program, self.work / "main.go")
        self.run_in(self.work, "go", "mod", "tidy")
        self.run_in(self.work, "go", "build", "-o", "life", ".")
        self.live(self.work / "life")

    def test_ogen(self):
        self.go("life_ogen.go", OGEN, "--target", "api", "--package", "api", "--clean")

    def test_oapi_codegen(self):
        self.go("life_oapi.go", OAPI_CODEGEN, "-generate", "types,client", "-package", "api", "-o", "api/api.go")

    def test_openapi_python_client(self):
        self.run_in(self.work, sys.executable, "-m", "venv", "venv")
        python = self.work / "venv/bin/python"
        self.run_in(self.work, python, "-m", "pip", "install", "--quiet", PYTHON_CLIENT)
        said = self.run_in(self.work, self.work / "venv/bin/openapi-python-client", "generate", "--path", DESCRIPTION, "--output-path", "client",
                           PATH=f"{self.work}/venv/bin:{os.environ['PATH']}")
        self.assertNotIn("WARNING parsing", said)
        self.live(python, HERE / "clients/life_python.py", PYTHONPATH="client")


if __name__ == "__main__":
    unittest.main()
