"""Builds the extension from the one-file form of the library, so that the wheel carries all of it.

In the source tree the one-file form is made anew by capi/one_file/one_file.py; a source distribution carries it. What
the build needs besides Python: a C++20 compiler, and the headers of libsodium, SQLite and fmt (Debian: g++ python3-dev
libsodium-dev libsqlite3-dev libfmt-dev). PostgreSQL comes in where libpq's headers are (Debian: libpq-dev);
TOKENSTORE_POSTGRES=0 leaves it out, and =1 insists on it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent / "one_file" / "one_file.py"
CARRIED = HERE / "one_file"
LIMITED_API = "0x03090000"
# Whoever says otherwise in CFLAGS means it.
OPTIMISED = [] if "-O" in os.environ.get("CFLAGS", "") else ["-O2"]


def one_file(folder):
    """Puts the one-file form into the folder."""
    if CARRIED.is_dir():
        shutil.copytree(CARRIED, folder, dirs_exist_ok=True)
    elif SCRIPT.is_file():
        subprocess.run([sys.executable, "-B", str(SCRIPT), "--postgres", "--backend", str(folder)], check=True)
    else:
        sys.exit(f"neither {CARRIED.name}/ nor ../one_file/ is here: build from a clone of the tree or from an sdist")


def version():
    header = CARRIED / "tokenstore.h" if CARRIED.is_dir() else HERE.parent / "include" / "tokenstore.h"
    text = header.read_text(encoding="utf-8")
    return ".".join(
        re.search(rf"#define TOKENSTORE_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR", "PATCH")
    )


def libpq_headers():
    """The folder of libpq's headers, or None. pkg-config knows it, else pg_config."""
    for command in (["pkg-config", "--variable=includedir", "libpq"], ["pg_config", "--includedir"]):
        try:
            folder = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            continue
        for place in (folder, f"{folder}/postgresql", "/usr/include/postgresql"):
            if place and os.path.exists(f"{place}/libpq-fe.h"):
                return place
    return None


def extension(name, folder, libraries, include_dirs=()):
    return Extension(
        f"tokenstore.{name}",
        sorted(str(path.relative_to(HERE)) for path in (HERE / "src" / folder).glob("*.cpp")),
        depends=sorted(str(path.relative_to(HERE)) for path in (HERE / "src" / folder).glob("*.hpp")),
        include_dirs=list(include_dirs),
        libraries=libraries,
        # The C functions are the extension's own: another copy of the library in the process stays another's.
        define_macros=[("Py_LIMITED_API", LIMITED_API), ("TOKENSTORE_API", ""), ("FMT_HEADER_ONLY", "1")],
        extra_compile_args=["-std=c++20", *OPTIMISED, "-g0", "-fvisibility=hidden", "-fvisibility-inlines-hidden"],
        extra_link_args=["-Wl,-z,relro,-z,now,-z,noexecstack", "-Wl,--version-script=src/exports.map", "-pthread"],
        language="c++",
        py_limited_api=True,
    )


def extensions():
    found = [extension("_core", "core", ["sodium", "sqlite3"])]
    wanted = os.environ.get("TOKENSTORE_POSTGRES", "")
    headers = None if wanted == "0" else libpq_headers()
    if headers:
        found.append(extension("_postgres", "postgres", ["pq", "sodium"], [headers]))
    elif wanted == "1":
        sys.exit("TOKENSTORE_POSTGRES=1, but libpq's headers are not here (Debian: libpq-dev)")
    return found


class BuildExtensions(build_ext):
    """Adds the one-file form to the sources of the extensions."""

    def build_extensions(self):
        folder = pathlib.Path(self.build_temp) / "one_file"
        one_file(folder)
        parts = {"tokenstore._core": "tokenstore.cpp", "tokenstore._postgres": "tokenstore_postgres.cpp"}
        for each in self.extensions:
            each.sources.append(str(folder / parts[each.name]))
            each.include_dirs.insert(0, str(folder))
        super().build_extensions()


class SourceDistribution(sdist):
    """Puts the one-file form into the source distribution, which then needs nothing of the tree."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        one_file(pathlib.Path(base_dir) / "one_file")
        if not (HERE / "LICENSE").is_file():
            shutil.copy(HERE.parents[1] / "LICENSE", base_dir)


# What an earlier build left would be packed again, whether or not it is still wanted.
for left in (HERE / "build").glob("lib*"):
    shutil.rmtree(left)
if sys.implementation.name != "cpython":
    sys.exit("tokenstore is an extension of CPython: this is " + sys.implementation.name)
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit("tokenstore needs CPython's interpreter lock: use a build of Python that is not free-threaded")

setup(
    version=version(),
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildExtensions, "sdist": SourceDistribution},
    options={"bdist_wheel": {"py_limited_api": "cp39"}},
)
