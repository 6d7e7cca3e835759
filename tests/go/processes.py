"""One file in a Go process, a Python process that forks children after opening it, and the command, which is C++, at once: what
one of them ends, none of the others accepts any more.

    TOKENSTORE=command PYTHONPATH=package python3 processes.py TREE LIBRARY FOLDER
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import go_support
import tokenstore
from tokenstore import Actor

TREE, LIBRARY, FOLDER = (pathlib.Path(name).resolve() for name in sys.argv[1:4])
ROUNDS = int(os.environ.get("TOKENSTORE_GO_ROUNDS", "50"))


class Child:
    """A child that a host forked after it had opened its store, as servers do that fork workers."""

    def __init__(self, store):
        asking, self.asks = os.pipe()
        self.answers, answering = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.asks)
            os.close(self.answers)
            with os.fdopen(asking) as texts, os.fdopen(answering, "w") as answers:
                for text in texts:
                    if text == "\n":
                        break  # not the end of the file: a later child holds this one's pipe open
                    verdict = store.validate(text.strip(), "read")
                    answers.write("valid\n" if verdict.valid else "denied\n")
                    answers.flush()
            os._exit(0)
        os.close(asking)
        os.close(answering)
        self.asks, self.answers = os.fdopen(self.asks, "w"), os.fdopen(self.answers)

    def validate(self, text):
        self.asks.write(text + "\n")
        self.asks.flush()
        return self.answers.readline().strip()

    def close(self):
        self.asks.write("\n")
        self.asks.close()
        assert os.waitpid(self.pid, 0)[1] == 0


def command(path, *arguments):
    done = subprocess.run([os.environ["TOKENSTORE"], *arguments], text=True, capture_output=True, timeout=60,
                          env={**os.environ, "TOKENSTORE_DB": str(path)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def main():
    program = go_support.build_asker(TREE, LIBRARY, FOLDER)
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "tokens.db"
        store = tokenstore.open(str(path))
        # Before the Go process is started: a child would else hold its pipes.
        children = [Child(store), Child(store)]
        asker = go_support.Lines(program, path)
        host = Actor.host()
        for number in range(ROUNDS):
            text, token = asker.ask(f"issue alice{number}").split()
            everybody = {"Go": lambda: asker.ask(f"validate {text}"),
                         "Python": lambda: "valid" if store.validate(text, "read").valid else "denied",
                         "a child": lambda: children[0].validate(text), "another": lambda: children[1].validate(text)}
            for who, ask in everybody.items():
                for _ in range(2):
                    assert ask() == "valid", f"{who} denies a new token"
            ending = ["Go", "Python", "the command"][number % 3]
            if ending == "Go":
                assert asker.ask(f"revoke {token}") == "ok"
            elif ending == "Python":
                store.revoke(host, token)
            else:
                command(path, "revoke", token)
            for who, ask in everybody.items():
                assert ask() != "valid", f"{who} accepts what {ending} revoked"
        asker.close()
        for child in children:
            child.close()
        store.close()
    print(f"{ROUNDS} tokens were revoked by Go, Python and the command, and denied by all")


if __name__ == "__main__":
    main()
