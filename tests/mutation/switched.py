"""A room with all its faults behind switches: built once, and which test comes to which fault.

The room's sources are compiled from an overlay that has the switches, and linked in front of the library as it is, so that
its inline functions are the ones that the program has. What the compiler refuses is taken out until it takes the rest.
"""

import os
import pathlib
import re
import resource
import subprocess
import tempfile

import schema

MEMORY = 6 << 30  # octets: a fault that allocates without end is stopped


class Test:
    def __init__(self, program, name, seconds, processor, faults):
        self.program, self.name, self.seconds, self.processor, self.faults = program, name, seconds, processor, faults
        self.kills = 0

    def worth(self):
        return (0.02 + self.seconds) / (1 + self.kills)


class Switched:
    """`mutants` are numbered by their place in the list, which the switches use too."""

    def __init__(self, build, place, mutants, left_out):
        self.build, self.place, self.left_out = build, place, left_out
        self.overlay = place / "overlay"
        self.mutants, self.switched, self.refused, self.programs, self.tests = mutants, set(), set(), {}, []
        os.chmod(place, 0o755)
        self.lines = {}  # of a file, that take no switch
        self.distrusted = set()  # names of tests that failed without a fault

    def write(self, file):
        """One file of the room into the overlay."""
        text = (self.build.source / file).read_text(encoding="utf-8")
        starts = [0]
        for line in text.split("\n"):
            starts.append(starts[-1] + len(line) + 1)
        faults = [schema.Fault(number, starts[mutant.number - 1], mutant.before, mutant.after)
                  for number, mutant in enumerate(self.mutants) if mutant.file == file and number not in self.refused]
        changed, numbers = schema.with_switches(text, faults, file, self.lines.get(str(file), ()))
        target = self.overlay / file.relative_to("src")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(changed, encoding="utf-8")
        self.switched -= {number for number, mutant in enumerate(self.mutants) if mutant.file == file}
        self.switched |= set(numbers)

    def compile_all(self):
        """The objects of all that sees a fault."""
        files = {mutant.file for mutant in self.mutants}
        rooms = {mutant.file.parent for mutant in self.mutants}
        headers = [self.build.source / file for file in files if file.suffix == ".hpp"]
        units = sorted({self.build.source / file for file in files if file.suffix == ".cpp"} |
                       {unit for unit in self.build.includers(headers)
                        if unit.relative_to(self.build.source).parent in rooms})
        for file in files:
            self.write(file)
        # Headers first, and once more whenever one of them has changed: what sees them has to agree on it.
        for _ in range(60):
            self.headers_changed = False
            objects = [self.compile(unit, self.place / f"unit{number}.o") for number, unit in enumerate(units)]
            if not self.headers_changed:
                return objects
        raise SystemExit("a header of the room does not compile with switches in it")

    def compile(self, unit, target):
        own = unit.relative_to(self.build.source)
        name = self.overlay / own.relative_to("src")
        for _ in range(60):
            command, folder = self.build.command_of(unit, system_headers=False)
            command[1:1] = ["-I", str(self.overlay)]
            command += ["-include", str(pathlib.Path(__file__).with_name("switch.hpp")), "-fmax-errors=0"]
            done = subprocess.run([*command, "-c", str(name if name.is_file() else unit), "-o", str(target)], cwd=folder,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode == 0:
                return target
            self.refuse(done.stderr)
        raise SystemExit(f"{own} does not compile with switches in it")

    def refuse(self, complaints):
        """Takes out what the compiler complains of."""
        found = re.findall(r"^(\S+?):(\d+):\d+: (?:fatal )?error: ", complaints, re.MULTILINE)
        mutants = {int(line) for file, line in found if file == schema.MUTANTS}
        if not found:
            raise SystemExit(complaints)
        # An error in a fault may bring about others elsewhere: those are looked at when it is gone.
        if mutants - self.refused:
            self.refused |= mutants
            changed = {self.mutants[number].file for number in mutants}
        else:
            changed = set()
            for file, line in found:
                if file.startswith("src/"):
                    changed.add(pathlib.Path(file))
                    near = self.lines.setdefault(file, set())
                    # A name that was declared within a switch is missed further down: so a little more each time.
                    more = range(max(1, int(line) - 8), int(line) + 1) if int(line) in near else [int(line)]
                    near.update(more)
            if not changed:
                raise SystemExit(complaints)
        for file in changed:
            self.write(file)
        self.headers_changed |= any(file.suffix == ".hpp" for file in changed)

    def link(self, programs):
        command, folder = self.build.command_of(self.build.source / "tests/catch_main.cpp", system_headers=False)
        switch = self.place / "switch.o"
        subprocess.run([*command, "-c", str(pathlib.Path(__file__).with_name("switch.cpp")), "-o", str(switch)], cwd=folder,
                       check=True)
        objects = self.compile_all()
        for program in programs:
            self.programs[program] = self.place / program
            if not self.build.link(program, [*objects, switch], self.place / program):
                raise SystemExit(f"{program} does not link with switches in it")

    def run(self, program, names, chosen=None, report=None, seconds=1800, processor=900, log=os.devnull):
        """The exit code of these tests of a program, or of all of them; "timeout" if that is what ended it."""
        environment = dict(os.environ)
        if chosen is not None:
            environment["TOKENSTORE_MUTATION_CHOSEN"] = str(chosen)
        if report is not None:
            environment["TOKENSTORE_MUTATION_REPORT"] = str(report)

        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (int(processor) + 1, int(processor) + 2))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        with tempfile.TemporaryDirectory(dir=self.place) as folder:
            # Some tests go on as another user.
            os.chmod(folder, 0o755)
            command = [str(self.programs[program]), "--abort"]
            if names is None:
                command += self.left_out.get(program, [])
            else:
                command.append(spelled(names))
            environment["TMPDIR"] = folder
            with open(log, "wb") as out:
                process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                           stderr=out, preexec_fn=limit, start_new_session=True)
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                return "timeout"
            finally:
                # Its forked children too.
                try:
                    os.killpg(process.pid, 9)
                except ProcessLookupError:
                    pass
                process.wait()

    def reach(self):
        """Runs each program once without a fault, and notes which test comes to which fault."""
        for program in self.programs:
            report = self.place / f"{program}.report"
            report.unlink(missing_ok=True)
            log = self.place / f"{program}.log"
            if (code := self.run(program, None, report=report, log=log)) != 0:
                print(log.read_text(encoding="utf-8", errors="replace")[-2000:])
                raise SystemExit(f"{program} fails without any fault ({code}): build the tree and mend it first")
            for line in report.read_text(encoding="utf-8").splitlines():
                seconds, processor, name, faults = line.split("\t")
                self.tests.append(Test(program, name, float(seconds), float(processor),
                                       {int(number) for number in faults.split()}))
            # A name that Catch2 takes apart otherwise would run nothing, and notice nothing.
            names = sorted(test.name for test in self.tests if test.program == program)
            done = subprocess.run([str(self.programs[program]), "--list-test-names-only", spelled(names)],
                                  stdout=subprocess.PIPE, text=True, check=False)
            if sorted(done.stdout.splitlines()) != names:
                raise SystemExit(f"{program}: not every test can be chosen by its name")

    def outcome(self, number):
        """("killed", by which tests), ("survived", ...) or None: no test comes there."""
        tests = sorted((test for test in self.tests if number in test.faults), key=Test.worth)
        if not tests:
            return None
        for batch in batches(tests):
            if killers := self.killers(batch, number):
                for test in killers:
                    test.kills += 1 / len(killers)
                return "killed", (killers[0].name if len(killers) == 1 else
                                  f"one of {len(killers)} tests of {killers[0].program}")
        return "survived", f"{len(tests)} tests come there"

    def killers(self, batch, number):
        """Those that notice the fault: they fail with it, pass without it, and fail with it again.

        What needs a test that is not run with it fails without a fault too; what fails by chance, or because the machine is
        slow, seldom does so twice. Neither has noticed anything.
        """
        if self.tried(batch, number) == 0:
            return []
        if self.tried(batch, None) == 0:
            return batch if self.tried(batch, number) != 0 else []
        if len(batch) > 1:
            return next((found for test in batch if (found := self.killers([test], number))), [])
        if batch[0].name not in self.distrusted:
            self.distrusted.add(batch[0].name)
            print(f"fails without a fault where it is run alone, and kills nothing then: {batch[0].name}", flush=True)
        return []

    def tried(self, batch, number):
        return self.run(batch[0].program, [test.name for test in batch], number,
                        seconds=30 + 10 * sum(test.seconds for test in batch),
                        processor=2 + 5 * sum(test.processor for test in batch))


def spelled(names):
    """As Catch2 wants names that it shall not take apart."""
    return ",".join(re.sub(r'([\\,\["])', r"\\\1", name) for name in names)


def batches(tests):
    """The likely and quick ones a few at a time, then more and more: most faults fall to the first."""
    left, room = list(tests), 0.03
    while left:
        program, taken, spent = left[0].program, [], 0.0
        for test in left:
            if test.program == program and (not taken or spent + test.seconds <= room):
                taken.append(test)
                spent += test.seconds
        yield taken
        left = [test for test in left if test not in taken]
        room *= 4
