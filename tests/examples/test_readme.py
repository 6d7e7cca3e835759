"""The programs that README.md shows are those that are compiled, and print what it says they print.

    FIRST_CPP=program FIRST_C=program FIRST_PYTHON=interpreter python3 test_readme.py TREE

FIRST_PYTHON finds the package by PYTHONPATH.

A block that shows a file is announced by a comment, <!-- file: examples/cpp/first.cpp -->, and the
block with its output by <!-- output: FIRST_CPP -->.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(sys.argv[1])
BLOCK = re.compile(r"<!-- (file|output): (\S+) -->\n+```\w*\n(.*?)^```", re.M | re.S)


def blocks(kind):
    page = (TREE / "README.md").read_text(encoding="utf-8")
    return {name: text for found, name, text in BLOCK.findall(page) if found == kind}


class Readme(unittest.TestCase):
    maxDiff = None

    def test_shown_programs_are_the_compiled_files(self):
        shown = blocks("file")
        self.assertEqual({"examples/cpp/first.cpp", "examples/c/first.c", "examples/python/first.py",
                          "examples/go/first/main.go"}, set(shown))
        for name, text in shown.items():
            self.assertEqual((TREE / name).read_text(encoding="utf-8"), text, name)

    def test_shown_output_is_what_the_programs_print(self):
        shown = blocks("output")
        # What two hosts print needs a PostgreSQL server: tests/postgres compares that.
        self.assertTrue(shown.pop("two_hosts"))
        # What the Go program prints needs Go: tests/go compares that.
        self.assertTrue(shown.pop("FIRST_GO"))
        self.assertEqual({"FIRST_CPP", "FIRST_C", "FIRST_PYTHON"}, set(shown))
        for name, text in shown.items():
            with tempfile.TemporaryDirectory() as folder:
                command = [os.environ[name]]
                if name == "FIRST_PYTHON":
                    command.append(str(TREE / "examples/python/first.py"))
                done = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=60)
                self.assertEqual((0, "", text), (done.returncode, done.stderr, done.stdout), name)

    def test_the_two_commands_are_there_and_can_be_run(self):
        page = (TREE / "README.md").read_text(encoding="utf-8")
        for command in ("examples/tour.sh", ".ci/test"):
            self.assertIn(f"./{command}", page)
            self.assertTrue(os.access(TREE / command, os.X_OK), command)
        run = (TREE / ".ci/run").read_text(encoding="utf-8")
        self.assertEqual(1, run.count("exec "), "CI calls one command, and it is the README's")
        self.assertIn('/test"', run)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
