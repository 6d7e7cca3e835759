"""Puts all small faults of a file into one text, each behind a switch that is looked at when the program runs.

A mutant that is compiled and linked alone costs seconds; so they are compiled together, and one costs no more than the
tests that go through it. Where a fault can stand behind a switch is found roughly. What the compiler then refuses is taken
out again by the line (`refused`), and tried alone; so is a fault that no test came to, because what is computed at compile
time looks at no switch.
"""

import re

import operators

HEADER = re.compile(r"\s*(?:else\b\s*)?(?:if|while|for|switch)\s*(?:constexpr\s*)?\(|\s*else\b")
# The file name under which the compiler names what it finds in a fault.
MUTANTS = "mutants"
LABEL = re.compile(r"\s*(?:case\b[^;{}]*?(?<!:):(?!:)|default:|public:|private:|protected:)")
NOT_DECLARED = re.compile(r"\s*(?:return|delete|throw|co_return)\b")
DECLARED = re.compile(r"\s*(?:(?:const|static|constexpr|inline|mutable|thread_local|auto|unsigned|using|typename|struct|class|"
                      r"enum|friend|explicit|virtual|template|namespace|goto|break|continue)\b|"
                      r"[\w:]+(?:<[^;=]*>)?(?:::\w+)?[ &*]*\s[&*]*\w+\s*(?:[=;({\[]|$))")
BOUND = re.compile(r"[,;?]| : | [-+*/|&^%]?= |\breturn\b")


class Fault:
    """One mutant of a line, as a piece of the file's text that another takes the place of."""

    def __init__(self, number, line_start, before, after):
        head = 0
        while head < min(len(before), len(after)) and before[head] == after[head]:
            head += 1
        tail = 0
        while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
            tail += 1
        # Not through the middle of a word: "1" of "16" is no expression.
        while head and re.match(r"[\w&|=<>]", before[head - 1]) and head < len(before):
            head -= 1
        while tail and re.match(r"[\w&|=<>]", before[len(before) - tail]):
            tail -= 1
        self.number, self.start, self.end = number, line_start + head, line_start + len(before) - tail
        self.text = after[head:len(after) - tail]


def blanked(text):
    """The text with everything in it that is not code blanked out, as long as before."""
    lines = []
    for line in text.split("\n"):
        code = operators.blanked(line)
        lines.append("\0" * len(line) if line.lstrip().startswith("#") else code)
    return "\n".join(lines)


def segments(code):
    """(start, end, what ends it, whether it begins within brackets) of each statement and of each head of a block."""
    depths, start, within = [0], 0, False
    for at, char in enumerate(code):
        if char in "([":
            depths[-1] += 1
        elif char in ")]":
            depths[-1] -= 1
        elif char == "{" and code[at + 1:at + 2] in (" ", "\n", "\0"):
            yield start, at, "{", within
            depths.append(0)
            start, within = at + 1, False
        elif char == "{":
            depths[-1] += 1
        elif char == "}" and depths[-1] > 0:
            depths[-1] -= 1
        elif char == "}" and len(depths) > 1:
            depths.pop()
            start, within = at + 1, depths[-1] > 0
        elif char == ";" and depths[-1] == 0:
            yield start, at + 1, ";", within
            start, within = at + 1, False


def closing(code, at, end):
    """Behind the bracket that closes the one that is open before `at`."""
    depth = 1
    while at < end and depth:
        depth += (code[at] in "([{") - (code[at] in ")]}")
        at += 1
    return at


def expression(code, fault, start, end):
    """The piece of start..end that is an expression of its own and holds the fault."""
    left, depth, at = start, 0, fault.start
    while at > start:
        at -= 1
        if code[at] in ")]}":
            depth += 1
        elif code[at] in "([{":
            if depth == 0:
                left = at + 1
                break
            depth -= 1
        elif depth == 0:
            found = BOUND.match(code, at)
            if found and found.end() <= fault.start:
                left = found.end()
                break
    right, depth, at = fault.end, 0, fault.end
    while at < end:
        if code[at] in "([{":
            depth += 1
        elif code[at] in ")]}":
            if depth == 0:
                break
            depth -= 1
        elif depth == 0 and re.compile(r"[,;?]| : ").match(code, at):
            break
        at += 1
    right = at
    while left < right and code[left] in " \n":
        left += 1
    while right > left and code[right - 1] in " \n":
        right -= 1
    return left, right


