"""The object files of the one-file form define no name that a host's, or another copy's, could meet.

    python3 symbols.py NM READELF ONE_FILE_LIBRARY UNITY_OBJECT CONTROL_LIBRARY

Every function and object of the library's is in the namespace of its copy, or belongs to a C handle's type and is hidden.
What is left are the C functions, and templates of the standard library and of fmt, which are everybody's. The control is
the library as the tree compiles it, in its own namespace.
"""

import re
import subprocess
import sys
import unittest

NM, READELF, ONE_FILE, UNITY, CONTROL = sys.argv[1:6]
EVERYBODYS = re.compile(r"^(?:(?:vtable|typeinfo|typeinfo name|guard variable|construction vtable|VTT|non-virtual thunk"
                        r"|virtual thunk) (?:for|to) )?(?:.*? )?(?:std|fmt|__gnu_cxx|__cxxabiv1)::")
# What the compiler and a version script's absence leave besides: references that the linker merges.
COMPILERS_OWN = re.compile(r"^(?:DW\.ref\.|__clang_call_terminate$|_DYNAMIC$)")


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def symbols(path):
    """Of each symbol that other files can see: its name without arguments, and whether it is hidden."""
    listed = output(READELF, "-sW", path)
    found = {}
    for line in listed.splitlines():
        parts = line.split()
        if len(parts) >= 8 and parts[4] in ("GLOBAL", "WEAK", "UNIQUE") and parts[6] != "UND":
            found[parts[7]] = parts[5] in ("HIDDEN", "INTERNAL")
    mangled = list(found)
    plain = subprocess.run(["c++filt"], input="\n".join(mangled), check=True, text=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    return {name: found[symbol] for symbol, name in zip(mangled, plain)}


def could_meet(path, namespace):
    """Names that something outside could take for its own."""
    return sorted(name for name, hidden in symbols(path).items()
                  if not COMPILERS_OWN.match(name) and not re.fullmatch(r"tokenstore_\w+", name)
                  and f"{namespace}::" not in name and not EVERYBODYS.match(name)
                  and not (hidden and re.search(r"\btokenstore_\w+", name)))


def namespace_of(path):
    named = re.findall(r"\b(tokenstore_\d+_\d+_\d+_[0-9a-f]{12})::", "\n".join(symbols(path)))
    return named[0] if named else None


class Symbols(unittest.TestCase):
    def test_names_are_of_the_copy(self):
        namespace = namespace_of(ONE_FILE)
        self.assertIsNotNone(namespace)
        self.assertEqual([], could_meet(ONE_FILE, namespace))

    def test_the_library_in_its_own_namespace_is_refused(self):
        self.assertGreater(len(could_meet(CONTROL, "tokenstore_0_0_0_000000000000")), 100)

    def test_only_the_c_functions_are_exported(self):
        shown = {name for name, hidden in symbols(ONE_FILE).items() if not hidden and not EVERYBODYS.match(name)}
        shown = {name for name in shown if not COMPILERS_OWN.match(name)}
        self.assertEqual(set(), {name for name in shown if not re.fullmatch(r"tokenstore_[a-z_]+", name)})
        self.assertGreater(len(shown), 60)

    def test_a_host_can_keep_the_c_functions_to_itself(self):
        shown = {name for name, hidden in symbols(UNITY).items() if not hidden and name.startswith("tokenstore_")}
        self.assertEqual(set(), shown)
        kept = {name for name, hidden in symbols(UNITY).items() if hidden and re.fullmatch(r"tokenstore_\w+", name)}
        self.assertIn("tokenstore_validate", kept)
        self.assertIn("tokenstore_postgres_backend", kept)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
