"""How the tree compiles its files and links its programs of tests, with something else in place of some of them."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess


def run(command, folder, limit):
    """Its exit code; "timeout" if it went on for too long."""
    try:
        return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=limit).returncode
    except subprocess.TimeoutExpired:
        return "timeout"


def test_sources(source, build, programs):
    """The files of tests that these programs are made of, with the headers of tests that they come to see, and the vectors
    that some of them read."""
    database = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    left = [pathlib.Path(entry["file"]).resolve() for entry in database
            if any(f"/{program}.dir/" in entry["command"] for program in programs)]
    found = set((source / "tests/vectors").glob("*.json"))
    while left:
        file = left.pop()
        if file in found or not file.is_relative_to(source / "tests"):
            continue
        found.add(file)
        for name in re.findall(r'^#include "([^"]+)"', file.read_text(encoding="utf-8"), re.MULTILINE):
            left += [path.resolve() for folder in (file.parent, source / "tests") if (path := folder / name).is_file()]
    return found


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

    def command_of(self, unit, system_headers=True):
        """What compiles it, but for its input and its output, and where."""
        command, folder = self.commands[unit]
        command = [part for part in command if part not in ("ccache", "-g")]
        for flag in ("-o", "-MT", "-MF"):
            while flag in command:
                at = command.index(flag)
                del command[at:at + 2]
        command = [part for part in command if part not in ("-c", "-MD") and pathlib.Path(folder, part) != unit]
        # A warning about a fault is not a test that notices it.
        # The standard library's own checks turn what is undefined into an end that a test notices.
        command = [*command, "-w", "-Wno-error", "-D_GLIBCXX_ASSERTIONS"]
        return command + (self.compiled_header(unit, command, folder) if system_headers else []), folder

    def compile(self, file, instead, output):
        """`instead` takes the place of `file`, a source or a header of the room."""
        units = [file] if file.suffix == ".cpp" else self.includers([file])
        objects = []
        for number, unit in enumerate(units):
            command, folder = self.command_of(unit)
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

    def includers(self, headers):
        """The sources of all rooms that come to see one of these headers."""
        seen, found, wanted = set(), set(), {str(header.relative_to(self.source / "src")) for header in headers}
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
        # Those of the header's room first: what does not compile shows there soonest.
        rooms = {header.parent for header in headers}
        return sorted(found & set(self.commands), key=lambda unit: (unit.parent not in rooms, unit))

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
