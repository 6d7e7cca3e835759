"""Fails on calls that do not belong in a library that holds secrets and lives in somebody's process.

    python3 banned_calls.py TREE

Exceptions are counted in banned_calls.allowed beside this file: more calls than it says fail, and so
do fewer, so that the list stays true.
"""

import collections
import pathlib
import re
import sys

WHERE = ("src", "include", "capi/src", "capi/include", "capi/python/src")
COMMAND = "src/cli/"  # a program of its own: it may print and exit

BANNED = {
    "memcmp": "takes a time that tells where two secrets differ: base/wipe.hpp has equal_constant_time",
    "bcmp": "as memcmp",
    "strcmp": "as memcmp; and texts here are pointer and length",
    "strncmp": "as strcmp",
    "strcasecmp": "as strcmp",
    "strcpy": "does not know the size of its target",
    "strncpy": "may leave text without its end",
    "strcat": "does not know the size of its target",
    "sprintf": "does not know the size of its target: use fmt",
    "vsprintf": "as sprintf",
    "gets": "does not know the size of its target",
    "strtok": "keeps state in a global",
    "alloca": "takes stack without a limit",
    "malloc": "leaves nobody to free it: use a container or unique_ptr",
    "calloc": "as malloc",
    "realloc": "as malloc; and leaves copies of secrets behind",
    "free": "as malloc",
    "rand": "can be predicted: use RandomSource",
    "srand": "as rand",
    "drand48": "as rand",
    "system": "runs a shell",
    "popen": "runs a shell",
}
BANNED_IN_LIBRARY = {
    "abort": "ends the host: return an Error",
    "exit": "ends the host: return an Error",
    "_exit": "ends the host: return an Error",
    "quick_exit": "ends the host: return an Error",
    "terminate": "ends the host: return an Error",
    "assert": "ends the host: return an Error",
    "printf": "the host's output is not ours",
    "fprintf": "the host's output is not ours",
    "puts": "the host's output is not ours",
    "fputs": "the host's output is not ours",
    "perror": "the host's output is not ours",
    "signal": "the host's signals are not ours",
    "sigaction": "the host's signals are not ours",
    "secure_getenv": "as getenv",
    "getenv": "configuration comes from the host, through options",
    "setlocale": "is global to the host",
    "syslog": "the host's log is not ours",
}
# Names that are banned however they are used.
BANNED_WORDS = {
    "std::mt19937": "can be predicted: use RandomSource",
    "random()": "can be predicted: use RandomSource",
    "std::random_device": "may be anything: use RandomSource",
}
BANNED_WORDS_IN_LIBRARY = {
    "std::cout": "the host's output is not ours",
    "std::cerr": "the host's output is not ours",
    "std::clog": "the host's output is not ours",
    "stdout": "the host's output is not ours",
    "stderr": "the host's output is not ours",
    "thread_local": "nothing here is left behind in a thread",
}

NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def code_of(text):
    """The text with comments and literals blanked out, line for line."""

    def blank(match):
        # A digit separator is no literal: 1'000'000.
        start = match.start()
        if match[0][0] == "'" and start > 0 and text[start - 1].isalnum():
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])

    return NOT_CODE.sub(blank, text)


def calls_in(source, text):
    """Yields (line number, name, why) for each banned call."""
    command = source.startswith(COMMAND)
    calls = dict(BANNED) if command else {**BANNED, **BANNED_IN_LIBRARY}
    words = dict(BANNED_WORDS) if command else {**BANNED_WORDS, **BANNED_WORDS_IN_LIBRARY}
    for number, line in enumerate(code_of(text).splitlines(), 1):
        # A member (x.free(...), x->random()) is another function of that name; std:: and :: are not.
        for match in re.finditer(r"(?P<before>[\w\]\)]\s*(?:\.|->)\s*|\w+::)?\b(?P<name>\w+)\s*\(", line):
            before = match["before"] or ""
            if match["name"] in calls and before in ("", "std::"):
                # A declaration, as in `std::string random(...)`, is not a call.
                if re.search(r"[\w>&*]\s+$", line[: match.start()]) and not re.search(
                    r"\b(return|co_return|throw|else|case|co_yield)\s+$", line[: match.start()]
                ):
                    continue
                yield number, match["name"], calls[match["name"]]
        for word, why in words.items():
            for _ in re.finditer(r"(?<![\w:.>])" + re.escape(word) + r"(?!\w)", line):
                yield number, word, why


def read_allowed(path):
    allowed = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                source, name, count, _reason = line.split(None, 3)
                allowed[source, name] = int(count)
    return allowed


def problems(tree, allowed):
    tree = pathlib.Path(tree)
    found = collections.defaultdict(list)
    files = 0
    for folder in WHERE:
        for path in sorted((tree / folder).rglob("*")):
            if path.suffix not in (".h", ".hpp", ".c", ".cpp"):
                continue
            files += 1
            source = path.relative_to(tree).as_posix()
            for number, name, why in calls_in(source, path.read_text(encoding="utf-8")):
                found[source, name].append(f"{source}:{number}: {name}: {why}")
    lines = []
    for key, hits in found.items():
        if len(hits) != allowed.get(key, 0):
            lines += hits
            if key in allowed:
                lines.append(f"{key[0]}: {key[1]} is allowed {allowed[key]} times there, and found {len(hits)} times")
    for key in allowed.keys() - found.keys():
        lines.append(f"{key[0]}: {key[1]} is allowed there and not found: take it off the list")
    return files, lines


def main(arguments):
    files, lines = problems(arguments[1], read_allowed(pathlib.Path(__file__).with_suffix(".allowed")))
    for line in lines:
        print(line, file=sys.stderr)
    if files == 0:
        print("no source file was found: is this the tree?", file=sys.stderr)
        return 1
    print(f"{files} files looked at, {len(lines)} complaints")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
