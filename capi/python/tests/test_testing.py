"""tokenstore.testing, as those use it who test their own code: by the entry point, and by hand."""

import asyncio
import doctest
import os
import pathlib
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import tokenstore
import tokenstore.testing
from conftest import ALICE, HOST, TREE
from tokenstore import Outcome, Reason, aio
from tokenstore.testing import open_faulty

THEIRS = '''
from datetime import timedelta
import pytest
import tokenstore


def test_a_token_in_one_line(tokenstore_store, tokenstore_token):
    assert tokenstore_store.validate(tokenstore_token("notes:read").text, "notes:read").owner == "alice"
    assert tokenstore_token("notes:read", owner="bob", description="laptop").token.description == "laptop"


def test_the_clock_is_the_test_s(tokenstore_store, tokenstore_token, tokenstore_clock):
    issued = tokenstore_token("notes:read", lifetime=timedelta(days=90))
    tokenstore_clock.advance(timedelta(days=90) - timedelta(milliseconds=1))
    assert tokenstore_store.validate(issued.text, "notes:read").valid
    tokenstore_clock.advance(timedelta(milliseconds=1))
    assert str(tokenstore_store.validate(issued.text, "notes:read").reason) == "expired"


def test_storage_fails_on_demand(tokenstore_store, tokenstore_token, tokenstore_storage):
    issued = tokenstore_token("notes:read")
    with tokenstore_storage.failing():
        assert tokenstore_store.validate(issued.text, "notes:read").http_status == 503
        with pytest.raises(tokenstore.Unavailable):
            tokenstore_token("notes:read")
    assert tokenstore_store.validate(issued.text, "notes:read").valid


def test_every_test_has_its_own_store(tokenstore_store):
    assert list(tokenstore_store.list(tokenstore.Actor.host())) == []


def test_one_that_fails(tokenstore_store, tokenstore_token):
    assert not tokenstore_store.validate(tokenstore_token("notes:read").text, "notes:read").valid
'''


def entry_points():
    """Those of pyproject.toml, as an installation lays them down."""
    lines = (TREE / "capi" / "python" / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    begin = lines.index("[project.entry-points.pytest11]") + 1
    return "[pytest11]\n" + "\n".join(line.replace('"', "") for line in lines[begin : lines.index("", begin)]) + "\n"


def run_theirs(folder, installed):
    (folder / "test_theirs.py").write_text(THEIRS)
    if installed:
        info = folder / "site" / "tokenstore-0.dist-info"
        info.mkdir(parents=True)
        (info / "entry_points.txt").write_text(entry_points())
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tokenstore\nVersion: 0\n")
    path = [str(folder / "site"), str(pathlib.Path(tokenstore.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_theirs.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


def test_the_fixtures_are_there_once_the_package_is_installed(tmp_path):
    output = run_theirs(tmp_path, installed=True)
    assert "1 failed, 4 passed" in output, output
    assert "FAILED test_theirs.py::test_one_that_fails" in output


def test_without_the_entry_point_they_are_not(tmp_path):
    assert "fixture 'tokenstore_store' not found" in run_theirs(tmp_path, installed=False)


def test_the_docstring_shows_what_happens():
    results = doctest.testmod(tokenstore.testing)
    assert results.attempted > 0 and results.failed == 0


def test_while_storage_fails_everything_says_so_and_nothing_changes():
    store, storage = open_faulty()
    with store:
        issued = store.issue(ALICE, scopes=["read"])
        assert store.validate(issued.text, "read").valid  # memory knows it now
        with storage.failing():
            verdict = store.validate(issued.text, "read")
            assert (verdict.outcome, verdict.reason) == (Outcome.UNAVAILABLE, Reason.STORAGE)
            assert "told to fail" in store.why_unavailable().message
            for call in (
                lambda: store.issue(ALICE, scopes=["read"]),
                lambda: store.get(ALICE, issued.id),
                lambda: list(store.list(HOST)),
                lambda: store.count(HOST),
                lambda: store.owner(HOST, "alice"),
                lambda: store.suspend(HOST, "bob"),
                lambda: store.policy(HOST),
                lambda: store.purge(HOST, store.now()),
                lambda: store.check(HOST),
            ):
                with pytest.raises(tokenstore.Unavailable, match="told to fail"):
                    call()
            with storage.failing():
                pass
            assert store.validate(issued.text, "read").http_status == 503
        assert store.validate(issued.text, "read").valid
        assert store.count(HOST).active == 1


def test_a_token_whose_revocation_storage_refused_is_refused_afterwards_too():
    store, storage = open_faulty()
    with store:
        issued = store.issue(ALICE, scopes=["read"])
        with storage.failing(), pytest.raises(tokenstore.Unavailable):
            store.revoke(ALICE, issued.id)
        assert not store.validate(issued.text, "read").valid


def test_storage_that_waits_holds_up_what_asks_it_and_nothing_else():
    store, storage = open_faulty()
    with store:
        known, other = (store.issue(ALICE, scopes=["read"]) for _ in range(2))
        assert store.validate(known.text, "read").valid
        with storage.waiting(timedelta(milliseconds=300)):
            asked, began = storage.calls, time.monotonic()
            assert store.validate(known.text, "read").valid
            assert time.monotonic() - began < 0.2 and storage.calls == asked
            assert store.validate(other.text, "read").valid
            assert time.monotonic() - began >= 0.3 and storage.calls > asked
        began = time.monotonic()
        store.get(ALICE, other.id)
        assert time.monotonic() - began < 0.2
    for delay in (timedelta(0), timedelta(seconds=-1)):
        with pytest.raises(ValueError, match="delay must be"):
            storage.waiting(delay).__enter__()


def test_an_event_loop_goes_on_while_storage_waits():
    async def main():
        store, storage = open_faulty()
        async with aio.AsyncTokenStore(store) as opened:
            issued = await opened.issue(ALICE, scopes=["read"])
            with storage.waiting(timedelta(milliseconds=300)):
                asking = asyncio.ensure_future(opened.validate(issued.text, "read"))
                steps = 0
                while not asking.done():
                    await asyncio.sleep(0.005)
                    steps += 1
                assert (await asking).valid and steps > 15

    asyncio.run(main())


def test_stores_and_their_storage_may_go_in_any_order_and_from_any_thread():
    for turn in range(50):
        store, storage = open_faulty(cache_bytes=1 << 16)
        text = store.issue(ALICE, scopes=["read"]).text
        if turn % 2:
            del storage
            assert store.validate(text, "read").valid
            store.close()
        else:
            thread = threading.Thread(target=store.close)
            thread.start()
            thread.join()
            del store
            with storage.failing():
                assert storage.calls > 0
    tokenstore.testing.FaultyStorage()._backend()  # never opened
