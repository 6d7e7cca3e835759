#!/usr/bin/env python3
"""Makes the one-file form of the library: tokenstore.cpp and tokenstore.h, to drop into any build.

    c++ -std=c++20 -O2 -c tokenstore.cpp          # g++ 12 or clang 14, or newer
    cc host.c tokenstore.o -lsodium -lsqlite3 -lfmt -lstdc++ -lm -pthread

tokenstore.cpp holds the C interface with the SQLite and the memory backend, and needs no other file. With
--postgres there is tokenstore_postgres.cpp besides: one function more, for -lpq.

What is made depends on the tree alone: the same tree gives the same bytes.
"""

import argparse
import hashlib
import pathlib
import re
import sys

from separate import separated

TREE = pathlib.Path(__file__).resolve().parents[2]
# Where `#include "..."` looks, after the folder of the file that says it.
SEARCHED = ("src", "include", "capi/src", "capi/include")
# A folder means all of its .cpp files. Rooms come in the order of the arrows of ARCHITECTURE.md.
BASE = ("src/base",)
LIBRARY = (*BASE, "src/text", "src/seal", "src/journal", "src/validate", "src/store", "src/transfer", "src/backends/memory",
           "src/backends/sqlite", "src/open", "capi/src", "capi/src/backend")
POSTGRES = (*BASE, "src/backends/postgres", "capi/src/values.cpp", "capi/src/backend/records.cpp",
            "capi/src/backend/export.cpp", "capi/src/postgres/postgres_backend.cpp")
C_HEADERS = {"tokenstore": ("tokenstore.h", "tokenstore_backend.h"),
             "tokenstore_postgres": ("tokenstore.h", "tokenstore_backend.h", "tokenstore_postgres.h")}
OWN_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)".*\n', re.M)
OUTSIDE_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+(<[^>]+>).*\n", re.M)
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.M)
PRAGMA_ONCE = re.compile(r"^#pragma once\n", re.M)
CONDITION = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|endif)\b", re.M)


class Tree:
    """The files of the tree, and which of them a text has taken in already."""

    def __init__(self, folder):
        self.folder = folder
        self.taken = set()
        self.outside = set()
        self.macros = []

    def sources(self, names):
        for name in names:
            path = self.folder / name
            files = [path] if path.suffix else sorted(path.glob("*.cpp"))
            if not files:
                raise SystemExit(f"{name} holds no .cpp file: give the folder of the tree by --tree")
            yield from files

    def find(self, source, name):
        for folder in (source.parent, *(self.folder / searched for searched in SEARCHED)):
            if (folder / name).is_file():
                return (folder / name).resolve()
        raise SystemExit(f"{source}: includes {name}, which is not in the tree")

    def take_in(self, path):
        """The text of a file with its own includes before it; empty if it is there already."""
        if path in self.taken:
            return ""
        self.taken.add(path)
        text = path.read_text(encoding="utf-8")
        before = "".join(self.take_in(self.find(path, name)) for name in OWN_INCLUDE.findall(text))
        text = PRAGMA_ONCE.sub("", OWN_INCLUDE.sub("", self.without_outside_includes(text)))
        macros = MACRO.findall(text)
        end = ""
        if path.suffix == ".cpp":
            text = separated(text)
            end = "".join(f"#undef {macro}\n" for macro in macros)
        elif path.suffix == ".hpp":
            self.macros += macros
        name = path.relative_to(self.folder).as_posix()
        return f"{before}\n// ---- {name} {'-' * max(3, 104 - len(name))}\n\n{text.strip()}\n{end}"

    def without_outside_includes(self, text):
        """They go to the top, where nothing is hidden or renamed yet, but for those under a condition."""

        def move(match):
            opened = [condition[1] != "endif" for condition in CONDITION.finditer(text, 0, match.start())]
            guarded = is_header_guard(text)
            if sum(1 if begins else -1 for begins in opened) > guarded:
                return match[0]
            self.outside.add(match[1])
            return ""

        return OUTSIDE_INCLUDE.sub(move, text)


def is_header_guard(text):
    """Is the first condition of the text the guard that C headers begin with?"""
    first = CONDITION.search(text)
    guard = re.search(r"^#ifndef (\w+)\n#define \1\n", text, re.M)
    return first is not None and guard is not None and first.start() == guard.start()


def version_of(folder):
    header = (folder / "capi/include/tokenstore.h").read_text(encoding="utf-8")
    return ".".join(re.search(rf"#define TOKENSTORE_VERSION_{part} (\d+)", header)[1]
                    for part in ("MAJOR", "MINOR", "PATCH"))


