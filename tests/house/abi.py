"""Compares the C ABI with the one that was recorded, and fails on whatever is not an addition.

    python3 abi.py check SOURCE LIBRARY...     each library is what SOURCE/capi/abi says of it
    python3 abi.py record SOURCE LIBRARY...    writes that anew: on purpose, when a version may break programs

The record of a library NAME is capi/abi/NAME.abi, abidw's description of every function and type (abidiff compares
two of them), and NAME.symbols, the exported names; constants.txt has the numbers of the headers. An addition is a
function, a field at the end of a struct that begins with `struct_size`, or a constant. The libraries need debug
information.
"""

import difflib
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

REMEDY = ("the C ABI has changed in a way that is not an addition: take the change back or, if this version may break "
          "programs, record it: python3 tests/house/abi.py record")


def output(*command):
    done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stdout.strip()}")
    return done.stdout


def stem(library):
    return re.sub(r"\.so[.0-9]*$", "", pathlib.Path(library).name)


def symbols(library):
    names = (line.split()[-1].split("@")[0] for line in output("nm", "-D", "--defined-only", library).splitlines())
    return sorted(name for name in names if name.startswith("tokenstore_"))


def headers(source):
    for header in sorted((source / "capi/include").glob("*.h")):
        yield re.sub(r"/\*.*?\*/", " ", header.read_text(encoding="utf-8"), flags=re.S)


def describe(source, library, file):
    """What the exported functions take and give, in abidw's form: without what only the library sees, which may change
    as it likes, and without places in files, which mean nothing."""
    with tempfile.TemporaryDirectory() as place:
        whole = pathlib.Path(place) / "whole.abi"
        output("abidw", "--drop-undefined-syms", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs",
               "--no-elf-needed", "--out-file", whole, library)
        root = xml.parse(whole).getroot()
    public = {name for text in headers(source) for name in re.findall(r"\bstruct (\w+) \{", text)}
    types = {}
    functions = {}
    for element in root.iter():
        key = element.get("id")
        if key is not None and (key not in types or types[key].get("is-declaration-only")):
            types[key] = element
        if element.tag == "function-decl" and element.get("elf-symbol-id"):
            functions[element.get("elf-symbol-id")] = element
    kept = {}

    def keep(element):
        if element.tag == "class-decl" and element.get("name") not in public:
            for part in list(element):
                element.remove(part)
            for detail in set(element.attrib) - {"name", "id", "is-struct", "visibility"}:
                del element.attrib[detail]
            element.set("is-declaration-only", "yes")
        for part in element.iter():
            key = part.get("type-id")
            if key is not None and key not in kept:
                kept[key] = types[key]
                keep(types[key])

    for _, function in sorted(functions.items()):
        keep(function)
    for old in root.findall("abi-instr"):
        root.remove(old)
    root.attrib.pop("path", None)
    unit = xml.SubElement(root, "abi-instr", {"address-size": "64", "path": "tokenstore", "language": "LANG_C99"})
    # Numbered anew, in the order of what needs them: a change elsewhere in the library then changes nothing here.
    numbers = {key: f"type-id-{number}" for number, key in enumerate(kept, 1)}
    for element in [*kept.values(), *(functions[name] for name in sorted(functions))]:
        unit.append(element)
    for part in unit.iter():
        for attribute in ("id", "type-id", "naming-typedef-id", "def-of-decl-id"):
            if attribute in part.attrib:
                if part.get(attribute) in numbers:
                    part.set(attribute, numbers[part.get(attribute)])
                else:
                    del part.attrib[attribute]
    xml.indent(root)
    file.write_text(xml.tostring(root, encoding="unicode") + "\n", encoding="utf-8")


def constants(source):
    """NAME = number, of each enumerator and each plain number among the macros."""
    found = {}
    for text in headers(source):
        found.update(re.findall(r"\b(TOKENSTORE_\w+)\s*=\s*([-\w]+)", text))
        found.update(re.findall(r"(?m)^#define (TOKENSTORE_(?!VERSION_)\w+) \(?(-?\d\w*)\)?\s*$", text))
    return found


