"""The checks of this folder can fail: each is shown something that it has to refuse.

    python3 test_checks.py
"""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import architecture  # noqa: E402
import banned_calls  # noqa: E402
import links  # noqa: E402


class Tree:
    """A small tree that is in order, to which a test adds what is not."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.write("include/tokenstore/status.hpp", "#include <string>\n")
        self.write("include/tokenstore/backend.hpp", '#include "tokenstore/status.hpp"\n')
        self.write("include/tokenstore/store.hpp", '#include "tokenstore/backend.hpp"\n')
        self.write("include/tokenstore/backends/memory.hpp", '#include "tokenstore/backend.hpp"\n')
        self.write("include/tokenstore/backends/sqlite.hpp", '#include "tokenstore/backend.hpp"\n')
        self.write("src/base/wipe.hpp", "#include <cstddef>\n")
        self.write("src/text/token_text.hpp", '#include "base/wipe.hpp"\n')
        self.write("src/seal/sealer.hpp", '#include "text/token_text.hpp"\n#include "tokenstore/backend.hpp"\n')
        self.write("src/validate/validator.hpp", '#include "seal/sealer.hpp"\n')
        self.write("src/store/store_impl.hpp", '#include "validate/validator.hpp"\n#include "tokenstore/store.hpp"\n')
        self.write("src/backends/memory/memory_backend.hpp", '#include "tokenstore/backends/memory.hpp"\n')
        self.write("capi/include/tokenstore.h", "#include <stdint.h>\n")
        self.write("README.md", "# One page\n\nSee [the room](src/base/) and [above](#one-page).\n")

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


class Architecture(unittest.TestCase):
    def refuses(self, source, include):
        with Tree() as tree:
            self.assertEqual([], architecture.problems(tree.path)[1])
            tree.write(source, include + "\n")
            found = architecture.problems(tree.path)[1]
            self.assertEqual(1, len(found), f"{source} with {include}: {found}")
            self.assertTrue(found[0].startswith(source))

    def test_a_tree_in_order_passes(self):
        with Tree() as tree:
            files, found = architecture.problems(tree.path)
            self.assertEqual([], found)
            self.assertEqual(12, files)

    def test_an_arrow_against_the_order_is_refused(self):
        self.refuses("src/base/up.cpp", '#include "text/token_text.hpp"')
        self.refuses("src/text/up.cpp", '#include "seal/sealer.hpp"')
        self.refuses("src/seal/up.cpp", '#include "store/store_impl.hpp"')
        self.refuses("src/validate/up.cpp", '#include "store/store_impl.hpp"')
        self.refuses("src/validate/up.cpp", '#include "tokenstore/store.hpp"')

    def test_a_path_that_goes_round_is_refused(self):
        self.refuses("src/base/up.cpp", '#include "../text/token_text.hpp"')

    def test_backends_know_neither_each_other_nor_the_store(self):
        self.refuses("src/backends/sqlite/across.cpp", '#include "backends/memory/memory_backend.hpp"')
        self.refuses("src/backends/sqlite/across.cpp", '#include "tokenstore/backends/memory.hpp"')
        self.refuses("src/backends/sqlite/up.cpp", '#include "tokenstore/store.hpp"')
        self.refuses("src/backends/sqlite/up.cpp", '#include "seal/sealer.hpp"')

    def test_the_store_knows_no_backend(self):
        self.refuses("src/store/down.cpp", '#include "tokenstore/backends/sqlite.hpp"')
        self.refuses("src/store/down.cpp", '#include "backends/memory/memory_backend.hpp"')

    def test_command_and_c_abi_see_public_headers_only(self):
        self.refuses("src/cli/in.cpp", '#include "base/wipe.hpp"')
        self.refuses("capi/src/in.cpp", '#include "base/wipe.hpp"')

    def test_a_public_header_shows_no_outside_library(self):
        self.refuses("include/tokenstore/leak.hpp", "#include <sodium.h>")
        self.refuses("include/tokenstore/leak.hpp", "#include <fmt/format.h>")
        self.refuses("include/tokenstore/leak.hpp", '#include "base/wipe.hpp"')
        self.refuses("capi/include/leak.h", "#include <sqlite3.h>")
        self.refuses("capi/include/leak.h", "#include <string>")

    def test_sqlite_is_seen_by_its_backend_alone(self):
        self.refuses("src/store/down.cpp", "#include <sqlite3.h>")

    def test_a_folder_that_is_no_room_is_refused(self):
        self.refuses("src/helpers/misc.cpp", "#include <string>")


class BannedCalls(unittest.TestCase):
    def count(self, code, source="src/store/x.cpp", allowed=None):
        with Tree() as tree:
            tree.write(source, code)
            return len(banned_calls.problems(tree.path, allowed or {})[1])

    def test_each_banned_call_is_refused(self):
        for name in {**banned_calls.BANNED, **banned_calls.BANNED_IN_LIBRARY}:
            self.assertEqual(1, self.count(f"int f() {{ return {name}(1, 2); }}\n"), name)
            self.assertEqual(1, self.count(f"void f() {{\n  std::{name} (1);\n}}\n"), name)
        for word in {**banned_calls.BANNED_WORDS, **banned_calls.BANNED_WORDS_IN_LIBRARY}:
            self.assertEqual(1, self.count(f"void f() {{ use({word}); }}\n"), word)

    def test_comments_texts_members_and_other_names_pass(self):
        self.assertEqual(0, self.count("// memcmp(a, b)\n/* rand() */ auto x = \"strcpy(a, b)\";\n"))
        self.assertEqual(0, self.count("void f() { slots.free(1); page->free(2); sodium_memcmp(a, b, 3); my_rand(); }\n"))
        self.assertEqual(0, self.count("constexpr int x = 1'000; // memcmp(\nint y = 2'000;\n"))

    def test_the_command_may_print_and_exit_but_not_copy_without_bounds(self):
        self.assertEqual(0, self.count("void f() { std::cout << 1; exit(2); }\n", "src/cli/x.cpp"))
        self.assertEqual(1, self.count("void f() { strcpy(a, b); }\n", "src/cli/x.cpp"))

    def test_exceptions_are_counted(self):
        key = ("src/store/x.cpp", "memcmp")
        once = "int f() { return memcmp(a, b, 1); }\n"
        self.assertEqual(0, self.count(once, allowed={key: 1}))
        self.assertLess(0, self.count(once + once, allowed={key: 1}))
        self.assertLess(0, self.count(once, allowed={key: 2}))
        self.assertLess(0, self.count("int f();\n", allowed={key: 1}))


class Links(unittest.TestCase):
    def count(self, text):
        with Tree() as tree:
            self.assertEqual([], links.problems(tree.path)[1])
            tree.write("docs/page.md", text)
            return len(links.problems(tree.path)[1])

    def test_links_that_lead_nowhere_are_refused(self):
        for text in ("[x](gone.md)", "[x](../README.md#gone)", "[x](#gone)", "[x](../../outside.md)",
                     "[x]: gone.md", "see `src/gone/`", "see `src/*/gone.cpp`", "![x](gone.png)"):
            self.assertEqual(1, self.count(f"# Here\n\n{text}\n"), text)

    def test_links_that_lead_somewhere_pass(self):
        for text in ("[x](../README.md)", "[x](../README.md#one-page)", "[x](#here)", "[x](https://example.org/gone)",
                     "see `src/base/` and `src/*/wipe.hpp`", "```\n[x](gone.md)\n```"):
            self.assertEqual(0, self.count(f"# Here\n\n{text}\n"), text)


class EmptyTree(unittest.TestCase):
    def test_no_check_passes_where_there_is_nothing_to_check(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            for check in (architecture, banned_calls, links):
                self.assertEqual(1, check.main(["check", folder]), check.__name__)


if __name__ == "__main__":
    unittest.main()
