"""The Go module's tests and its fuzz target under AddressSanitizer, which looks for leaks as well when a process ends; linked to a
library that was built with it.

    python3 asan.py TREE LIBRARY FOLDER

A control leaks, and reads what it has freed: each has to be reported. Two more are among the module's own tests.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import go_support

TREE, LIBRARY, FOLDER = (pathlib.Path(name).resolve() for name in sys.argv[1:4])
SECONDS = os.environ.get("TOKENSTORE_GO_FUZZ_SECONDS", "10")
# Instrumented code allocates where other code does not.
NOT_HERE = "^TestValidatingAllocatesNothing$"


class Program:
    """A test program that was built with AddressSanitizer."""

    def __init__(self, go, source, name, *flags):
        self.folder, self.path, self.reports = source, FOLDER / name, FOLDER / f"{name}.reports"
        status, _ = go_support.run(go, "test", "-c", "-asan", *flags, "-o", str(self.path), ".", folder=source,
                                   PKG_CONFIG_PATH=FOLDER, CC="gcc", CXX="g++")
        if status != 0:
            sys.exit(f"{source.name} cannot be built with AddressSanitizer")

    def run(self, *arguments):
        """Its status, and what the sanitizer wrote of it and of the processes that it started."""
        shutil.rmtree(self.reports, ignore_errors=True)
        self.reports.mkdir()
        print("+", self.path.name, *arguments, flush=True)
        done = subprocess.run([self.path, *arguments], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              env=go_support.environment(ASAN_OPTIONS=f"log_path={self.reports}/report:detect_leaks=1"))
        found = "".join(path.read_text(errors="replace") for path in sorted(self.reports.iterdir()))
        return done.returncode, found, done.stdout


def control(go):
    faults = Program(go, TREE / "tests/go/faults", "faults")
    for name, expected in (("Nothing", None), ("Leak", "LeakSanitizer: detected memory leaks"),
                           ("ReadFreed", "heap-use-after-free")):
        status, found, said = faults.run("-test.run", f"^Test{name}$")
        if (status != 0, bool(found)) != (expected is not None,) * 2 or (expected or "") not in found:
            sys.exit(f"the control, {name}, is not told apart:\n{found}{said}")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    go_support.write_pkg_config(TREE, LIBRARY, FOLDER)
    go = go_support.newer(FOLDER / "toolchain")
    control(go)
    module = Program(go, TREE / "capi/go", "module", "-fuzz", "FuzzSurface", "-tags", "tokenstore_system")
    fuzzing = ("-test.run", "^$", "-test.fuzz", "^FuzzSurface$", "-test.fuzztime", f"{SECONDS}s", "-test.parallel", "1",
               "-test.fuzzminimizetime", "20x", "-test.fuzzcachedir", str(FOLDER / "cache"))
    for arguments in (("-test.skip", NOT_HERE), fuzzing):
        status, found, said = module.run(*arguments)
        print(said[-2000:], found, flush=True)
        if status != 0 or found:
            sys.exit("the Go module fails under AddressSanitizer")


if __name__ == "__main__":
    main()
