"""A package that carries a SQLite of its own never opens a file that Python's sqlite3 module has open, nor the other
way round. The copy is made as tools that make wheels do: a library of another name, which the extension asks for."""

import pathlib
import shutil
import subprocess
import sys

import pytest
import tokenstore

PACKAGE = pathlib.Path(tokenstore.__file__).parent

PROGRAM = """
import os, sqlite3, sys
import tokenstore
from tokenstore import _sqlite_copies
os.chdir(sys.argv[1])
print("shared" if _sqlite_copies.shared() else "apart")

def attempt(call):
    try:
        return call()
    except tokenstore.CannotOpen as error:
        assert "another copy of SQLite" in str(error), error
        return None

def look(place, **how):
    connection = attempt(lambda: sqlite3.connect(place, **how))
    if connection is None:
        return "refused"
    connection.execute("select count(*) from sqlite_schema").fetchone()
    connection.close()
    return "open"

store = tokenstore.open("tokens.db")
again = tokenstore.open("tokens.db")
os.symlink("tokens.db", "link.db")
os.link("tokens.db", "same.db")
print(look("tokens.db"), look(os.path.abspath("tokens.db")), look("link.db"), look("same.db"),
      look("file:tokens.db?mode=ro", uri=True), look(b"tokens.db"), look("other.db"), look(":memory:"))
os.unlink("same.db")  # a store refuses a file of two names
store.close()
print(look("tokens.db"))
again.close()
print(look("tokens.db"))
connection = sqlite3.connect("tokens.db")
connection.execute("select 1 from sqlite_schema").fetchall()
print("open" if attempt(lambda: tokenstore.open("tokens.db").close() or True) else "refused")
connection.close()
print("open" if attempt(lambda: tokenstore.open("tokens.db").close() or True) else "refused")
"""


def run(packages, folder):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        env={"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def needed(file):
    """The libraries that a shared object asks for, and where the loader finds them."""
    listed = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=True).stdout
    return {parts[0]: parts[2] for parts in map(str.split, listed.splitlines()) if len(parts) > 2}


def patch(*arguments):
    subprocess.run(["patchelf", *map(str, arguments)], check=True)


@pytest.fixture
def with_a_copy(tmp_path):
    package = tmp_path / "packages" / "tokenstore"
    shutil.copytree(PACKAGE, package)
    core = package / "_core.abi3.so"
    libraries = needed(core)
    own = package / "libsqlite3-own.so.0"
    shutil.copy(libraries["libsqlite3.so.0"], own)
    patch("--set-soname", own.name, own)
    holders = [core]
    # The development build has the library between the two.
    if "libtokenstore.so.0" in libraries:
        holders.append(package / "libtokenstore.so.0")
        shutil.copy(libraries["libtokenstore.so.0"], holders[1])
    for holder in holders:
        patch("--replace-needed", "libsqlite3.so.0", own.name, holder)
        patch("--set-rpath", "$ORIGIN", holder)
    return package.parent


def test_with_the_system_s_sqlite_both_may_have_a_file_open(tmp_path):
    assert run(PACKAGE.parent, tmp_path) == ["shared", " ".join(["open"] * 8), "open", "open", "open", "open"]


def test_with_a_copy_of_its_own_whoever_comes_second_is_refused(with_a_copy, tmp_path):
    assert run(with_a_copy, tmp_path) == [
        "apart",
        " ".join(["refused"] * 6 + ["open"] * 2),
        "refused",  # another store still has it
        "open",
        "refused",
        "open",
    ]
