"""One file in a Go process and in a server in C that forked its workers after opening it: what one of them revokes, the very
next validation of every other denies.

    python3 preforking.py TREE LIBRARY HOST FOLDER
"""

import os
import pathlib
import sys
import tempfile

import go_support

TREE, LIBRARY, HOST, FOLDER = (pathlib.Path(name).resolve() for name in sys.argv[1:5])
ROUNDS = int(os.environ.get("TOKENSTORE_GO_ROUNDS", "50"))
WORKERS = 4


def those_who_accept(everybody, text):
    """Each is asked once, in an order that begins elsewhere with each text."""
    names = sorted(everybody)
    begin = sum(text.encode()) % len(names)
    return [name for name in names[begin:] + names[:begin] if everybody[name](f"validate {text}") == "valid"]


def main():
    program = go_support.build_asker(TREE, LIBRARY, FOLDER)
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "tokens.db"
        host = go_support.Lines(HOST, path)
        go = go_support.Lines(program, path)
        everybody = {"Go": go.ask}
        for worker in range(WORKERS + 1):
            everybody[f"C {worker}"] = lambda command, worker=worker: host.ask(f"{worker} {command}")
        ending = ["Go"] + sorted(set(everybody) - {"Go"})
        living, _ = go.ask("issue alice").split()
        for number in range(ROUNDS):
            # Go ends every other one; the rest are ended by the server and its workers in turn.
            ends = "Go" if number % 2 == 0 else ending[1 + number // 2 % (len(ending) - 1)]
            issues = ending[number % len(ending)]
            text, token = everybody[issues](f"issue owner{number}").split()
            for _ in range(2):
                accept = those_who_accept(everybody, text)
                assert len(accept) == len(everybody), f"of what {issues} issued, only {accept} know"
            assert (said := everybody[ends](f"revoke {token}")) == "ok", said
            accept = those_who_accept(everybody, text)
            assert accept == [], f"{accept} accept what {ends} revoked"
            # The look-out sees who accepts: another token goes on.
            assert len(those_who_accept(everybody, living)) == len(everybody), "a token that nobody revoked is denied"
        go.close()
        host.close()
    print(f"{ROUNDS} tokens were revoked by Go and by a server in C with {WORKERS} workers, and denied by all at once")


if __name__ == "__main__":
    main()
