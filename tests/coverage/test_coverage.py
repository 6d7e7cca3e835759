"""The coverage check sees a branch that no test takes, and an excuse that excuses nothing.

    python3 test_coverage.py CXX_COMPILER
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import coverage

COMPILER = sys.argv[1]
CODE = """#include <string>
int sign(int number) {
  if (number < 0) return -1;
  return number > 0 ? 1 : 0;
}
int main(int count, char**) {
  std::string may_throw(static_cast<unsigned>(count), 'x');
  return sign(count) - %s;
}
"""


class Coverage(unittest.TestCase):
    def counted(self, tried):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder).resolve()
            (source / "src/text").mkdir(parents=True)
            (source / "src/text/sign.cpp").write_text(CODE % tried, encoding="utf-8")
            subprocess.run([COMPILER, "--coverage", "-O0", "src/text/sign.cpp", "-o", "sign"], cwd=source, check=True)
            subprocess.run(["./sign"], cwd=source, check=False)
            counts = coverage.collect(source, source, ["text"])
            self.assertGreater(len(list(counts.branches())), 0)
            return {number: what for (_, number), what in coverage.missed(counts).items()}, (source, counts)

    def test_a_branch_that_is_never_taken_is_seen_and_one_that_only_throws_is_not(self):
        self.assertEqual(set(self.counted("1")[0]), {3, 4})
        self.assertEqual(set(self.counted("1 + sign(-1) + sign(0)")[0]), set())

    def test_what_was_never_asked_is_missed_where_the_way_there_is(self):
        ways = coverage.questions([
            {"count": 5, "fallthrough": True}, {"count": 0},  # a condition that has never been true
            {"count": 0, "fallthrough": True}, {"count": 0},  # what would then be asked
            {"count": 0, "fallthrough": True}, {"count": 0, "throw": True},  # a call that was not made
            {"count": 7}, {"count": 0}])  # a switch
        self.assertEqual(list(ways), [[5, 0], [0, 0], [7], [0]])
        counts = coverage.Counts()
        counts.add("a.cpp", {"line_number": 1, "count": 5, "branches": [
            {"count": 5, "fallthrough": True}, {"count": 0}, {"count": 0, "fallthrough": True}, {"count": 0}]})
        self.assertEqual(coverage.missed(counts), {("a.cpp", 1): "1 of 2 branches never taken"})

    def judged(self, *excused, code=CODE % "1"):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder)
            (source / "src/text").mkdir(parents=True)
            (source / "src/text/sign.cpp").write_text(code, encoding="utf-8")
            (source / "excused.txt").write_text("".join(f"{' | '.join(line)}\n" for line in excused), encoding="utf-8")
            counts = coverage.Counts()
            counts.add("src/text/sign.cpp", {"line_number": 3, "count": 1, "branches": [
                {"count": 0, "fallthrough": True}, {"count": 1}]})
            counts.add("src/text/sign.cpp", {"line_number": 4, "count": 1, "branches": [
                {"count": 0, "fallthrough": True}, {"count": 0, "throw": True}]})
            return coverage.judge(source, counts, coverage.excuses(source / "excused.txt"), ["text"])

    missing = ("src/text/sign.cpp", "if (number < 0) return -1;")
    gone_through = ("src/text/sign.cpp", "return number > 0 ? 1 : 0;")
    gone = ("src/text/sign.cpp", "gone();")

    def test_what_is_missed_needs_an_excuse_and_an_excuse_needs_something_missed(self):
        self.assertEqual(len(self.judged()), 1)
        self.assertEqual(self.judged((*self.missing, "a reason")), [])
        self.assertEqual(len(self.judged((*self.missing, "a reason"), (*self.gone, "another"))), 1)
        for line in (("src/text/sign.cpp", "no reason"), ("src/text/sign.cpp#x", "gone();", "a reason"),
                     ("src/text/sign.cpp#0", "gone();", "a reason")):
            with self.assertRaises(SystemExit):
                self.judged(line)

    def test_what_only_chance_brings_about_may_be_gone_through_and_has_to_be_there(self):
        excused = (*self.missing, "a reason")
        self.assertEqual(self.judged(excused, (*self.gone_through, "by chance: two threads")), [])
        self.assertEqual(len(self.judged(excused, (*self.gone_through, "one thread"))), 1)
        self.assertEqual(len(self.judged(excused, (*self.gone, "by chance: two"))), 1)
        # Only half of it is chance: the other half has to be missed.
        self.assertEqual(self.judged((*self.missing, "by chance: two"), (*self.missing, "nobody does")), [])
        self.assertEqual(len(self.judged(excused, (*self.gone_through, "by chance: two"),
                                         (*self.gone_through, "nobody does"))), 1)

    def test_what_chance_brings_about_is_one_line_and_others_that_read_so_have_no_excuse(self):
        file, code = self.missing
        twice = (CODE % "1").replace("return number > 0 ? 1 : 0;", code)  # lines 3 and 4, of which 3 is missed
        self.assertEqual(len(self.judged((file, code, "by chance: two"), code=twice)), 1)
        self.assertEqual(self.judged((file, code, "a reason"), code=twice), [])
        self.assertEqual(self.judged((f"{file}#1", code, "by chance: two"), code=twice), [])
        self.assertEqual(self.judged((f"{file}#1", code, "a reason"), code=twice), [])
        # The second is there and gone through; the first is then missed without an excuse. There is no third.
        self.assertEqual(len(self.judged((f"{file}#2", code, "by chance: two"), code=twice)), 1)
        self.assertEqual(len(self.judged((f"{file}#2", code, "a reason"), code=twice)), 2)
        self.assertEqual(len(self.judged((f"{file}#1", code, "a reason"), (f"{file}#3", code, "by chance: two"),
                                         code=twice)), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
