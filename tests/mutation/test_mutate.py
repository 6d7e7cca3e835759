"""The mutation tool makes the faults that it should, and sees a test that notices nothing.

    python3 test_mutate.py CXX_COMPILER
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import builds
import mutate
import operators
import schema

COMPILER = sys.argv[1]
CODE = """int clamp(int value, int most) {
  if (value > most) return most;
  return value;
}
"""
# Each of the faults in CODE shows in one of these.
STRONG = "clamp(3, 2) == 2 && clamp(1, 2) == 1"

# Each shape of a statement that a fault can stand in.
SHAPES = """#include <algorithm>
#include <vector>
constexpr int most = 2 + 1;
int total = 0;
void add(int one) { total += one; }
int shape(int value) {
  // A comment; with { brackets ( of its own.
  const int limit = std::min(value + 1, most);
  std::vector<int> seen{1, 2};
  for (int i = 0; i < limit && i < 10; ++i) {
    seen.push_back(i);
    add(i);
  }
  if (value == 3) {
    total += 5;
  } else if (value > 4 ||
             value < 0) {
    return -1;
  }
  bool found = false;
  std::for_each(seen.begin(), seen.end(), [&](int one) {
    if (one == 1) found = true;
  });
  while (total > 6) total -= 7;
  switch (value) {
    case 1: return total + 10;
    default: break;
  }
  return !found ? total : total + static_cast<int>(seen.size());
}
"""
ASKED = """#include <cstdio>
int shape(int value);
int main() {
  for (int value = -2; value < 8; ++value) std::printf("%d ", shape(value));
}
"""
SWITCH = """#include <cstdlib>
#include "switch.hpp"
unsigned char all[1000];
int tokenstore_mutation::chosen = std::getenv("CHOSEN") ? std::atoi(std::getenv("CHOSEN")) : -1;
unsigned char* tokenstore_mutation::reached = all;
"""


class TinyBuild(builds.Build):
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

    def said(self, folder, text, name, *more):
        """What the program says with this text in it, or why it says nothing."""
        (folder / f"{name}.cpp").write_text(text, encoding="utf-8")
        made = subprocess.run([COMPILER, "-std=c++20", "-w", "-I", str(pathlib.Path(mutate.__file__).parent), *more,
                               f"{name}.cpp", "asked.cpp", "-o", name], cwd=folder, stderr=subprocess.PIPE, text=True,
                              check=False)
        return self.answered(folder, name) if made.returncode == 0 else made.stderr

    @staticmethod
    def answered(folder, name, **chosen):
        try:
            return subprocess.run([f"./{name}"], cwd=folder, env={**os.environ, **chosen}, stdout=subprocess.PIPE,
                                  text=True, timeout=5, check=False).stdout
        except subprocess.TimeoutExpired:
            return "without end"

    def test_a_fault_behind_its_switch_does_what_it_does_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "asked.cpp").write_text(ASKED, encoding="utf-8")
            (folder / "switch_here.cpp").write_text(SWITCH, encoding="utf-8")
            lines = SHAPES.splitlines(keepends=True)
            faults = []
            for number, line in enumerate(lines):
                start = sum(len(before) for before in lines[:number])
                faults += [(number, schema.Fault(len(faults) + at, start, line.rstrip("\n"), after))
                           for at, after in enumerate(dict.fromkeys(operators.mutants(line.rstrip("\n"))))]
            text, numbers = schema.with_switches(SHAPES, [fault for _, fault in faults], "shape.cpp")
            self.assertGreater(len(numbers), len(faults) * 9 // 10)
            right = self.said(folder, SHAPES, "right")
            self.assertEqual(self.said(folder, text, "all", "-include", "switch.hpp", "switch_here.cpp"), right)
            differ = 0
            # A few of each kind of place: compiling each alone is what the switches are there to save.
            for _, fault in faults[::4]:
                alone = self.said(folder, SHAPES[:fault.start] + fault.text + SHAPES[fault.end:], "alone")
                # What is computed at compile time looks at no switch: the tool tries it alone.
                if fault.number in numbers and "constexpr" not in SHAPES.splitlines()[faults[fault.number][0]]:
                    self.assertEqual(self.answered(folder, "all", CHOSEN=str(fault.number)), alone, fault.text)
                    differ += alone != right
            self.assertGreater(differ, 5)

    def test_what_was_killed_is_not_tried_again_until_its_file_changes(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder)
            (source / "a.cpp").write_text("a == b;\nc == d;\n", encoding="utf-8")
            killed, lives = (mutate.Mutant(pathlib.Path("a.cpp"), number, f"{code};", f"{code.replace('=', '!', 1)};")
                             for number, code in enumerate(("a == b", "c == d"), 1))
            results = mutate.Results(source, source / "results")
            results.note(killed, "killed", "a test")
            results.note(lives, "survived", "2 tests come there")
            again = mutate.Results(source, source / "results")
            self.assertEqual((again.of(killed), again.of(lives)), ("killed", None))
            (source / "a.cpp").write_text("a == b; \nc == d;\n", encoding="utf-8")
            self.assertIsNone(mutate.Results(source, source / "results").of(killed))

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
