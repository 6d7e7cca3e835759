"""The module as others get it: its zip, from an empty module cache, compiled by Go 1.19 with nothing of ours installed.

    python3 zip.py TREE

The whole test suite runs on that, the first program prints what README.md shows, and a vendored copy is complete.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

import go_support

TREE = pathlib.Path(sys.argv[1]).resolve()
MODULE = "tokenstore.example/tokenstore"
VERSION = "v0.1.0"


def files_of(module):
    """What goes into a module's zip: everything but modules within it."""
    nested = [path.parent for path in module.rglob("go.mod") if path.parent != module]
    for path in sorted(module.rglob("*")):
        if path.is_file() and not any(folder in path.parents for folder in nested):
            yield path


def publish(module, proxy):
    place = proxy / MODULE / "@v"
    place.mkdir(parents=True)
    (place / "list").write_text(VERSION + "\n")
    (place / f"{VERSION}.info").write_text(json.dumps({"Version": VERSION, "Time": "2026-01-01T00:00:00Z"}))
    shutil.copy(module / "go.mod", place / f"{VERSION}.mod")
    with zipfile.ZipFile(place / f"{VERSION}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files_of(module):
            archive.write(path, f"{MODULE}@{VERSION}/{path.relative_to(module).as_posix()}")


def shown_output():
    page = (TREE / "README.md").read_text(encoding="utf-8")
    return re.search(r"<!-- output: FIRST_GO -->\n+```\w*\n(.*?)^```", page, re.M | re.S)[1]


def main():
    go = go_support.oldest()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        publish(TREE / "capi/go", folder / "proxy")
        host = folder / "host"
        shutil.copytree(TREE / "examples/go", host)
        mod = host / "go.mod"
        mod.write_text(re.sub(r"^replace .*\n", "", mod.read_text(), flags=re.M))
        settings = {"GOPROXY": f"file://{folder}/proxy", "GOSUMDB": "off", "GOMODCACHE": folder / "cache",
                    "GOFLAGS": "-mod=mod -modcacherw -trimpath", "PKG_CONFIG_PATH": folder / "nothing",
                    "TOKENSTORE_VECTORS": TREE / "tests/vectors/token-format-1.json"}

        def must(*arguments, **changes):
            status, output = go_support.run(go, *arguments, folder=host, **{**settings, **changes})
            if status != 0:
                sys.exit(f"go {arguments[0]} failed")
            return output

        must("build", "-o", str(folder / "first"), "./first")
        ran = subprocess.run([folder / "first"], cwd=folder, text=True, capture_output=True, timeout=60)
        print(ran.stdout + ran.stderr)
        if (ran.returncode, ran.stdout, ran.stderr) != (0, shown_output(), ""):
            sys.exit("the first program does not print what README.md shows")
        needed = subprocess.run(["readelf", "-d", folder / "first"], text=True, stdout=subprocess.PIPE).stdout
        if "libtokenstore" in needed or "libsodium" not in needed:
            sys.exit("the program does not hold the library itself")
        must("test", "-count=1", MODULE + "/...")
        must("mod", "vendor", GOFLAGS="-modcacherw")
        for source in files_of(TREE / "capi/go"):
            name = source.relative_to(TREE / "capi/go")
            if source.suffix in (".cpp", ".h", ".c") and not (host / "vendor" / MODULE / name).is_file():
                sys.exit(f"a vendored copy has no {name}")


if __name__ == "__main__":
    main()
