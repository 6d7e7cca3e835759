"""The tests of the Go module, of its interceptor for gRPC and of the Go examples, with the newer Go, under the race detector, and looked at by vet and
staticcheck; linked to the library of this build.

    python3 suite.py TREE LIBRARY FOLDER
"""

import pathlib
import subprocess
import sys

import go_support

TREE, LIBRARY, FOLDER = map(pathlib.Path, sys.argv[1:4])


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    go_support.write_pkg_config(TREE, LIBRARY, FOLDER)
    shared = {"PKG_CONFIG_PATH": FOLDER, "TOKENSTORE_LIBRARY": LIBRARY}
    newer, oldest = go_support.newer(FOLDER / "toolchain"), go_support.oldest()
    failed = []

    def check(go, *arguments, folder):
        status, _ = go_support.run(go, *arguments, folder=folder, **shared)
        if status != 0:
            failed.append(" ".join(arguments))

    for folder in (TREE / "capi/go", TREE / "capi/go/grpc", TREE / "examples/go"):
        for go in (oldest, newer):
            check(go, "vet", "-tags", "tokenstore_system", "./...", folder=folder)
        check(newer, "test", "-count=1", "-race", "-tags", "tokenstore_system", "./...", folder=folder)
        print("+ go-staticcheck", flush=True)
        root = pathlib.Path(oldest).resolve().parent
        path = {"PATH": f"{root}:/usr/bin:/bin", **shared}
        if subprocess.run(["go-staticcheck", "-tags", "tokenstore_system", "./..."], cwd=folder,
                          env=go_support.environment(**path)).returncode != 0:
            failed.append("staticcheck")
    if failed:
        sys.exit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
