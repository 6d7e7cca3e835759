"""The kit passes a sound module, and fails broken ones for what is broken.

    python3 test_kit.py KIT MODULE

MODULE is memory_module.cpp.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

KIT, MODULE = sys.argv[1:3]
TABLE = pathlib.Path(__file__).resolve().parent.parent / "broken_backends.cpp"
# The library refuses such batches before the backend sees them, and takes such an answer for "everything".
CANNOT_HAPPEN_BEHIND_C = {"leaves out steps that do not fit", "takes the last of two steps",
                          "answers nothing to a revision ahead"}


def kit(*arguments, backend=""):
    done = subprocess.run([KIT, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "TOKENSTORE_KIT_BACKEND": backend}, timeout=550)
    return done.returncode, done.stdout


def broken_backends():
    """Name and the case that must report it, of each."""
    table = TABLE.read_text(encoding="utf-8").split("broken_backends() {", 1)[1]
    return re.findall(r'broken<\w+>\(\s*"([^"]+)",\s*"([^"]+)"\)', table)


class Kit(unittest.TestCase):
    def test_a_sound_module_passes_and_is_told_what_does_not_apply(self):
        status, output = kit(MODULE)
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"\n\d\d passed, 0 failed, \d+ do not apply\n$")
        self.assertIn("n/a   everything is there after closing and opening again (VOLATILE)", output)
        self.assertIn("n/a   another handle sees a commit at once (ONE_HANDLE)", output)
        self.assertEqual(kit(MODULE, "a backend has a name", "--in-one-process")[0], 0)

    def test_each_broken_backend_fails_the_case_that_is_about_it(self):
        broken = [one for one in broken_backends() if one[0] not in CANNOT_HAPPEN_BEHIND_C]
        self.assertGreater(len(broken), 25)
        for name, caught_by in broken:
            with self.subTest(name):
                # Races are given several chances to show.
                for seed in range(1, 6):
                    status, output = kit(MODULE, caught_by, f"--seed={seed}", backend=name)
                    if status != 0:
                        break
                self.assertEqual(status, 1, output)
                self.assertIn(f"FAIL  {caught_by}\n", output)
                self.assertRegex(output, r"\n      \w+\.cpp:\d+: ")

    def test_a_backend_that_crashes_fails_its_case_and_the_others_go_on(self):
        status, output = kit(MODULE, "a", backend="crashes")
        self.assertEqual(status, 1)
        self.assertIn("FAIL  housekeeping comes to an end and changes nothing that can be read\n"
                      "      it crashed: Aborted\n", output)
        self.assertIn("ok    a sound storage has no problems\n", output)

    def test_a_backend_that_hangs_fails_its_case(self):
        status, output = kit(MODULE, "housekeeping", "--limit=2", backend="hangs")
        self.assertEqual(status, 1)
        self.assertIn("it did not end within 2 s", output)

    def test_a_backend_that_cannot_be_made_fails_with_its_status(self):
        status, output = kit(MODULE, "a backend has a name", backend="cannot be made")
        self.assertEqual(status, 1)
        self.assertIn("make returned status", output)

    def test_an_error_of_open_is_shown(self):
        status, output = kit(MODULE, "a backend has a name", backend="no such thing")
        self.assertEqual(status, 1)
        self.assertIn("there is no such broken backend", output)

    def test_what_is_no_module_is_not_judged(self):
        with tempfile.TemporaryDirectory() as folder:
            empty = pathlib.Path(folder, "empty.so")
            empty.write_bytes(b"")
            for arguments, said in (((str(empty),), "cannot be loaded"), ((folder + "/missing.so",), "cannot be loaded"),
                                    (("libc.so.6",), "cannot be loaded"), ((), "MODULE is required"),
                                    ((MODULE, "no such case"), "no case has that in its name"),
                                    ((MODULE, "--limit=0"), "--limit")):
                status, output = kit(*arguments)
                self.assertEqual(status, 2, output)
                self.assertIn(said, output)

    def test_the_cases_can_be_listed(self):
        status, output = kit(MODULE, "--list")
        self.assertEqual(status, 0)
        self.assertGreater(len(output.splitlines()), 40)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
