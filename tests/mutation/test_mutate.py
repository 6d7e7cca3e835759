"""The mutation tool makes the faults that it should, and sees a test that notices nothing.

    python3 test_mutate.py CXX_COMPILER
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import mutate
import operators

COMPILER = sys.argv[1]
CODE = """int clamp(int value, int most) {
  if (value > most) return most;
  return value;
}
"""
# Each of the faults in CODE shows in one of these.
STRONG = "clamp(3, 2) == 2 && clamp(1, 2) == 1"


class TinyBuild(mutate.Build):
    """As the real one, of one file and one program."""

    def __init__(self, source, condition):
        self.source = source
        self.test = source / "test.cpp"
        self.test.write_text(f"int clamp(int value, int most);\nint main() {{ return {condition} ? 0 : 1; }}\n",
                             encoding="utf-8")
        self.folder = self.place = source
        self.compiled_headers = {}
        self.commands = {source / "src/text/clamp.cpp": ([COMPILER, "-Wall", "-c", "src/text/clamp.cpp", "-o", "x.o"],
                                                         str(source))}
        self.links = {"clamp_test": [COMPILER, str(self.test), "-o", "clamp_test"]}


class Mutation(unittest.TestCase):
    def test_each_operator_makes_its_fault(self):
        for line, expected in (("  if (a == b) return;", "  if (a != b) return;"), ("x = a < b;", "x = a <= b;"),
                               ("  if (a && b) {", "  if (a || b) {"), ("  if (a) return 1;", "  if (false) return 1;"),
                               ("  return !ready;", "  return ready;"), ("x = a + 1;", "x = a + 2;"),
                               ("  cache.drop(id);", "  ;"), ("  total += 1;", "  ;"), ("return true;", "return false;")):
            self.assertIn(expected, list(operators.mutants(line)), line)

    def test_texts_comments_and_templates_are_left_alone(self):
        for line in ('  // a == b', '  log("a == b && true 1");', "using A = std::array<int, 3>;", "#if A == 1",
                     "  std::vector<std::pair<int, char>> pairs;"):
            for mutant in operators.mutants(line):
                self.assertEqual(mutant.strip(), ";", line)

    def outcomes(self, condition):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder).resolve()
            (source / "src/text").mkdir(parents=True)
            (source / "src/text/clamp.cpp").write_text(CODE, encoding="utf-8")
            trial = mutate.Trial(source, TinyBuild(source, condition), lambda file: ["clamp_test"])
            trial.limits = {"clamp_test": 10}
            file = pathlib.Path("src/text/clamp.cpp")
            found = [(mutant, trial.outcome(mutant)) for mutant in mutate.mutants_of(source, file)]
            self.assertEqual((source / file).read_text(encoding="utf-8"), CODE)
            return found

    def test_a_test_that_looks_kills_and_one_that_does_not_lets_live(self):
        strong = {str(mutant.after): outcome for mutant, outcome in self.outcomes(STRONG)}
        # value >= most is the same function: the one survivor here can only be explained.
        self.assertEqual({after for after, outcome in strong.items() if outcome == "survived"},
                         {"  if (value >= most) return most;"})
        self.assertGreaterEqual(list(strong.values()).count("killed"), 2)
        weak = self.outcomes("true || clamp(1, 2)")
        self.assertTrue(all(outcome == "survived" for _, outcome in weak))
        self.assertEqual(len(mutate.judge(weak, {})), len(weak))

    def test_a_survivor_needs_an_explanation_and_a_killed_one_may_have_none(self):
        mutant = mutate.Mutant(pathlib.Path("src/text/a.cpp"), 1, "  a == b;", "  a != b;")
        key = ("src/text/a.cpp", "a == b;", "a != b;")
        self.assertEqual(len(mutate.judge([(mutant, "survived")], {})), 1)
        self.assertEqual(mutate.judge([(mutant, "survived")], {key: "why"}), [])
        self.assertEqual(len(mutate.judge([(mutant, "killed")], {key: "why"})), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
