"""Which lines and branches of the rooms that decide did no test go through?

    python3 coverage.py SOURCE BUILD [ROOM...]

BUILD was made with --coverage, and its tests have run (.ci/coverage does both). Fails if a line or a branch was not
gone through that excused.txt does not name, and if it names one that is no longer there or is gone through after all. A
reason that begins with "by chance" is of what threads have to meet for: it may be gone through or not. Nothing shows that
such an excuse is out of date, so it is of one line: where several of a file read alike, FILE#2 says that the second of them
is meant. What only chance brings about and what nothing does are excused apart, also in one line.

Counted are the two ways that a condition can turn out, and each way of a switch. Not counted is whether a call throws or
returns (gcov's "throw" branches and their other sides): the compiler asks that behind every call that may allocate. What
happens there is tested another way, by failing each allocation in turn (no_memory_test and the C ABI's memory test). Nor
is a condition that was never asked in a line that was run: either another branch leads there, and is missed itself, or
nothing but a throw does, as where the compiler takes down what stood half made. Nor is a line that only closes a scope:
what the compiler puts there is the end of what lives in it.
"""

import collections
import concurrent.futures
import functools
import json
import os
import pathlib
import re
import subprocess
import sys

ROOMS = ("text", "seal", "store", "validate")


def questions(branches):
    """The counts of each condition (two) or way of a switch (one), without what only asks whether a call threw."""
    at = 0
    while at < len(branches):
        asked = branches[at:at + 1]
        # A condition's ways stand side by side, first the one that is next in the text; a switch has none such.
        if asked[0].get("fallthrough") and at + 1 < len(branches) and not branches[at + 1].get("fallthrough"):
            asked = branches[at:at + 2]
        if not any(branch.get("throw") for branch in asked):
            yield [branch["count"] for branch in asked]
        at += len(asked)


class Counts:
    def __init__(self):
        self.lines = collections.Counter()
        self.asked = {}

    def add(self, file, line):
        place = (file, line["line_number"])
        self.lines[place] += line["count"]
        asked = list(questions(line["branches"]))
        # Of a function that was compiled several times (a template, a constructor) it is enough that one copy went
        # there; copies of another shape are counted apart.
        if asked:
            shape = tuple(len(counts) for counts in asked)
            sums = self.asked.setdefault((place, shape), [[0] * size for size in shape])
            for known, counts in zip(sums, asked):
                for way, count in enumerate(counts):
                    known[way] += count

    def branches(self):
        """(place, counts) of each line and shape, of what was asked at all."""
        for (place, _), asked in self.asked.items():
            taken = [count for counts in asked if len(counts) == 1 or any(counts) for count in counts]
            if taken:
                yield place, taken


def reports(data):
    done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", data.name], cwd=data.parent,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    for line in done.stdout.splitlines():
        if line.strip():
            yield json.loads(line)


def collect(source, build, rooms):
    wanted = tuple(f"src/{room}/" for room in rooms)
    counts = Counts()
    data = sorted(build.rglob("*.gcda"))
    if not data:
        sys.exit(f"{build} has no counters: build it with the preset coverage and run its tests")

    def of(file):
        found = []
        for report in reports(file):
            for entry in report["files"]:
                path = pathlib.Path(os.path.normpath(pathlib.Path(report["current_working_directory"], entry["file"])))
                if path.is_relative_to(source) and str(path.relative_to(source)).startswith(wanted):
                    found.append((str(path.relative_to(source)), entry["lines"]))
        return found

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(of, data):
            for file, lines in found:
                for line in lines:
                    counts.add(file, line)
    return counts


def missed(counts):
    """Each place that was not gone through: {(file, line): what of it}."""
    found = {}
    for place, count in counts.lines.items():
        if count == 0:
            found[place] = "never run"
    for place, taken in counts.branches():
        if place not in found and any(count == 0 for count in taken):
            found[place] = f"{sum(count == 0 for count in taken)} of {len(taken)} branches never taken"
    return found


class Excuse:
    def __init__(self, file, code, reason):
        self.file, _, number = file.partition("#")
        self.number = int(number) if number else None  # which of the lines that read so; None: all of them
        self.code, self.by_chance = code, reason.startswith("by chance")

    def lines(self, texts):
        """The numbers of the lines that it is for."""
        alike = [number for number, line in enumerate(texts(self.file), 1) if line.strip() == self.code]
        return alike if self.number is None else alike[self.number - 1:self.number]

    def __str__(self):
        return f"{self.file}{'' if self.number is None else f'#{self.number}'}: {self.code}"


def excuses(file):
    """Of lines that read alike in a file one excuse is enough, unless it is by chance."""
    found = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        parts = [part.strip() for part in text.split(" | ")]
        if len(parts) != 3 or not all(parts) or not re.fullmatch(r"[^#]+(#[1-9][0-9]*)?", parts[0]):
            sys.exit(f"{file}:{number}: a line has to be: FILE | CODE OF THE LINE | REASON, or FILE#WHICH | ...")
        found.append(Excuse(*parts))
    return found


def judge(source, counts, excused, rooms):
    """The lines to print that nothing excuses."""
    @functools.cache
    def texts(file):
        path = source / file
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []

    faults = []
    excused = [(excuse, excuse.lines(texts)) for excuse in excused if excuse.file.split("/")[1] in rooms]
    left = {}
    for (file, number), what in sorted(missed(counts).items()):
        code = texts(file)[number - 1].strip()
        if not code.strip("}; "):
            continue
        left[file, number] = what
        if not any(excuse.file == file and number in lines for excuse, lines in excused):
            faults.append(f"{file}:{number}: {what}: {code}")
    for excuse, lines in excused:
        if excuse.by_chance and len(lines) > 1:
            faults.append(f"by chance, and {len(lines)} lines read so: say which, as {excuse.file}#1: {excuse}")
        elif not lines:
            faults.append(f"excused, but not there (any more): {excuse}")
        elif not excuse.by_chance and not any((excuse.file, number) in left for number in lines):
            faults.append(f"excused, but not missed (any more): {excuse}")
    return faults


def figures(counts, rooms):
    for room in rooms:
        lines = [count for (file, _), count in counts.lines.items() if file.startswith(f"src/{room}/")]
        branches = [count for place, taken in counts.branches() for count in taken
                    if place[0].startswith(f"src/{room}/")]
        hit = [sum(count > 0 for count in numbers) for numbers in (lines, branches)]
        yield (f"{room:9} lines {hit[0]} of {len(lines)} ({100 * hit[0] / max(1, len(lines)):.1f} %), "
               f"branches {hit[1]} of {len(branches)} ({100 * hit[1] / max(1, len(branches)):.1f} %)")


def main(source, build, *rooms):
    rooms = rooms or ROOMS
    source, build = pathlib.Path(source).resolve(), pathlib.Path(build).resolve()
    counts = collect(source, build, rooms)
    excused = excuses(pathlib.Path(__file__).with_name("excused.txt"))
    faults = judge(source, counts, excused, rooms)
    print("\n".join(faults))
    print("\n".join(figures(counts, rooms)))
    if faults:
        sys.exit(f"{len(faults)} places are neither gone through nor excused: add a test, or a reason to excused.txt")
    print("everything else is excused, with a reason")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
