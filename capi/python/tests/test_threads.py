"""Threads: the interpreter lock is free while storage is waited for, and closing a store that others use is safe."""

import ctypes
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import tokenstore
from conftest import ALICE, HOST, times
from tokenstore import Reason

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin immediate")
print("held", flush=True)
sys.stdin.read()
"""


def steps_while(blocking):
    """How often this thread gets to run, in steps of 5 ms, while another one is inside `blocking`."""
    result = []
    thread = threading.Thread(target=lambda: result.append(blocking()))
    thread.start()
    steps = 0
    while thread.is_alive():
        time.sleep(0.005)
        steps += 1
    return steps, result[0]


def test_other_threads_run_while_a_call_waits_for_storage(tmp_path):
    path = tmp_path / "tokens.db"
    with tokenstore.open(path, busy_timeout=timedelta(milliseconds=700)) as store:
        issued, other = store.issue(ALICE, scopes=["read"]), store.issue(tokenstore.Actor.user("bob"), scopes=["read"])
        assert store.validate(other.text, "read").valid
        holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert holder.stdout.readline() == b"held\n"

        def failing(call):
            with pytest.raises(tokenstore.Unavailable):
                call()

        for call in (
            lambda: store.issue(ALICE, scopes=[]),
            lambda: store.revoke(ALICE, issued.id),
            lambda: store.suspend(HOST, "alice"),
            lambda: store.set_policy(HOST, tokenstore.Policy()),
        ):
            steps, _ = steps_while(lambda call=call: failing(call))
            assert steps > 30
        # A validation does not wait for anybody who writes; and what was to be revoked is refused here all the same.
        assert store.validate(other.text, "read").valid
        assert not store.validate(issued.text, "read").valid
        holder.communicate()
        holder.stdout.close()


def test_a_call_that_keeps_the_interpreter_lock_is_noticed():
    steps, _ = steps_while(lambda: ctypes.PyDLL(None).usleep(700_000))
    assert steps < 10


def turns_while(work):
    """How often another thread gets a turn while this one works, if nobody lets go of the interpreter lock unasked."""
    turns = [0]
    stop = threading.Event()

    def count():
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=count)
    thread.start()
    sys.setswitchinterval(60)
    try:
        time.sleep(0.01)
        before = turns[0]
        work()
        return turns[0] - before
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()


def test_a_hot_validation_keeps_the_interpreter_lock_and_any_other_lets_go_of_it(tmp_path):
    with tokenstore.open(tmp_path / "hot.db") as hot, tokenstore.open(tmp_path / "cold.db", cache_bytes=0) as cold:
        for store, expected in ((hot, range(2)), (cold, range(100, 1_000_000))):
            text = store.issue(ALICE, scopes=["read"]).text.reveal()
            assert store.validate(text, "read").valid

            def work(store=store, text=text):
                for _ in range(2000):
                    store.validate(text, "read")

            assert turns_while(work) in expected


AT_EXIT = """
import sys, threading, tokenstore
store = tokenstore.open(sys.argv[1])
alice = tokenstore.Actor.user("alice")
text = store.issue(alice, scopes=["read"]).text.reveal()
def work():
    try:
        while True:
            store.validate(text, "read")
            store.issue(alice, scopes=["read"])
    except tokenstore.Closed:
        pass
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
import time
time.sleep(0.1)
"""


def test_a_program_may_end_while_its_threads_are_inside(tmp_path):
    for turn in range(times("TOKENSTORE_PYTHON_CLOSES", 20) // 4):
        command = [sys.executable, "-c", AT_EXIT, str(tmp_path / f"{turn}.db")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_token_revoked_in_one_thread_is_refused_by_the_next_call_in_all(store):
    current = []
    wrong = []
    stop = threading.Event()
    rounds = times("TOKENSTORE_PYTHON_REVOCATIONS", 30)

    def look():
        while not stop.is_set():
            for text, ended in list(current):
                already = ended.is_set()
                verdict = store.validate(text, "read")
                if already and verdict.valid:
                    wrong.append(text)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        issued = store.issue(ALICE, scopes=["read"])
        ended = threading.Event()
        current[:] = [(issued.text.reveal(), ended)]
        assert store.validate(issued.text, "read").valid
        store.revoke(ALICE, issued.id)
        ended.set()
        assert store.validate(issued.text, "read").reason is Reason.REVOKED
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_only_so_many_win_a_race_for_the_last_tokens(store):
    store.set_policy(HOST, tokenstore.Policy(most_active_per_owner=3))
    outcomes = []

    def grab():
        try:
            outcomes.append(store.issue(ALICE, scopes=[]))
        except (tokenstore.Refused, tokenstore.Conflict) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=grab) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 32
    assert sum(isinstance(outcome, tokenstore.Issued) for outcome in outcomes) == 3


@pytest.mark.parametrize("where", ["memory", "sqlite"])
def test_closing_under_load_ends_in_closed_and_nothing_else(where, tmp_path):
    for turn in range(times("TOKENSTORE_PYTHON_CLOSES", 20)):
        store = tokenstore.open_memory() if where == "memory" else tokenstore.open(tmp_path / f"{turn}.db")
        text = store.issue(ALICE, scopes=["read"]).text.reveal()
        unexpected = []
        started = threading.Barrier(7)

        def use(call, store=store, unexpected=unexpected, started=started):
            started.wait()
            try:
                while True:
                    call()
            except tokenstore.Closed:
                pass
            except BaseException as error:
                unexpected.append(error)

        calls = [
            lambda: store.validate(text, "read"),
            lambda: store.validate(text, "read"),
            lambda: store.issue(ALICE, scopes=["read"]),
            lambda: list(store.list(HOST)),
            lambda: store.check(HOST, lambda done, total: None),
        ]
        threads = [threading.Thread(target=use, args=(call,)) for call in calls]
        closers = [threading.Thread(target=lambda: (started.wait(), store.close())) for _ in range(2)]
        for thread in threads + closers:
            thread.start()
        for thread in threads + closers:
            thread.join(60)
            assert not thread.is_alive()
        assert unexpected == []
        assert store.closed


def test_close_returns_after_the_calls_that_are_under_way(tmp_path):
    path = tmp_path / "tokens.db"
    store = tokenstore.open(path, busy_timeout=timedelta(seconds=5))
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    results = []
    waiting = threading.Thread(target=lambda: results.append(store.issue(ALICE, scopes=[]).token.owner))
    waiting.start()
    time.sleep(0.2)
    closing = threading.Thread(target=store.close)
    closing.start()
    time.sleep(0.2)
    assert closing.is_alive()
    with pytest.raises(tokenstore.Closed):
        store.statistics()
    holder.communicate()
    holder.stdout.close()
    waiting.join()
    closing.join()
    assert results == ["alice"]
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        assert connection.execute("select count(*) from sqlite_schema").fetchone()[0] > 0
    connection.close()
