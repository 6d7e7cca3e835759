"""Makes small faults in the rooms that decide, one at a time, and sees whether a test notices.

    python3 mutate.py SOURCE BUILD [--place FOLDER] [--results FILE] [--sample N] [--seed N] ROOM_OR_FILE...

BUILD is a built tree of the preset dev. All faults of a room are compiled into it once, each behind a switch (schema.py),
and linked with the room's programs of tests in front of the library that stays as it is. A run without a fault says which
test comes to which fault; then each fault is switched on in turn, for the tests that come to it, the likely and quick ones
first, until one fails. A fault that stands where no switch can, or that no test came to while it ran (what is computed at
compile time looks at no switch), is compiled and linked alone and tried with every test of the room's programs.

A mutant that every program passes has survived: it is listed, and the run fails, unless explained.txt says why no test
could tell. So does a line there that explains a mutant which was killed, or which is none any more. Nothing in SOURCE or BUILD
is changed. FOLDER is best in memory. FILE remembers what was killed: a run that goes on from it tries again only what survived,
all of a file that has changed, and all of a room whose tests have.
"""

import argparse
import hashlib
import json
import pathlib
import random
import sys
import tempfile
import time

import builds
import operators
import switched

# The quickest that sees most comes first.
PROGRAMS = {
    "text": ["primitives_test", "rules_test"],
    "seal": ["primitives_test", "key_file_faults_test", "no_pages_test", "rules_test"],
    "store": ["rules_test", "test_open", "clock_test", "no_memory_test"],
    "validate": ["validate_test", "no_pages_test", "rules_test", "freshness_test"],
}
# Left out: what takes long and sees what others see.
LEFT_OUT = {"primitives_test": ["~a million random tokens*", "~*upkeep thread*", "~*turn that*"]}


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
    """Tries a mutant alone; `build` compiles and links, `programs` says which programs judge a file."""

    def __init__(self, source, build, programs):
        self.source, self.build, self.programs = source, build, programs
        self.limits, self.paths = {}, {}

    def passes(self, path, folder, limit, chosen):
        """Until the first test that fails: one is enough."""
        return builds.run([str(path), "--abort", *chosen], folder, limit) == 0

    def measure(self, program, path, folder):
        """A program that fails without any fault judges nothing; one that hangs with one has noticed it."""
        began = time.monotonic()
        if not self.passes(path, folder, 600, LEFT_OUT.get(program, [])):
            sys.exit(f"{program} fails without any fault: build the tree and mend it first")
        self.limits[program], self.paths[program] = 20 + 5 * (time.monotonic() - began), path

    def notices(self, program, mutated, file):
        """Whether it fails with the fault, passes without it, and fails with it again: not by chance, nor because its tests
        are not run together. The tests that are named after the file come first."""
        folder, limit = mutated.parent, self.limits[program]
        return any(not self.passes(mutated, folder, limit, chosen) and
                   self.passes(self.paths[program], folder, limit, chosen) and
                   not self.passes(mutated, folder, limit, chosen)
                   for chosen in (["-#", f"[#{file.stem}_test]"], LEFT_OUT.get(program, [])))

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
                if self.notices(program, place / program, mutant.file):
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


def gone(source, explained):
    """What is explained, but is no mutant of what the file is by now."""
    files = {key[0] for key in explained}
    made = {mutant.key() for file in files if (source / file).is_file()
            for mutant in mutants_of(source, pathlib.Path(file))}
    return [f"explained, but not there (any more): {key[0]}: {key[1]}  ->  {key[2]}" for key in explained if key not in made]


