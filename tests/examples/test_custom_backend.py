"""The backend for LMDB passes the whole conformance suite, and its program does what its README says.

    KIT=program MODULE=shared-object FIRST=program python3 test_custom_backend.py TREE
"""

import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(sys.argv[1])
README = (TREE / "examples/custom_backend/README.md").read_text(encoding="utf-8")
# What is tested here is not the disk.
FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def run(*command):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=800,
                          env={**os.environ, **({"TMPDIR": FAST} if FAST else {})})
    return done.returncode, done.stdout


class CustomBackend(unittest.TestCase):
    def setUp(self):
        for name in ("KIT", "MODULE", "FIRST"):
            self.assertTrue(os.environ.get(name), f"{name} was not built: install liblmdb-dev and configure again")
        self.folder = tempfile.TemporaryDirectory(dir=FAST)
        self.addCleanup(self.folder.cleanup)
        self.tokens = pathlib.Path(self.folder.name, "tokens")
        self.tokens.mkdir()
        self.key = self.folder.name + "/tokens.key"

    def first(self):
        return run(os.environ["FIRST"], str(self.tokens), self.key)

    def test_it_passes_every_case_without_an_exemption(self):
        status, output = run(os.environ["KIT"], os.environ["MODULE"])
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"\n\d\d passed, 0 failed, 0 do not apply\n$")

    def test_its_program_prints_what_the_readme_says(self):
        shown = re.search(r"^```text\n(.*?)^```", README, re.M | re.S).group(1)
        self.assertEqual(self.first(), (0, shown))
        self.assertEqual(self.first(), (0, shown.replace("1 revoked", "2 revoked")))

    def test_a_pulse_that_a_dead_writer_left_odd_is_made_even(self):
        self.assertEqual(self.first()[0], 0)
        pulse = self.tokens / "pulse"
        self.assertEqual(struct.unpack("=Q", pulse.read_bytes())[0] % 2, 0)
        pulse.write_bytes(struct.pack("=Q", 41))
        self.assertIn("2 revoked", self.first()[1])
        self.assertEqual(struct.unpack("=Q", pulse.read_bytes())[0] % 2, 0)

    def test_bad_input_gets_an_error_that_says_what_to_do(self):
        self.tokens.rmdir()
        self.assertEqual(self.first(), (1, "first: the LMDB directory does not exist; make it\n"))
        self.tokens.mkdir()
        (self.tokens / "data.mdb").write_bytes(b"no database" * 1000)
        self.assertEqual(self.first(), (1, "first: the LMDB directory holds something else than a store\n"))

    def test_another_key_does_not_open_it(self):
        self.assertEqual(self.first()[0], 0)
        os.remove(self.key)
        status, output = self.first()
        self.assertEqual(status, 1)
        self.assertIn("key", output)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
