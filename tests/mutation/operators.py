"""Small faults that a programmer might have made, one at a time, in a line of C++."""

import re

# What stands for what, with the spaces that tell an operator from a template's bracket or a pointer.
SWAPS = (
    (" == ", " != "), (" != ", " == "), (" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "),
    (" && ", " || "), (" || ", " && "), (" + ", " - "), (" - ", " + "), (" & ", " | "), (" | ", " & "),
    (" += ", " -= "), (" -= ", " += "), ("++", "--"), (" % ", " / "),
    (r"\btrue\b", "false"), (r"\bfalse\b", "true"), (r"\bstd::min\b", "std::max"), (r"\bstd::max\b", "std::min"),
)
# Lines that decide nothing at run time.
PASSED_OVER = re.compile(r"^\s*(//|\*|#|namespace\b|using\b|static_assert\b|template\b|friend\b|extern\b|public:|private:|})")
# A whole statement that leaves the program well-formed when it is taken away.
CALL = re.compile(r"^\s*(?!return\b|throw\b|using\b|const\b|auto\b|static\b|delete\b|break\b|continue\b|goto\b|case\b)"
                  r"[\w.:>\-\[\]()*]+(\(.*\)|\s(=|[-+|&^]=|<<=|>>=)\s.*);\s*(//.*)?$")
DECLARATION = re.compile(r"^\s*[\w:<>,*& ]+\s[\w]+(\{.*\}|\s=\s.*|\(.*\))?;")


def blanked(line):
    """The line with its texts and comment blanked out, so that nothing in them is taken for code."""
    line = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', lambda match: "\0" * len(match.group()), line)
    return re.sub(r"//.*$|/\*.*?\*/", lambda match: "\0" * len(match.group()), line)


def mutants(line):
    """Every way in which this line may be wrong by one small fault."""
    if PASSED_OVER.match(line) or not line.strip():
        return
    code = blanked(line)
    for old, new in SWAPS:
        pattern = old if old.startswith("\\b") else re.escape(old)
        for match in re.finditer(pattern, code):
            yield line[:match.start()] + new + line[match.end():]
    # A number one larger.
    for match in re.finditer(r"(?<![\w.'])(\d+)(?=[Uu]?[Ll]{0,2}\b)(?![\w.']*[.x'])", code):
        yield line[:match.start()] + str(int(match.group()) + 1) + line[match.end():]
    # A condition that always or never holds, or is the wrong way round.
    condition = re.match(r"^(\s*(?:\} else )?if \()(.*)(\)(?: \{| return.*;| continue;| break;| .*;)?\s*)$", code)
    if condition and ";" not in condition.group(2) and condition.group(2).count("(") == condition.group(2).count(")"):
        start, end = condition.span(2)
        for instead in ("true", "false"):
            yield line[:start] + instead + line[end:]
    for match in re.finditer(r"(?<![\w)!])!(?=[\w(])", code):
        yield line[:match.start()] + line[match.end():]
    if CALL.match(code) and (not DECLARATION.match(code) or re.match(r"^\s*[\w.\->\[\]]+\s(=|[-+|&^]=)\s", code)):
        yield re.match(r"^\s*", line).group() + ";"
