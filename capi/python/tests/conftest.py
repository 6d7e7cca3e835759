"""What the tests share: stores, actors, and a look-out for secrets."""

import os
import pathlib

import pytest
import tokenstore
from tokenstore import Actor

TREE = pathlib.Path(os.environ.get("TOKENSTORE_TREE", pathlib.Path(__file__).parents[3]))
HEADER = TREE / "capi" / "include" / "tokenstore.h"
ALICE = Actor.user("alice")
BOB = Actor.user("bob")
ROOT = Actor.administrator("root")
HOST = Actor.host()


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    with tokenstore.open_memory() if request.param == "memory" else tokenstore.open(tmp_path / "tokens.db") as opened:
        yield opened


@pytest.fixture
def memory():
    with tokenstore.open_memory() as opened:
        yield opened


def pieces(secret, size=8):
    """Every piece of a token's secret part that is long enough to tell something."""
    hidden = secret.rsplit("_", 1)[1]
    return {hidden[at : at + size] for at in range(len(hidden) - size + 1)}


def leaked(secret, text):
    return any(piece in text for piece in pieces(secret))


def times(name, otherwise):
    """A number of rounds: what the environment says in the slow tier."""
    return int(os.environ.get(name, otherwise))
