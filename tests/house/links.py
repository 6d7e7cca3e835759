"""Fails on a link in a Markdown page that leads nowhere within the tree.

    python3 links.py TREE

Looks at [text](target) and [label]: target, with their #anchors, and at names in backticks that look
like a path of this tree. Links to other hosts are not followed.
"""

import pathlib
import re
import sys

LINK = re.compile(r"!?\[(?:[^\]\\]|\\.)*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\[[^\]]+\]:\s*<?([^\s>]+)>?", re.M)
PATH = re.compile(r"`((?:\.ci|bench|capi|cmake|docs|examples|include|src|tests)/[A-Za-z0-9_./*-]*)`")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
# History names files as they were.
NAMES_NOT_CHECKED = {"CHANGELOG.md"}


def without_code(text):
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def anchors_of(text):
    """As GitHub makes them: lower case, punctuation dropped, spaces to hyphens, repeats numbered."""
    seen = {}
    anchors = set()
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", without_code(text), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        anchors.add(slug if count == 0 else f"{slug}-{count}")
    return anchors


def problem_of(tree, page, target):
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    path, _, anchor = target.partition("#")
    there = page if not path else (page.parent / path)
    resolved = there.resolve()
    if not resolved.is_relative_to(tree.resolve()):
        return f"{target} leads out of the tree"
    if not resolved.exists():
        return f"{target} does not exist"
    if anchor and resolved.suffix == ".md" and anchor not in anchors_of(resolved.read_text(encoding="utf-8")):
        return f"{target}: the page has no such heading"
    return None


def problems(tree):
    tree = pathlib.Path(tree)
    pages = [page for page in sorted(tree.rglob("*.md"))
             if page.relative_to(tree).parts[0] not in ("build", ".git") and "node_modules" not in page.parts]
    found = []
    for page in pages:
        name = page.relative_to(tree).as_posix()
        text = without_code(page.read_text(encoding="utf-8"))
        for pattern in (LINK, REFERENCE):
            for match in pattern.finditer(text):
                problem = problem_of(tree, page, match[1])
                if problem:
                    found.append(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {problem}")
        if name in NAMES_NOT_CHECKED:
            continue
        for match in PATH.finditer(text):
            if not any(tree.glob(match[1].rstrip("/"))):
                found.append(f"{name}:{text.count(chr(10), 0, match.start()) + 1}: there is no {match[1]}")
    return pages, found


def main(arguments):
    pages, found = problems(arguments[1])
    for line in found:
        print(line, file=sys.stderr)
    if not pages:
        print("no page was found: is this the tree?", file=sys.stderr)
        return 1
    print(f"{len(pages)} pages looked at, {len(found)} links lead nowhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
