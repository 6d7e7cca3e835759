"""Every function of the C interface has a way from Go, every number its name, every exported call its example, and what is
made is up to date.

    python3 surface.py TREE
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import go_support

TREE = pathlib.Path(sys.argv[1]).resolve()
MODULE = TREE / "capi/go"
sys.path.insert(0, str(TREE / "capi/one_file"))
import one_file  # noqa: E402


def sources():
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(MODULE.glob("*"))
                     if path.suffix in (".go", ".c", ".h") and not path.name.endswith("_test.go")
                     and not path.name.startswith("tokenstore"))


def header():
    text = (TREE / "capi/include/tokenstore.h").read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def without_examples(*folders):
    done = subprocess.run([go_support.oldest(), "run", ".", *map(str, folders)], cwd=TREE / "tests/go/examples", text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=go_support.environment(CGO_ENABLED="0"))
    return done.returncode, done.stdout


class Surface(unittest.TestCase):
    def test_each_function_of_the_header_is_called(self):
        declared = set(re.findall(r"TOKENSTORE_API[^;(]*?\b(tokenstore_\w+)\s*\(", header()))
        self.assertGreater(len(declared), 60)
        called = set(re.findall(r"\b(tokenstore_\w+)\(", sources()))
        self.assertEqual(set(), declared - called)
        # The look-out sees what is missing.
        self.assertEqual({"tokenstore_other"}, {"tokenstore_other"} - called)

    def test_each_status_reason_outcome_and_state_has_a_name(self):
        numbers = set(re.findall(r"\b(TOKENSTORE_(?:OUTCOME|REASON|STATE|KEY|ACTOR|DEED|JOURNALED|PROBLEM)_\w+)\s*=", header()))
        statuses = re.search(r"enum \{\s*TOKENSTORE_OK = 0,(.*?)\}", header(), re.S)[1]
        numbers |= set(re.findall(r"\b(TOKENSTORE_\w+)\s*=", statuses)) - {"TOKENSTORE_BUFFER_TOO_SMALL"}
        self.assertGreater(len(numbers), 45)
        named = set(re.findall(r"\bC\.(TOKENSTORE_\w+)", sources()))
        self.assertEqual({"TOKENSTORE_KEY_FILE_STRICT"}, numbers - named)

    def test_each_field_of_the_structs_is_used(self):
        text = sources()
        for name, body in re.findall(r"typedef struct (tokenstore_\w+) \{(.*?)\}", header(), re.S):
            if name in ("tokenstore_clock", "tokenstore_demand"):
                continue  # in C: see the shims
            if name == "tokenstore_key_source":
                continue  # for C and C++: a program in Go gives a key file, which may change
            for field in re.findall(r"\b(\w+)(?:\[[^\]]*\])?;", body):
                if field not in ("reserved", "struct_size", "http_status", "key_source"):
                    self.assertTrue(re.search(rf"\b{field}\b", text), f"{name}.{field}")

    def test_each_exported_call_has_an_example(self):
        status, said = without_examples(MODULE, MODULE / "tokenstoretest", MODULE / "grpc")
        self.assertEqual(0, status, said)
        self.assertGreater(int(said.split()[0]), 100)

    def test_a_call_without_an_example_is_seen(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "a.go").write_text("package a\n\ntype T[K any] struct{}\ntype u struct{}\n\n"
                                         "func F() {}\nfunc G() {}\nfunc (*T[K]) M() {}\nfunc (T[K]) N() {}\n"
                                         "func (u) O() {}\nfunc p() {}\n", encoding="utf-8")
            (folder / "a_test.go").write_text("package a_test\n\nfunc ExampleF_second() {}\nfunc ExampleT_M() {}\n",
                                              encoding="utf-8")
            status, said = without_examples(folder)
            self.assertNotEqual(0, status)
            self.assertEqual([f"{folder}: no ExampleG", f"{folder}: no ExampleT_N"], said.splitlines()[:2])
            self.assertNotIn("ExampleF", said)
            # A folder in which nothing is exported is not the one that was meant.
            (folder / "a.go").write_text("package a\n", encoding="utf-8")
            self.assertNotEqual(0, without_examples(folder)[0])

    def test_the_one_file_form_is_what_the_tree_gives(self):
        files = one_file.for_go(one_file.made_of(TREE, postgres=True))
        self.assertEqual([], one_file.differing(files, MODULE),
                         "run: python3 capi/one_file/one_file.py --go capi/go")

    def test_the_licence_goes_with_the_module(self):
        self.assertEqual((TREE / "LICENSE").read_text(), (MODULE / "LICENSE").read_text())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
