"""The header, the version script, the library and the table of every call name the same functions.

    python3 symbols.py SOURCE_DIRECTORY LIBRARY NM READELF
"""

import pathlib
import re
import subprocess
import sys
import unittest

SOURCE, LIBRARY, NM, READELF = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
# The other library's: tests/postgres looks at what that one exports.
OTHERS = {"tokenstore_postgres.h"}
HEADER = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted((SOURCE / "capi/include").glob("*.h"))
                     if path.name not in OTHERS)
CODE = re.sub(r"/\*.*?\*/", " ", HEADER, flags=re.S)
DECLARED = set(re.findall(r"\b(tokenstore_\w+)\s*\((?!\*)", re.sub(r"^#.*(?:\\\n.*)*", "", CODE, flags=re.M)))


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def exported():
    names = {line.split()[-1] for line in output(NM, "-D", "--defined-only", LIBRARY).splitlines()}
    return {name.split("@")[0] for name in names if "@" in name}, {name for name in names if "@" not in name}


class Symbols(unittest.TestCase):
    def test_the_header_declares_a_good_many(self):
        self.assertGreater(len(DECLARED), 55)

    def test_the_library_exports_what_the_header_declares_and_nothing_else(self):
        versioned, bare = exported()
        self.assertEqual(versioned, DECLARED | {"TOKENSTORE_0"} & versioned)
        self.assertLessEqual(bare, {"TOKENSTORE_0"})

    def test_the_version_script_lists_each_function(self):
        script = (SOURCE / "capi/tokenstore.map").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"^\s+(tokenstore_\w+);", script, flags=re.M)), DECLARED)
        self.assertNotIn("tokenstore_*", script)

    def test_the_table_of_every_call_is_complete(self):
        table = (SOURCE / "tests/capi/every_call.c").read_text(encoding="utf-8")
        self.assertEqual({"tokenstore_" + name for name in re.findall(r"ENTRY\(CALL_\w+, (\w+)\)", table)}, DECLARED)

    def test_every_declaration_has_a_comment_that_says_since_when(self):
        groups = re.split(r"\n\s*\n|(?=\n/\*)", HEADER)
        for group in groups:
            if "TOKENSTORE_API" in group and "#define TOKENSTORE_API" not in group:
                self.assertRegex(group, r"Since \d+\.\d+\.", group)

    def test_each_function_that_can_fail_takes_an_error_last(self):
        functions = re.findall(r"TOKENSTORE_API\s+((?:TOKENSTORE_MUST_USE\s+)?)int32_t\s+(tokenstore_\w+)\s*\(([^)]*)\)",
                               CODE)
        self.assertGreater(len(functions), 35)
        for must_use, name, parameters in functions:
            self.assertRegex(parameters, r"tokenstore_error\*\* out_error$", name)
            self.assertEqual(bool(must_use), name != "tokenstore_validate", name)

    def test_the_soname_is_the_abi_version_of_the_header(self):
        version = re.search(r"#define TOKENSTORE_ABI_VERSION (\d+)", HEADER).group(1)
        self.assertIn(f"[libtokenstore.so.{version}]", output(READELF, "-d", LIBRARY))


unittest.main(argv=sys.argv[:1], verbosity=2)
