"""Makes small faults in the rooms that decide, one at a time, and sees whether a test notices.

    python3 mutate.py SOURCE BUILD [--jobs N] [--sample N] [--seed N] ROOM_OR_FILE...

BUILD is a built tree of the preset dev. Of each mutant one file is compiled, in front of the library that stays as it
is, and linked with the programs of its room, which run until one fails. A mutant that every program passes has
survived: it is listed, and the run fails, unless explained.txt says why no test could tell. So does a line there
that explains a mutant which was killed. Nothing in SOURCE or BUILD is changed.
"""

import argparse
import concurrent.futures
import json
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import operators

# The quickest that sees most comes first.
PROGRAMS = {
    "text": ["primitives_test"],
    "seal": ["primitives_test", "key_file_faults_test", "rules_test"],
    "store": ["rules_test", "test_open"],
    "validate": ["validate_test", "rules_test", "freshness_test"],
}
# Left out: what takes long and sees what others see.
LEFT_OUT = {"primitives_test": ["~a million random tokens*", "~*upkeep thread*", "~*turn that*"]}


def run(command, folder, limit):
    """Its exit code; "timeout" if it went on for too long."""
    try:
        return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=limit).returncode
    except subprocess.TimeoutExpired:
        return "timeout"


class Build:
    """The commands that compile a file and link a program, with other inputs and outputs.

    Every mutant costs them again, so they are quick: no debugging information, system headers compiled once, the
    faster linker where there is one.
    """

    def __init__(self, source, build, place):
        self.source, self.folder, self.place = source, build, place
        database = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
        self.commands = {}
        for entry in database:
            file = pathlib.Path(entry["file"]).resolve()
            # The same file may belong to tests too; the library's own comes first.
            self.commands.setdefault(file, (shlex.split(entry["command"]), entry["directory"]))
        self.links = {}
        self.compiled_headers = {}

    def system_headers(self, unit):
        """What it includes of the system, also by way of our own headers, in the order in which it does."""
        found, seen = [], set()

        def walk(file):
            for kind, name in re.findall(r'^#include ([<"])([^>"]+)[>"]', file.read_text(encoding="utf-8"), re.MULTILINE):
                if kind == "<":
                    found.append(name)
                    continue
                for folder in (file.parent, self.source / "src", self.source / "include"):
                    if (folder / name).is_file() and folder / name not in seen:
                        seen.add(folder / name)
                        walk(folder / name)

        walk(unit)
        return tuple(dict.fromkeys(found))

    def compiled_header(self, unit, command, folder):
        """The options that take the system's headers from their compiled form."""
        headers = self.system_headers(unit)
        if not headers:
            return []
        key = headers, tuple(part for part in command if not part.endswith(".o"))
        if key not in self.compiled_headers:
            header = self.place / f"system{len(self.compiled_headers)}.hpp"
            header.write_text("".join(f"#include <{name}>\n" for name in headers), encoding="utf-8")
            made = run([*command, "-w", "-x", "c++-header", str(header), "-o", f"{header}.gch"], folder, 300) == 0
            self.compiled_headers[key] = ["-include", str(header)] if made else []
        return self.compiled_headers[key]

    def compile(self, file, instead, output):
        """`instead` takes the place of `file`, a source or a header of the room."""
        units = [file] if file.suffix == ".cpp" else self.includers(file)
        objects = []
        for number, unit in enumerate(units):
            command, folder = self.commands[unit]
            command = [part for part in command if part not in ("ccache", "-g")]
            if "-o" in command:
                at = command.index("-o")
                del command[at:at + 2]
            command = [part for part in command if part not in ("-c", "-MD") and pathlib.Path(folder, part) != unit]
            for flag in ("-MT", "-MF"):
                while flag in command:
                    at = command.index(flag)
                    del command[at:at + 2]
            # A warning about a fault is not a test that notices it.
            # The standard library's own checks turn what is undefined into an end that a test notices.
            command = [*command, "-w", "-Wno-error", "-D_GLIBCXX_ASSERTIONS"]
            command += self.compiled_header(unit, command, folder)
            # Headers are named from src/: the mutated one is found before the true one.
            overlay = output.parent / "overlay"
            command[1:1] = ["-I", str(overlay)]
            if file.suffix != ".cpp":
                place = overlay / file.relative_to(self.source / "src")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(instead.read_text(encoding="utf-8"), encoding="utf-8")
            target = output.with_name(f"{output.stem}{number}.o")
            code = run([*command, "-c", str(instead if file.suffix == ".cpp" else unit), "-o", str(target)], folder, 300)
            if code != 0:
                return None
            objects.append(target)
        return objects

    def includers(self, header):
        """The sources of all rooms that come to see this header."""
        seen, found, wanted = set(), set(), {str(header.relative_to(self.source / "src"))}
        files = list((self.source / "src").rglob("*.?pp"))
        texts = {file: file.read_text(encoding="utf-8") for file in files}
        while wanted:
            name = wanted.pop()
            seen.add(name)
            for file, text in texts.items():
                if f'#include "{name}"' in text:
                    if file.suffix == ".cpp":
                        found.add(file)
                    elif (own := str(file.relative_to(self.source / "src"))) not in seen:
                        wanted.add(own)
        return sorted(found & set(self.commands))

    def link(self, program, objects, output):
        if program not in self.links:
            shown = subprocess.run(["ninja", "-C", str(self.folder), "-t", "commands", program], text=True, check=True,
                                   stdout=subprocess.PIPE).stdout.strip().splitlines()
            # The last command of the program links it and has CMake look for its tests; the former is wanted.
            parts = [part for part in shown[-1].split(" && ") if f" -o " in part]
            self.links[program] = [*shlex.split(parts[0]), "-Wl,--strip-debug"]
            if shutil.which("ld.gold"):
                self.links[program].append("-fuse-ld=gold")
        command = list(self.links[program])
        command[command.index("-o") + 1] = str(output)
        # In front of all: what the library's own objects define is then not taken from them, nor what the tests' objects
        # have of a header's functions.
        command[1:1] = [str(path) for path in objects]
        return run(command, self.folder, 300) == 0


