"""The script that makes the one-file form: the same bytes from the same tree, and nothing outside a namespace.

    python3 test_one_file.py
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = TREE / "capi/one_file/one_file.py"
sys.path.insert(0, str(SCRIPT.parent))
import one_file  # noqa: E402
import separate  # noqa: E402


def copy_of_the_tree(folder):
    for name in ("src", "include", "capi"):
        shutil.copytree(TREE / name, folder / name, ignore=shutil.ignore_patterns("go", "python", "__pycache__"))
    return folder


def run(*arguments):
    return subprocess.run([sys.executable, "-B", str(SCRIPT), *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd="/")


class OneFile(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.place = pathlib.Path(self.folder.name)

    def test_the_same_tree_gives_the_same_bytes_wherever_it_lies(self):
        tree = copy_of_the_tree(self.place / "elsewhere")
        self.assertEqual(one_file.made_of(TREE, postgres=True), one_file.made_of(tree, postgres=True))

    def test_nothing_of_the_tree_is_included_and_no_path_of_a_machine_is_named(self):
        for name, text in one_file.made_of(TREE, postgres=True).items():
            if name.endswith(".cpp"):
                self.assertEqual([], re.findall(r'#\s*include\s*"[^"]*"', text))
            self.assertNotIn(str(TREE), text)
            self.assertNotIn("pragma once", text)

    def test_each_file_of_the_library_is_in_it_once(self):
        made = one_file.made_of(TREE, postgres=True)
        named = {name: re.findall(r"^// ---- (\S+) -", made[name], re.M) for name in made if name.endswith(".cpp")}
        for name, files in named.items():
            self.assertEqual(sorted(set(files)), sorted(files), name)
        missing = {path.relative_to(TREE).as_posix() for room in ("src", "capi/src") for path in (TREE / room).rglob("*.cpp")}
        missing -= set(named["tokenstore.cpp"]) | set(named["tokenstore_postgres.cpp"])
        self.assertEqual(set(), {name for name in missing if not name.startswith("src/cli/")})
        self.assertFalse([name for name in named["tokenstore.cpp"] if "postgres" in name])

    def test_another_state_of_the_tree_is_in_another_namespace(self):
        tree = copy_of_the_tree(self.place / "changed")
        wipe = tree / "src/base/wipe.cpp"
        wipe.write_text(wipe.read_text() + "// changed\n")
        namespaces = {re.search(r"#define tokenstore (\w+)", one_file.made_of(place)["tokenstore.cpp"])[1]
                      for place in (TREE, tree)}
        self.assertEqual(2, len(namespaces))

    def test_check_tells_what_is_right_from_what_is_not(self):
        target = self.place / "made"
        self.assertNotEqual(0, run("--check", target).returncode)
        self.assertEqual(0, run(target).returncode)
        self.assertEqual(0, run("--check", target).returncode)
        changed = target / "tokenstore.cpp"
        changed.write_text(changed.read_text().replace("noexcept", "", 1))
        done = run("--check", target)
        self.assertEqual(1, done.returncode)
        self.assertIn("tokenstore.cpp is not what the tree gives", done.stderr)
        self.assertNotIn("tokenstore.h", done.stderr)

    def test_a_file_that_is_right_keeps_its_time(self):
        target = self.place / "made"
        run(target)
        before = (target / "tokenstore.cpp").stat().st_mtime_ns
        run(target)
        self.assertEqual(before, (target / "tokenstore.cpp").stat().st_mtime_ns)

    def test_an_include_that_leads_nowhere_is_an_error(self):
        tree = copy_of_the_tree(self.place / "broken")
        (tree / "src/base/wipe.hpp").unlink()
        done = run("--tree", tree, self.place / "made")
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"^\S+: includes base/wipe.hpp, which is not in the tree\n\Z")


class Separate(unittest.TestCase):
    def test_helpers_and_functions_move_and_the_directive_goes(self):
        given = ("#define ONE 1\nusing namespace tokenstore;\nusing namespace tokenstore::capi;\n\n"
                 "static_assert(sizeof(\"}{\") > 1);\nnamespace {\nint one() { return ';'; }  // {\n}  // namespace\n\n"
                 "/* What it does; */\nint tokenstore_one(int a) {\n  return call([&] { return one() + a; });\n}\n")
        made = separate.separated(given)
        self.assertNotIn("using namespace", made)
        self.assertIn('/* What it does; */\nextern "C" TOKENSTORE_API int tokenstore_one(int a) {', made)
        self.assertLess(made.index("#define"), made.index("namespace tokenstore::capi {"))
        self.assertEqual(1, made.count("namespace tokenstore::capi {"))
        self.assertEqual(1, made.count("\n}  // namespace tokenstore::capi\n"))

    def test_members_of_a_handle_stay_where_they_are(self):
        made = separate.separated("using namespace tokenstore;\nint a;\nvoid tokenstore_token::set(int b) { use(b); }\nint c;\n")
        self.assertIn("}  // namespace tokenstore::capi\nvoid tokenstore_token::set(int b) { using namespace", made)
        self.assertEqual(2, made.count("namespace tokenstore::capi {"))

    def test_a_file_without_a_directive_stays_as_it_is(self):
        given = "namespace tokenstore::base {\nint one = 1;\n}\n"
        self.assertEqual(given, separate.separated(given))


if __name__ == "__main__":
    unittest.main()
