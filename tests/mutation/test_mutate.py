"""The mutation tool makes the faults that it should, and sees a test that notices nothing.

    python3 test_mutate.py CXX_COMPILER
"""

import contextlib
import io
import json
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
import switched

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
# One test looks at the fault, one fails wherever another has not gone before it, and one fails now and then.
PROGRAM = """#!/bin/sh
case "$2" in *looks*) [ "$TOKENSTORE_MUTATION_CHOSEN" != 1 ] || exit 1 ;; esac
case "$2" in *needs*) exit 1 ;; esac
case "$2" in *chance*) ! rm '{folder}/once' 2>/dev/null || exit 1 ;; esac
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
        self.test.write_text("#include <cstdio>\nint clamp(int value, int most);\n"
                             f"int main(int count, char**) {{ return {condition} ? 0 : 1; }}\n", encoding="utf-8")
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

    def test_what_was_killed_is_not_tried_again_until_its_file_or_a_test_of_its_room_changes(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder).resolve()
            for name, text in (("src/text/a.cpp", "a == b;\nc == d;\n"), ("tests/a_test.cpp", '#include "support/a.hpp"\n'),
                               ("tests/support/a.hpp", "CHECK(a == b);\n"), ("tests/other_test.cpp", "CHECK(e == f);\n")):
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_text(text, encoding="utf-8")
            (source / "compile_commands.json").write_text(json.dumps([
                {"file": f"{source}/tests/{name}_test.cpp", "directory": folder,
                 "command": f"c++ -o tests/{name}_test.dir/{name}_test.cpp.o -c tests/{name}_test.cpp"}
                for name in ("a", "other")]), encoding="utf-8")

            def results():
                return mutate.Results(source, source / "results",
                                      lambda room: builds.test_sources(source, source, {"text": ["a_test"]}[room]))

            killed, lives = (mutate.Mutant(pathlib.Path("src/text/a.cpp"), number, f"{code};",
                                           f"{code.replace('=', '!', 1)};")
                             for number, code in enumerate(("a == b", "c == d"), 1))
            first = results()
            first.note(killed, "killed", "a test")
            first.note(lives, "survived", "2 tests come there")
            again = results()
            self.assertEqual((again.of(killed), again.of(lives)), ("killed", None))
            for name in ("src/text/a.cpp", "tests/a_test.cpp", "tests/support/a.hpp", "tests/other_test.cpp"):
                before = (source / name).read_text(encoding="utf-8")
                (source / name).write_text(f"{before} ", encoding="utf-8")
                # A test of another room has killed nothing here.
                self.assertEqual(results().of(killed), "killed" if "other" in name else None, name)
                (source / name).write_text(before, encoding="utf-8")
            self.assertEqual(results().of(killed), "killed")

    def judged(self, folder, *tests, fault=1):
        """What tests of these names make of a fault."""
        folder = pathlib.Path(folder)
        (folder / "once").write_text("", encoding="utf-8")
        (folder / "program").write_text(PROGRAM.format(folder=folder), encoding="utf-8")
        (folder / "program").chmod(0o755)
        room = switched.Switched(None, folder, [], {})
        room.programs = {"program": folder / "program"}
        room.tests = [switched.Test("program", name, 0.01, 0.01, {1, 2}) for name in tests]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            return room.outcome(fault), said.getvalue()

    def test_only_what_fails_with_the_fault_alone_and_does_so_twice_has_noticed_it(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.judged(folder, "looks", fault=2), (("survived", "1 tests come there"), ""))
            self.assertEqual(self.judged(folder, "looks"), (("killed", "looks"), ""))
            outcome, said = self.judged(folder, "needs another")
            self.assertEqual(outcome[0], "survived")
            self.assertIn("fails without a fault where it is run alone, and kills nothing then: needs another", said)
            self.assertEqual(self.judged(folder, "by chance")[0][0], "survived")
            # One that is run together with such a one still notices.
            self.assertEqual(self.judged(folder, "needs another", "looks")[0], ("killed", "looks"))
            self.assertEqual(self.judged(folder, "needs another", "looks", fault=2)[0][0], "survived")
            # The control: that one fails at all, and only once.
            (pathlib.Path(folder) / "once").write_text("", encoding="utf-8")
            codes = [subprocess.run([f"{folder}/program", "--abort", "by chance"], check=False).returncode for _ in "12"]
            self.assertEqual(codes, [1, 0])

    def outcomes(self, condition, before=lambda folder: None):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder).resolve()
            (source / "src/text").mkdir(parents=True)
            (source / "src/text/clamp.cpp").write_text(CODE, encoding="utf-8")
            build = TinyBuild(source, condition.replace("FOLDER", str(source)))
            trial = mutate.Trial(source, build, lambda file: ["clamp_test"])
            objects = build.compile(source / "src/text/clamp.cpp", source / "src/text/clamp.cpp", source / "clamp.o")
            self.assertTrue(build.link("clamp_test", objects, source / "clamp_test"))
            trial.measure("clamp_test", source / "clamp_test", source)
            file = pathlib.Path("src/text/clamp.cpp")
            found = []
            for mutant in mutate.mutants_of(source, file):
                before(source)
                found.append((mutant, trial.outcome(mutant)))
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

    def test_what_fails_alone_only_by_chance_or_where_its_tests_are_chosen_kills_nothing(self):
        # Whole it has one argument, of its file's tests alone it has three.
        chosen = self.outcomes("count == 2")
        chance = self.outcomes('std::remove("FOLDER/once") != 0', lambda folder: (folder / "once").write_text(""))
        for found in (chosen, chance):
            self.assertTrue(found and all(outcome == "survived" for _, outcome in found), found)
        both = {mutant.after: outcome for mutant, outcome in self.outcomes(f"count == 2 && {STRONG}")}
        self.assertEqual(both, {mutant.after: outcome for mutant, outcome in self.outcomes(STRONG)})

    def test_what_is_explained_has_to_be_a_mutant_of_what_the_file_is(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder)
            (source / "a.cpp").write_text("  if (a == b) return;\n", encoding="utf-8")
            there = ("a.cpp", "if (a == b) return;", "if (a != b) return;")
            others = (("a.cpp", "if (c == b) return;", "if (c != b) return;"), ("b.cpp", *there[1:]))
            self.assertEqual(mutate.gone(source, {there: "a reason"}), [])
            self.assertEqual(len(mutate.gone(source, {key: "a reason" for key in (there, *others)})), 2)

    def test_a_survivor_needs_an_explanation_and_a_killed_one_may_have_none(self):
        mutant = mutate.Mutant(pathlib.Path("src/text/a.cpp"), 1, "  a == b;", "  a != b;")
        key = ("src/text/a.cpp", "a == b;", "a != b;")
        self.assertEqual(len(mutate.judge([(mutant, "survived")], {})), 1)
        self.assertEqual(mutate.judge([(mutant, "survived")], {key: "why"}), [])
        self.assertEqual(len(mutate.judge([(mutant, "killed")], {key: "why"})), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