class Mutant:
    def __init__(self, file, number, before, after):
        self.file, self.number, self.before, self.after = file, number, before, after

    def key(self):
        return str(self.file), self.before.strip(), self.after.strip()

    def __str__(self):
        return f"{self.file}:{self.number}: {self.before.strip()}  ->  {self.after.strip()}"


def mutants_of(source, file):
    for number, line in enumerate((source / file).read_text(encoding="utf-8").splitlines(), 1):
        for after in dict.fromkeys(operators.mutants(line)):
            if after != line:
                yield Mutant(file, number, line, after)


class Trial:
    """Tries mutants; `build` compiles and links, `programs` says which programs judge a file."""

    def __init__(self, source, build, programs):
        self.source, self.build, self.programs = source, build, programs
        self.limits = {}

    def try_program(self, path, folder, limit, file=None):
        """Until the first test that fails: one is enough. The tests that are named after the file come first."""
        if file and run([str(path), "--abort", "-#", f"[#{file.stem}_test]"], folder, limit) != 0:
            return 1
        return run([str(path), "--abort", *LEFT_OUT.get(path.name, [])], folder, limit)

    def measure(self, program, path, folder):
        """A program that fails without any fault judges nothing; one that hangs with one has noticed it."""
        began = time.monotonic()
        if self.try_program(path, folder, 600) != 0:
            sys.exit(f"{program} fails without any fault: build the tree and mend it first")
        self.limits[program] = 20 + 5 * (time.monotonic() - began)

    def outcome(self, mutant):
        file = self.source / mutant.file
        lines = file.read_text(encoding="utf-8").splitlines()
        lines[mutant.number - 1] = mutant.after
        with tempfile.TemporaryDirectory() as place:
            place = pathlib.Path(place)
            instead = place / file.name
            instead.write_text("\n".join(lines) + "\n", encoding="utf-8")
            objects = self.build.compile(file, instead, place / "mutant.o")
            if objects is None:
                return "does not compile"
            for program in self.programs(mutant.file):
                if not self.build.link(program, objects, place / program):
                    return "does not compile"
                if self.try_program(place / program, place, self.limits[program], mutant.file) != 0:
                    return "killed"
                (place / program).unlink()
        return "survived"


def explanations(file):
    found = {}
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if text.strip() and not text.startswith("#"):
            parts = [part.strip() for part in text.split(" @ ")]
            if len(parts) != 4 or not all(parts):
                sys.exit(f"{file}:{number}: a line has to be: FILE @ LINE @ MUTATED LINE @ REASON")
            found[tuple(parts[:3])] = parts[3]
    return found


def judge(outcomes, explained):
    """What to print: survivors that nothing explains, and explanations of what was killed."""
    faults = [f"survived: {mutant}" for mutant, outcome in outcomes if outcome == "survived" and
              mutant.key() not in explained]
    faults += [f"explained, but killed: {mutant}" for mutant, outcome in outcomes if outcome == "killed" and
               mutant.key() in explained]
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("what", nargs="+")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--sample", type=int, default=0, help="only so many mutants of each room or file, at random")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    source, tree = given.source.resolve(), given.build.resolve()
    explained = explanations(pathlib.Path(__file__).with_name("explained.txt"))
    chosen = []
    for what in given.what:
        place = source / "src" / what if what in PROGRAMS else source / what
        files = sorted(place.rglob("*.?pp")) if place.is_dir() else [place]
        found = [mutant for file in files for mutant in mutants_of(source, file.relative_to(source))]
        if not found:
            sys.exit(f"{what} has no line that can be mutated")
        chosen += random.Random(given.seed).sample(found, given.sample) if 0 < given.sample < len(found) else found
    outcomes = []
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        trial = Trial(source, Build(source, tree, place), lambda file: PROGRAMS[file.parts[1]])
        for program in sorted({name for mutant in chosen for name in trial.programs(mutant.file)}):
            trial.measure(program, next((tree / "tests").rglob(program)), place)
        print(f"{len(chosen)} mutants", flush=True)
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            # Told at once: a run is long, and the first survivor is work already.
            for mutant, outcome in zip(chosen, pool.map(trial.outcome, chosen)):
                outcomes.append((mutant, outcome))
                for fault in judge(outcomes[-1:], explained):
                    print(fault, flush=True)
    faults = judge(outcomes, explained)
    counts = {name: sum(outcome == name for _, outcome in outcomes) for name in ("killed", "survived", "does not compile")}
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
