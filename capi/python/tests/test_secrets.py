"""A token's text is shown once, on purpose, and by nothing else."""

import copy
import io
import json
import logging
import pickle
import string
import sys
import traceback

import pytest
import tokenstore
from conftest import ALICE, HOST, leaked


# Where no traceback of this file looks.
REVEALED = []


@pytest.fixture
def issued(memory):
    return memory.issue(ALICE, scopes=["read"], description="laptop")


def ways_to_show(thing):
    stream = io.StringIO()
    logger = logging.Logger("secrets")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("%s %r %d" if isinstance(thing, int) else "%s %r", thing, thing)
    print(thing, file=stream)
    yield stream.getvalue()
    yield repr(thing)
    yield str(thing)
    yield f"{thing} {thing!r} {thing!a}"
    yield "%s %r" % (thing, thing)
    yield "{} {!r}".format(thing, thing)
    yield string.Template("$x").substitute(x=thing)
    yield json.dumps([thing], default=str)
    yield repr([thing, {"a": thing}])
    yield repr(dir(thing))
    yield repr([getattr(thing, name) for name in dir(thing) if name not in ("reveal", "__doc__")])


def test_no_way_of_showing_it_shows_the_secret(issued):
    text = issued.text.reveal()
    for thing in (issued, issued.text):
        for shown in ways_to_show(thing):
            assert not leaked(text, shown)
    assert f"{issued.text:>40}" == repr(issued.text)


def test_the_look_out_sees_a_secret_that_is_shown(issued):
    text = issued.text.reveal()
    assert any(leaked(text, shown) for shown in ways_to_show(text))


def test_it_is_neither_pickled_nor_copied_nor_turned_into_json(issued):
    for thing in (issued, issued.text):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(thing, protocol)
        with pytest.raises(TypeError):
            copy.deepcopy(thing)
        with pytest.raises(TypeError):
            json.dumps(thing)
    with pytest.raises(TypeError):
        copy.copy(issued.text)
    for use in (bytes, list, len, int, iter, lambda s: s + "", lambda s: s[0], lambda s: b"" + s, memoryview):
        with pytest.raises(TypeError):
            use(issued.text)


def test_it_is_not_compared_with_a_text(issued):
    text = issued.text.reveal()
    for use in (lambda s: s == text, lambda s: text == s, lambda s: s != text, lambda s: s < s, lambda s: s in ("a",)):
        with pytest.raises(TypeError, match="validate"):
            use(issued.text)
    assert issued.text == issued.text


def test_a_traceback_with_its_locals_does_not_show_it(memory):
    def fail():
        issued = memory.issue(ALICE, scopes=["read"])
        REVEALED.append(issued.text.reveal())
        raise tokenstore.Refused("no")

    try:
        fail()
    except tokenstore.Refused as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "issued = " in shown
    assert not leaked(REVEALED.pop(), shown)


def test_wiping_it_ends_it(memory, issued):
    text = issued.text.reveal()
    issued.text.wipe()
    issued.text.wipe()
    for use in (issued.text.reveal, lambda: memory.validate(issued.text, "read")):
        with pytest.raises(ValueError, match="wiped"):
            use()
    assert memory.validate(text, "read").valid


def memory_of_this_process():
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            place, mode = line.split()[:2]
            if "rw" not in mode or "[v" in line:
                continue
            begin, end = (int(part, 16) for part in place.split("-"))
            try:
                memory.seek(begin)
                yield memory.read(end - begin)
            except (OSError, OverflowError):
                continue


PROBE = """
import sys
from test_secrets import memory_of_this_process
import tokenstore
from conftest import ALICE
store = tokenstore.open_memory()
issued = store.issue(ALICE, scopes=["read"])
hidden = bytearray(issued.text.reveal()[-30:].encode())
for place in range(len(hidden)): hidden[place] ^= 0x5A
if sys.argv[1] == "wipe": issued.text.wipe()
if sys.argv[1] == "drop": del issued
def found():
    wanted = bytes(byte ^ 0x5A for byte in hidden)
    count = sum(part.count(wanted) for part in memory_of_this_process())
    return count
print(found())
"""


@pytest.mark.parametrize("how", ["wipe", "drop", "keep"])
def test_a_secret_that_was_wiped_or_dropped_is_in_memory_no_more_than_what_python_keeps(how, tmp_path):
    """reveal() and the look-out itself leave copies that nobody can wipe; the kept secret is one more than those."""
    import os
    import subprocess

    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([*sys.path, os.path.dirname(__file__)]))
    counts = {}
    for each in (how, "keep"):
        done = subprocess.run(
            [sys.executable, "-c", PROBE, each], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        counts[each] = int(done.stdout)
    if how == "keep":
        assert counts["keep"] > 0
    else:
        assert counts[how] < counts["keep"]


def test_errors_never_repeat_a_token(memory, issued):
    text = issued.text.reveal()
    calls = [
        lambda: memory.validate(text + "\ud800", "read"),
        lambda: memory.validate(text.encode(), "read"),
        lambda: memory.validate("x", text + "\udfff"),
        lambda: memory.get(HOST, text),
        lambda: memory.revoke(HOST, text, reason=text + "\n"),
        lambda: memory.issue(HOST, owner="a", scopes=[text + '"']),
        lambda: memory.issue(HOST, owner="a" * 300 + text, scopes=[]),
        lambda: memory.issue(HOST, owner=text + "\0", scopes=[]),
        lambda: memory.list(HOST, cursor=text, limit=5),
        lambda: tokenstore.Keyring.from_text(text),
        lambda: tokenstore.Keyring.from_bytes(text.encode(), id=text),
        lambda: tokenstore.open_memory(prefix=text),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError, tokenstore.Error)) as caught:
            call()
        shown = "".join(traceback.TracebackException.from_exception(caught.value).format())
        # The lines of this file name the variable, not its value.
        assert not leaked(text, shown)
        assert not leaked(text, repr(caught.value.args))
        assert caught.value.__context__ is None or not leaked(text, repr(caught.value.__context__))


def test_no_secret_lies_in_the_database(tmp_path):
    with tokenstore.open(tmp_path / "tokens.db") as store:
        text = store.issue(ALICE, scopes=["read"]).text.reveal()
        assert store.validate(text, "read").valid
        files = [path for path in tmp_path.iterdir() if path.is_file()]
        assert len(files) >= 3
        for path in files:
            assert not leaked(text, path.read_bytes().decode("latin-1")), path.name