def one_file(folder, name, sources, libraries, namespace=None):
    tree = Tree(folder)
    headers = "".join(tree.take_in(folder / "capi/include" / header) for header in C_HEADERS[name])
    body = headers + "".join(tree.take_in(source.resolve()) for source in tree.sources(sources))
    version = version_of(folder)
    # Two copies of different states in one process have no C++ name in common, whoever exports them.
    namespace = namespace or f"{name}_{version.replace('.', '_')}_{hashlib.sha256(body.encode()).hexdigest()[:12]}"
    if name != "tokenstore":
        # What the handles of the C interface are is the other file's to say: in this one it is a type of its own.
        handles = re.findall(r"^struct (tokenstore_\w+) \{", (folder / "capi/src/handles.hpp").read_text("utf-8"), re.M)
        tree.macros += handles
        body = headers + "".join(f"#define {handle} {namespace}_{handle}\n" for handle in handles) + body[len(headers):]
    includes = "".join(f"#include {header}\n" for header in sorted(tree.outside))
    undefined = "".join(f"#undef {macro}\n" for macro in dict.fromkeys(reversed(tree.macros)))
    return f"""\
// {name}.cpp: tokenstore {version} in one file, made by capi/one_file/one_file.py. Do not edit: change the tree it is
// made of, whose files are named where they begin. Compile it as C++20 and link {libraries}.
//
// Its C++ names are in a namespace of this copy and are not exported. What is exported are the C functions; a host that
// wants to keep those to itself as well compiles it with -DTOKENSTORE_API= (see docs/embedding.md).

{includes}
// Names that the host or its other headers may have as macros.
#pragma push_macro("Status")
#undef Status
#pragma push_macro("tokenstore")
#undef tokenstore
#define tokenstore {namespace}
#pragma GCC visibility push(hidden)
{body}
#pragma GCC visibility pop
{undefined}#pragma pop_macro("tokenstore")
#pragma pop_macro("Status")
"""


# When the Go module compiles which file: see capi/go/link_*.go.
GO_CONSTRAINTS = {"tokenstore.cpp": "!tokenstore_system",
                  "tokenstore_postgres.cpp": "tokenstore_postgres && !tokenstore_system"}


def for_go(files):
    """The same files with what the go command reads first."""
    return {name: f"//go:build {GO_CONSTRAINTS[name]}\n\n{text}" if name in GO_CONSTRAINTS else text
            for name, text in files.items()}


def made_of(folder, postgres=False, backend=False, namespace=None):
    """What there is to write: the text of each file by its name."""
    headers = ["tokenstore.h"]
    files = {"tokenstore.cpp": one_file(folder, "tokenstore", LIBRARY, "libsodium, SQLite and fmt", namespace)}
    if postgres:
        files["tokenstore_postgres.cpp"] = one_file(folder, "tokenstore_postgres", POSTGRES, "libpq, libsodium and fmt",
                                                    namespace and namespace + "_postgres")
        headers.append("tokenstore_postgres.h")
    if postgres or backend:
        headers.append("tokenstore_backend.h")
    for header in headers:
        files[header] = (folder / "capi/include" / header).read_text(encoding="utf-8")
    return files


def differing(files, target):
    return [name for name, text in files.items()
            if not (target / name).is_file() or (target / name).read_text(encoding="utf-8") != text]


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=pathlib.Path, metavar="FOLDER", help="where to write; made if it is not there")
    parser.add_argument("--postgres", action="store_true",
                        help="tokenstore_postgres.cpp, tokenstore_postgres.h and tokenstore_backend.h as well")
    parser.add_argument("--backend", action="store_true",
                        help="tokenstore_backend.h as well, for a host with storage of its own")
    parser.add_argument("--namespace", metavar="NAME",
                        help="the namespace of its C++ names; else one of the version and of all that it holds")
    parser.add_argument("--go", action="store_true", help="all of them with Go's build constraints, for capi/go")
    parser.add_argument("--tree", type=pathlib.Path, default=TREE, help="the source tree; else the one of this script")
    parser.add_argument("--check", action="store_true",
                        help="write nothing; fail if FOLDER does not hold what would be written")
    options = parser.parse_args(arguments)
    files = made_of(options.tree.resolve(), options.postgres or options.go, options.backend, options.namespace)
    if options.go:
        files = for_go(files)
    changed = differing(files, options.target)
    if options.check:
        for name in changed:
            print(f"{options.target / name} is not what the tree gives: run {pathlib.Path(__file__).name} without --check",
                  file=sys.stderr)
        return 1 if changed else 0
    options.target.mkdir(parents=True, exist_ok=True)
    # A file that is right keeps its time, so that nothing is compiled for nothing.
    for name in changed:
        (options.target / name).write_text(files[name], encoding="utf-8")
    print(f"{len(files)} files in {options.target}, {len(changed)} of them written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
