"""The module's build tags: PostgreSQL compiled in and asked on a throw-away server; with TOKENSTORE_GO_STATIC=1, in the slow
tier, a program that is linked statically as well.

    python3 tags.py TREE FOLDER
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import go_support
from throwaway_postgres import ThrowawayPostgres

TREE, FOLDER = (pathlib.Path(name).resolve() for name in sys.argv[1:3])


def main():
    go = go_support.oldest()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ThrowawayPostgres() as postgres:
        status, _ = go_support.run(go, "test", "-count=1", "-tags", "tokenstore_postgres", "-run", "PostgreSQL", "-v", ".",
                                   folder=TREE / "capi/go", TOKENSTORE_CONNINFO=postgres.conninfo)
    if status != 0:
        sys.exit("PostgreSQL from Go failed")

    if os.environ.get("TOKENSTORE_GO_STATIC"):
        link_statically(go)


def link_statically(go):
    program = FOLDER / "first_static"
    status, _ = go_support.run(go, "build", "-tags", "tokenstore_static,netgo", "-o", str(program), "./first",
                               folder=TREE / "examples/go")
    if status != 0:
        sys.exit("nothing can be linked statically")
    needed = subprocess.run(["readelf", "-d", program], text=True, stdout=subprocess.PIPE).stdout
    if "NEEDED" in needed:
        sys.exit("the static program needs shared libraries:\n" + needed)
    with tempfile.TemporaryDirectory() as name:
        ran = subprocess.run([program], cwd=name, text=True, capture_output=True, timeout=60)
    print(ran.stdout + ran.stderr, end="")
    if (ran.returncode, ran.stdout) != (0, "read:    valid for alice\nrevoked: invalid\n"):
        sys.exit("the static program does not do what the other does")


if __name__ == "__main__":
    main()