def place_of(code, fault, segment):
    """(kind, start, end) of what is written several times to hold the fault, or None."""
    start, end, ended_by, within = segment
    while label := LABEL.match(code, start, end):
        start = label.end()
    head_start = start
    while head := HEADER.match(code, start, end):
        stop = closing(code, head.end(), end) if head.group().endswith("(") else head.end()
        if fault.end <= stop:
            break
        start = stop
    while start < end and code[start] in " \n\0":
        start += 1
    body = code[start:end]
    if fault.start < head_start:
        return None
    plain = NOT_DECLARED.match(body) or not DECLARED.match(body)
    if ended_by == ";" and not within and plain and fault.start >= start and not HEADER.match(body):
        return "statement", start, end
    left, right = expression(code, fault, head_start, end)
    if left > fault.start or right < fault.end or left == right:
        return None
    before = code[:left]
    if re.search(r"\b(?:if|while) (?:constexpr )?\($", before) and code[right] == ")":
        return "condition", left, right
    return "expression", left, right


def written(kind, text, start, end, faults, file):
    """What takes the place of text[start:end]. The compiler is told the number of each fault as a line of MUTANTS."""
    line = text.count("\n", 0, start) + 1
    was = f"\n#line {line} \"{file}\"\n{text[start:end]}"
    each = [(f"TOKENSTORE_MUTANT({fault.number})", f"\n#line {fault.number} \"{MUTANTS}\"\n"
             f"{flat(text[start:fault.start] + fault.text + text[fault.end:end])}\n") for fault in faults]
    behind = f"\n#line {text.count(chr(10), 0, end) + 1} \"{file}\"\n"
    if kind == "statement":
        tried = "".join(f"if ({switch}) {{{other}}} else " for switch, other in each)
        return f"{{ {tried}{{{was}}} }}{behind}"
    as_bool = "bool" if kind == "condition" else ""
    tried = "".join(f"{switch} ? {as_bool}({other}) : " for switch, other in each)
    return f"({tried}{as_bool}({was})){behind}"


def flat(text):
    """On one line, without comments."""
    return " ".join(re.sub(r"//.*$", "", line) if "//" in operators.blanked(line).replace("\0", "") or
                    re.search(r'^[^"]*//', line) else line for line in text.split("\n"))


def places(text, faults):
    """{(kind, start, end): its faults} for all that can stand behind a switch; pieces within pieces are one."""
    code = blanked(text)
    found = {}
    parts = list(segments(code))
    for fault in faults:
        for segment in parts:
            if segment[0] <= fault.start and fault.end <= segment[1]:
                if place := place_of(code, fault, segment):
                    found.setdefault(place, []).append(fault)
                break
    # The outermost takes in what lies within it.
    whole = []
    for place in sorted(found, key=lambda place: (place[1], -place[2])):
        if whole and place[2] <= whole[-1][0][2]:
            whole[-1][1].extend(found[place])
        elif not whole or place[1] >= whole[-1][0][2]:
            whole.append((place, list(found[place])))
    return whole


def with_switches(text, faults, file, refused=()):
    """The text with the faults behind switches, and the numbers of those that are in it.

    `refused` has the lines of `file`, from 1, that the compiler did not take with switches in them.
    """
    out, at, numbers = [f"#line 1 \"{file}\"\n"], 0, []
    for (kind, start, end), inside in places(text, faults):
        first = text.count("\n", 0, start) + 1
        last = text.count("\n", 0, end) + 1
        if any(first <= line <= last for line in refused):
            continue
        inside.sort(key=lambda fault: fault.number)
        out += [text[at:start], written(kind, text, start, end, inside, file)]
        at = end
        numbers += [fault.number for fault in inside]
    return "".join([*out, text[at:]]), numbers
