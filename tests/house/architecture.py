"""Fails on an #include that goes against the arrows of ARCHITECTURE.md.

    python3 architecture.py TREE

Every file of the tree belongs to a room; ROOMS says which rooms, public headers and outside libraries
it may include. A file in no room, and a folder that names no room, are errors too.
"""

import pathlib
import re
import sys

# Public headers that only those above the store may see.
COMPOSITION = {"include/tokenstore/store.hpp", "include/tokenstore/open.hpp", "include/tokenstore/tokenstore.hpp"}
STORAGE = {"include/tokenstore/backend.hpp"}
FACTORIES = "include/tokenstore/backends/"
STANDARD_C = {"ctype.h", "errno.h", "inttypes.h", "limits.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h",
              "stdlib.h", "string.h", "time.h"}


class Room:
    def __init__(self, rooms=(), public="all", outside=(), factories=()):
        self.rooms = set(rooms)
        self.factories = {FACTORIES + name + ".hpp" for name in factories}  # besides the room's own
        self.public = public  # "none", "values", "storage", "store" or "all"; each holds the one before
        self.outside = tuple(outside)


POSIX = ("sys/", "arpa/", "netinet/", "linux/", "unistd.h", "fcntl.h", "pthread.h", "poll.h", "signal.h", "semaphore.h",
         "dirent.h", "netdb.h", "sched.h", "termios.h", "time.h", "errno.h", "stdio.h", "stdlib.h", "string.h")
ROOMS = {
    "include": Room(public="all"),
    # Base also holds the few functions that the public headers themselves declare, so it may see them.
    "src/base": Room(public="storage", outside=("sodium", "fmt/", "valgrind/", *POSIX)),
    "src/text": Room(["src/base"], public="values", outside=("fmt/",)),
    "src/seal": Room(["src/base", "src/text"], public="storage", outside=("sodium", "fmt/", *POSIX)),
    "src/journal": Room(["src/base", "src/text", "src/seal"], public="storage", outside=("sodium", "fmt/", *POSIX)),
    "src/validate": Room(["src/base", "src/text", "src/seal", "src/journal"], public="storage",
                         outside=("sodium", "fmt/", *POSIX)),
    "src/store": Room(["src/base", "src/text", "src/seal", "src/journal", "src/transfer", "src/validate"], public="store",
                      outside=("fmt/",)),
    # A backup is a file of SQLite's, whatever it is made of.
    "src/transfer": Room(["src/base", "src/text", "src/seal"], public="storage", factories=["sqlite"],
                         outside=("fmt/", *POSIX)),
    "src/backends/memory": Room(["src/base"], public="storage", outside=("fmt/", *POSIX)),
    "src/backends/sqlite": Room(["src/base"], public="storage", outside=("sqlite3.h", "fmt/", *POSIX)),
    "src/backends/postgres": Room(["src/base"], public="storage", outside=("libpq-fe.h", "fmt/", *POSIX)),
    "src/open": Room(["src/base", "src/text", "src/seal", "src/journal", "src/validate", "src/store"], public="all",
                     outside=("fmt/", *POSIX)),
    "src/cli": Room(public="all", outside=("CLI/", "nlohmann/", "fmt/", *POSIX)),
    "capi/include": Room(public="none", outside=tuple(STANDARD_C)),
    "capi/src": Room(["capi/include"], public="all"),
    # The adapter is a backend as well, and may use what every backend may.
    "capi/src/backend": Room(["capi/include", "capi/src", "src/base"], public="all"),
    "capi/src/postgres": Room(["capi/include", "capi/src", "capi/src/backend"], public="all"),
    "capi/python/src": Room(["capi/include"], public="none", outside=("Python.h",)),
    "examples/common": Room(public="none", outside=("httplib.h", *POSIX)),
    "examples/access_tokens_page": Room(["examples/common"], public="all",
                                        outside=("httplib.h", "CLI/", "nlohmann/", "sodium.h", "page_files_data.hpp", *POSIX)),
    "examples/cpp": Room(["examples/common"], public="all", outside=("httplib.h", "CLI/", "nlohmann/", *POSIX)),
    "examples/c": Room(["capi/include"], public="none", outside=(*STANDARD_C, *POSIX)),
    "examples/custom_backend": Room(["capi/include"], public="none",
                                    outside=("lmdb.h", "stdatomic.h", *STANDARD_C, *POSIX)),
    "examples/mosquitto_plugin": Room(["capi/include"], public="none",
                                      outside=("mosquitto.h", "mosquitto_broker.h", "mosquitto_plugin.h", *STANDARD_C)),
}
SEARCHED = ("include", "src", "capi/include", "capi/src", "examples")
SCANNED = ("include", "src", "capi/include", "capi/src", "capi/python/src", "examples/common", "examples/cpp",
           "examples/access_tokens_page", "examples/c", "examples/custom_backend", "examples/mosquitto_plugin")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def room_of(path):
    matching = [room for room in ROOMS if path.startswith(room + "/")]
    return max(matching, key=len) if matching else None


def resolve(tree, source, name):
    """The included file's path within the tree, or None if it is not of this project."""
    for folder in (str(pathlib.PurePosixPath(source).parent), *SEARCHED):
        candidate = tree / folder / name
        if candidate.is_file():
            return candidate.resolve().relative_to(tree.resolve()).as_posix()
    return None


def may_see_public(room, own, header):
    if room.public == "none":
        return False
    if header.startswith(FACTORIES):
        # A factory is seen by the backend that implements it and by whoever puts a store together.
        return room.public == "all" or header in room.factories or header == FACTORIES + own.rsplit("/", 1)[-1] + ".hpp"
    if header in COMPOSITION:
        return room.public == "all" or (room.public == "store" and header.endswith("/store.hpp"))
    if header in STORAGE:
        return room.public != "values"
    return True


def problem_of(tree, source, name, quoted):
    own = room_of(source)
    room = ROOMS[own]
    target = resolve(tree, source, name)
    if target is None:
        is_standard = re.fullmatch(r"[a-z_0-9]+", name) is not None
        if not quoted and ((is_standard and own != "capi/include") or name.startswith(room.outside)):
            return None
        return f"the outside header {name} is not for {own}"
    there = room_of(target)
    if there == own:
        return None
    if there == "include":
        return None if may_see_public(room, own, target) else f"{own} may not see the public header {name}"
    if there in room.rooms:
        return None
    return f"there is no arrow from {own} to {there or target}"


def problems(tree):
    tree = pathlib.Path(tree)
    found = []
    files = 0
    for folder in SCANNED:
        for path in sorted((tree / folder).rglob("*")):
            if path.suffix not in (".h", ".hpp", ".c", ".cpp", ".in"):
                continue
            source = path.relative_to(tree).as_posix()
            if room_of(source) is None:
                found.append(f"{source}: belongs to no room; name its room in {pathlib.Path(__file__).name}")
                continue
            files += 1
            text = path.read_text(encoding="utf-8")
            for match in INCLUDE.finditer(text):
                problem = problem_of(tree, source, match[2], match[1] == '"')
                if problem:
                    line = text.count("\n", 0, match.start(2)) + 1
                    found.append(f"{source}:{line}: {problem}")
    return files, found


def main(arguments):
    files, found = problems(arguments[1])
    for line in found:
        print(line, file=sys.stderr)
    if files == 0:
        print("no source file was found: is this the tree?", file=sys.stderr)
        return 1
    print(f"{files} files looked at, {len(found)} includes against the arrows")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