class Description:
    """abidw's file, as functions and structs in words that can be compared."""

    def __init__(self, file):
        root = xml.parse(file).getroot()
        self.types = {}
        for element in root.iter():
            if "id" in element.attrib and element.tag != "elf-symbol":
                known = self.types.get(element.get("id"))
                if known is None or known.get("is-declaration-only"):
                    self.types[element.get("id")] = element
        self.structs = {element.get("name"): self.members(element) for element in self.types.values()
                        if element.tag == "class-decl" and element.get("name").startswith("tokenstore_")}
        self.functions = {element.get("name"): self.signature(element) for element in root.iter("function-decl")
                          if element.get("elf-symbol-id") and element.get("name").startswith("tokenstore_")}

    def members(self, struct):
        return [(member.get("layout-offset-in-bits"), member.find("var-decl").get("name"),
                 self.spelled(member.find("var-decl").get("type-id"))) for member in struct.findall("data-member")]

    def signature(self, function):
        parameters = ", ".join(self.spelled(part.get("type-id")) for part in function.findall("parameter"))
        return f"{self.spelled(function.find('return').get('type-id'))} ({parameters})"

    def spelled(self, key):
        of = self.types[key]
        inner = of.get("type-id")
        if of.tag in ("pointer-type-def", "reference-type-def"):
            return self.spelled(inner) + "*"
        if of.tag == "qualified-type-def":
            return ("const " if of.get("const") else "") + ("volatile " if of.get("volatile") else "") + self.spelled(inner)
        if of.tag == "typedef-decl":
            # A name of C's own means what it means; ours are looked through, so that a new name is no change.
            return self.spelled(inner)
        if of.tag == "array-type-def":
            return self.spelled(inner) + "".join(f"[{part.get('length')}]" for part in of.findall("subrange"))
        if of.tag == "function-type":
            return "function " + self.signature(of)
        return f"{of.get('name')}:{of.get('size-in-bits', '')}" if of.tag == "type-decl" else of.get("name")


def differences(before, now):
    """What of `before` is not in `now` as it was."""
    for name, signature in sorted(before.functions.items()):
        if name in now.functions and now.functions[name] != signature:
            yield f"{name} was {signature} and is {now.functions[name]}"
    for name, members in sorted(before.structs.items()):
        if name not in now.structs:
            yield f"{name} is gone"
        elif now.structs[name][:len(members)] != members:
            lines = difflib.ndiff([" ".join(member) for member in members],
                                  [" ".join(member) for member in now.structs[name]])
            yield f"{name} has changed: " + "; ".join(line for line in lines if line[0] in "+-")
        elif len(now.structs[name]) > len(members) and members and members[0][1] != "struct_size":
            yield f"{name} has grown, but begins with no struct_size: programs cannot say which one they know"


def faults(source, library, folder):
    """What of the library is neither as it was recorded nor an addition."""
    name = stem(library)
    recorded = (folder / f"{name}.symbols").read_text(encoding="utf-8").split()
    exported = symbols(library)
    yield from (f"{gone} is exported no longer" for gone in recorded if gone not in exported)
    with tempfile.TemporaryDirectory() as place:
        file = pathlib.Path(place) / f"{name}.abi"
        describe(source, library, file)
        before, now = Description(folder / f"{name}.abi"), Description(file)
        if not before.functions or not set(recorded) <= set(before.functions):
            yield f"{name}.abi does not describe what {name}.symbols names"
        yield from differences(before, now)


def record(source, libraries, folder):
    folder.mkdir(exist_ok=True)
    for library in libraries:
        describe(source, library, folder / f"{stem(library)}.abi")
        (folder / f"{stem(library)}.symbols").write_text("\n".join(symbols(library)) + "\n", encoding="utf-8")
    lines = [f"{name} {value}\n" for name, value in sorted(constants(source).items())]
    (folder / "constants.txt").write_text("".join(lines), encoding="utf-8")


def check(source, libraries, folder):
    found = [fault for library in libraries for fault in faults(source, library, folder)]
    current = constants(source)
    for name, value in (line.split() for line in (folder / "constants.txt").read_text(encoding="utf-8").splitlines()):
        if current.get(name) != value:
            found.append(f"{name} was {value} and is {current.get(name, 'gone')}")
    return found


def main(action, source, *libraries):
    source = pathlib.Path(source).resolve()
    folder = source / "capi/abi"
    if action == "record":
        return record(source, libraries, folder)
    found = check(source, libraries, folder)
    if found:
        sys.exit("\n".join([*found, REMEDY]))
    print(f"{len(libraries)} libraries are what they were recorded as, or more")


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("check", "record"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