class Results:
    """What earlier runs killed, of files that are still as they were, by tests that are; a line a mutant.

    `tests_of` says which files the tests of a room are made of.
    """

    def __init__(self, source, file, tests_of):
        self.source, self.file, self.tests_of, self.known, self.hashes = source, file, tests_of, {}, {}
        if file and file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self.known[tuple(entry["mutant"])] = entry

    def hash_of(self, name, files):
        if name not in self.hashes:
            found = hashlib.sha256()
            for path in sorted(files()):
                content = path.read_bytes()
                found.update(f"{path.relative_to(self.source)} {len(content)}\n".encode() + content)
            self.hashes[name] = found.hexdigest()[:16]
        return self.hashes[name]

    def key(self, mutant):
        room = mutant.file.parts[1]
        return (str(mutant.file), mutant.number, mutant.before, mutant.after,
                self.hash_of(mutant.file, lambda: [self.source / mutant.file]),
                self.hash_of(room, lambda: self.tests_of(room)))

    def of(self, mutant):
        known = self.known.get(self.key(mutant))
        return known["outcome"] if known and known["outcome"] != "survived" else None

    def note(self, mutant, outcome, how):
        self.known[self.key(mutant)] = entry = {"mutant": self.key(mutant), "outcome": outcome, "how": how}
        if self.file:
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(entry) + "\n")


def chosen_mutants(source, what, sample, seed):
    place = source / "src" / what if what in PROGRAMS else source / what
    files = sorted(place.rglob("*.?pp")) if place.is_dir() else [place]
    found = [mutant for file in files for mutant in mutants_of(source, file.relative_to(source))]
    if not found:
        sys.exit(f"{what} has no line that can be mutated")
    return random.Random(seed).sample(found, sample) if 0 < sample < len(found) else found


def try_all(build, place, mutants, results):
    """Yields each mutant with its outcome; all of one room."""
    known = [(mutant, results.of(mutant)) for mutant in mutants]
    yield from ((mutant, outcome) for mutant, outcome in known if outcome)
    left = [mutant for mutant, outcome in known if not outcome]
    if not left:
        return
    programs = PROGRAMS[left[0].file.parts[1]]
    room = switched.Switched(build, place, left, LEFT_OUT)
    room.link(programs)
    room.reach()
    alone = []
    print(f"{len(left)} to try, {len(room.switched)} of them behind switches", flush=True)
    for number, mutant in enumerate(left):
        found = room.outcome(number) if number in room.switched else None
        # Sources of other rooms keep a header as it is, and with it what it has them compile.
        if found is None or (found[0] == "survived" and mutant.file.suffix == ".hpp"):
            alone.append((number, mutant))
            continue
        results.note(mutant, *found)
        yield mutant, found[0]
    print(f"{len(alone)} to try alone", flush=True)
    trial = Trial(build.source, build, lambda file: programs)
    for program in programs if alone else ():
        trial.measure(program, next((build.folder / "tests").rglob(program)), place)
    for number, mutant in alone:
        outcome = trial.outcome(mutant)
        results.note(mutant, outcome, "alone")
        yield mutant, outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("what", nargs="+")
    parser.add_argument("--place", type=pathlib.Path, help="where to compile")
    parser.add_argument("--results", type=pathlib.Path, help="what was killed, and is not tried again")
    parser.add_argument("--sample", type=int, default=0, help="only so many mutants of each room or file, at random")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    source, tree = given.source.resolve(), given.build.resolve()
    explained = explanations(pathlib.Path(__file__).with_name("explained.txt"))
    results = Results(source, given.results, lambda room: builds.test_sources(source, tree, PROGRAMS[room]))
    outcomes = []
    for what in given.what:
        mutants = chosen_mutants(source, what, given.sample, given.seed)
        print(f"{what}: {len(mutants)} mutants", flush=True)
        with tempfile.TemporaryDirectory(dir=given.place) as place:
            place = pathlib.Path(place)
            # Told at once: a run is long, and the first survivor is work already.
            for outcome in try_all(builds.Build(source, tree, place), place, mutants, results):
                outcomes.append(outcome)
                for fault in judge([outcome], explained):
                    print(fault, flush=True)
    stale = gone(source, explained)
    for fault in stale:
        print(fault)
    faults = judge(outcomes, explained) + stale
    counts = {name: sum(outcome == name for _, outcome in outcomes) for name in ("killed", "survived", "does not compile")}
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
