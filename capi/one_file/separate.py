"""Takes a .cpp file's names out of the global namespace, so that it can be one of many in one translation unit.

The shims of the C interface say `using namespace tokenstore` and keep their helpers in the unnamed namespace. In one
file with others, that would hold for all that comes after it, the host's own code in a unity build included. So
the directives go, and helpers and functions move into tokenstore::capi, where the same names mean the same things. C
functions are the same functions in any namespace.
"""

import re

DIRECTIVE = re.compile(r"using namespace tokenstore(::capi)?;\Z")
STAYS = re.compile(r"#|namespace tokenstore\b|\Z")
C_FUNCTION = re.compile(r"(?!namespace\b|static_assert\b)\w[^;{}()]*?\btokenstore_\w+\(")
# Of a handle, which is a type of the global namespace.
MEMBER = re.compile(r"[^;{}()]*?\btokenstore_\w+::\w+\(")
WITHIN_MEMBER = " using namespace tokenstore; using namespace tokenstore::capi;"
# What holds braces and semicolons that mean nothing, or is one that does.
TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"|"(?:\\.|[^"\\\n])*"|'
    r"'(?:\\.|[^'\\\n])+'|\b\d[\w'.]*|[{}();]", re.S)
COMMENTS = re.compile(r"(?:\s|//[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.S)
LINE_OF_PREPROCESSOR = re.compile(r"#(?:[^\n]*\\\n)*[^\n]*(?:\n|\Z)")


def pieces(text):
    """What the top level holds, as comments before it and code: declarations and lines of the preprocessor."""
    begin = 0
    while begin < len(text):
        start = COMMENTS.match(text, begin).end()
        end = end_of_piece(text, start)
        yield text[begin:start], text[start:end]
        begin = end


def end_of_piece(text, start):
    line = LINE_OF_PREPROCESSOR.match(text, start)
    if line:
        return line.end()
    depth = 0
    for token in TOKEN.finditer(text, start):
        depth += {"{": 1, "(": 1, "}": -1, ")": -1}.get(token[0], 0)
        if depth == 0 and (token[0] == ";" or (token[0] == "}" and not text.startswith(";", token.end()))):
            return token.end()
    return len(text)


def separated(text):
    """The same file without a directive at the top level; one that has none stays as it is."""
    if not any(DIRECTIVE.match(code) for _, code in pieces(text)):
        return text
    result = []
    inside = False
    for comments, code in pieces(text):
        if DIRECTIVE.match(code):
            result.append(comments)
            continue
        member = MEMBER.match(code) and not STAYS.match(code)
        moves = not member and not STAYS.match(code)
        if moves != inside:
            result.append("\n\nnamespace tokenstore::capi {" if moves else "\n\n}  // namespace tokenstore::capi")
            inside = moves
        if member:
            at = code.index("{") + 1
            code = code[:at] + WITHIN_MEMBER + code[at:]
        elif moves and C_FUNCTION.match(code):
            # Once more, because compilers do not take it from the declaration outside.
            code = 'extern "C" TOKENSTORE_API ' + code
        result.append(comments + code)
    if inside:
        result.append("\n\n}  // namespace tokenstore::capi\n")
    return "".join(result)
