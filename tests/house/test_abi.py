"""The comparison with the recorded C ABI (abi.py) lets additions through, and nothing else.

    python3 test_abi.py C_COMPILER
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import abi

COMPILER = sys.argv[1]
HEADER = """
#include <stddef.h>
#include <stdint.h>
enum { TOKENSTORE_OK = 0, TOKENSTORE_BAD = 1 };
#define TOKENSTORE_MAX 16
typedef struct tokenstore_store tokenstore_store;
typedef struct tokenstore_info { size_t struct_size; int64_t at; int32_t (*ask)(void* context); char id[16]; } tokenstore_info;
typedef struct tokenstore_pulse { uint64_t counter; } tokenstore_pulse;
int32_t tokenstore_read(const tokenstore_store* store, tokenstore_info* out_info, int64_t at);
tokenstore_pulse tokenstore_beat(void);
"""


class Abi(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.source = pathlib.Path(self.folder.name)
        (self.source / "capi/include").mkdir(parents=True)
        abi.record(self.source, [self.build(HEADER)], self.source / "capi/abi")

    def tearDown(self):
        self.folder.cleanup()

    def build(self, header, extra=""):
        (self.source / "capi/include/tokenstore.h").write_text(header, encoding="utf-8")
        third = "int32_t" if "int32_t at)" in header else "int64_t"
        code = self.source / "library.c"
        code.write_text(
            '#include "capi/include/tokenstore.h"\nstruct tokenstore_store { int inside; };\n'
            f"int32_t tokenstore_read(const tokenstore_store* store, tokenstore_info* out_info, {third} at) "
            "{ return store->inside + (int32_t)(at + (int64_t)out_info->struct_size); }\n"
            "tokenstore_pulse tokenstore_beat(void) { tokenstore_pulse pulse = {1}; return pulse; }\n" + extra,
            encoding="utf-8")
        library = self.source / "libtokenstore.so"
        subprocess.run([COMPILER, "-g", "-shared", "-fPIC", code, "-o", library], check=True)
        return library

    def faults(self, before, after, extra=""):
        self.assertIn(before, HEADER)
        library = self.build(HEADER.replace(before, after), extra)
        return abi.check(self.source, [library], self.source / "capi/abi")

    def test_what_has_not_changed_passes(self):
        self.assertEqual(self.faults("", ""), [])

    def test_additions_pass(self):
        self.assertEqual(self.faults("char id[16];", "char id[16]; int64_t more;"), [])
        self.assertEqual(self.faults("TOKENSTORE_BAD = 1", "TOKENSTORE_BAD = 1, TOKENSTORE_WORSE = 2"), [])
        self.assertEqual(self.faults("tokenstore_pulse tokenstore_beat(void);",
                                     "tokenstore_pulse tokenstore_beat(void); int tokenstore_more(void);",
                                     "int tokenstore_more(void) { return 0; }\n"), [])

    def test_a_function_that_is_gone_or_takes_something_else_is_refused(self):
        self.assertIn("tokenstore_beat is exported no longer",
                      self.faults("tokenstore_pulse tokenstore_beat(void);",
                                  "__attribute__((visibility(\"hidden\"))) tokenstore_pulse tokenstore_beat(void);"))
        self.assertTrue(self.faults("int64_t at);", "int32_t at);"))

    def test_a_struct_that_changes_before_its_end_is_refused(self):
        for before, after in (("int64_t at; int32_t", "int32_t"), ("int64_t at;", "uint64_t at;"), ("at; int", "on; int"),
                              ("int64_t at;", "int64_t first; int64_t at;"), ("char id[16]", "char id[17]"),
                              ("(void* context)", "(void* context, int more)"), ("int32_t (*ask)", "int64_t (*ask)")):
            with self.subTest(after=after):
                self.assertTrue(self.faults(before, after))

    def test_a_struct_that_cannot_say_its_size_may_not_grow(self):
        self.assertTrue(self.faults("uint64_t counter;", "uint64_t counter; uint64_t more;"))

    def test_a_number_that_means_something_else_is_refused(self):
        self.assertTrue(self.faults("TOKENSTORE_BAD = 1", "TOKENSTORE_BAD = 2"))
        self.assertTrue(self.faults("TOKENSTORE_OK = 0, ", ""))
        self.assertTrue(self.faults("TOKENSTORE_MAX 16", "TOKENSTORE_MAX 17"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
