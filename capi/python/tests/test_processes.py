"""Forks, spawned processes, interpreters, and one file that programs in three languages use at once."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
import threading

import pytest
import tokenstore
from conftest import ALICE, HOST, times
from tokenstore import Reason

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def in_child(function):
    """What the function says in a forked child: "" for well, else what went wrong."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            try:
                function()
                said = b""
            except BaseException as error:
                said = f"{type(error).__name__}: {error}".encode()
            os.write(writing, said)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    status = os.waitpid(pid, 0)[1]
    return said if status == 0 else f"status {status}"


def test_a_store_works_in_a_forked_child_and_the_parent_is_unharmed(store):
    issued = store.issue(ALICE, scopes=["read"])
    assert store.validate(issued.text, "read").valid

    def child():
        assert store.validate(issued.text, "read").valid
        mine = store.issue(ALICE, scopes=["read"])
        assert store.validate(mine.text, "read").valid
        store.close()
        try:
            store.validate(issued.text, "read")
        except tokenstore.Closed:
            return
        raise AssertionError("a closed store answered")

    for _ in range(5):
        assert in_child(child) == ""
        assert store.validate(issued.text, "read").valid
    assert store.check(HOST).problems == 0


def test_what_a_forked_child_says_of_a_failure_is_noticed():
    assert in_child(lambda: 1 / 0).startswith("ZeroDivisionError")
    assert in_child(lambda: os.kill(os.getpid(), 9)) == "status 9"


def test_a_child_on_the_same_file_revokes_for_its_parent(tmp_path):
    with tokenstore.open(tmp_path / "tokens.db") as store:
        issued = store.issue(ALICE, scopes=["read"])
        assert store.validate(issued.text, "read").valid
        assert in_child(lambda: store.revoke(ALICE, issued.id)) == ""
        assert store.validate(issued.text, "read").reason is Reason.REVOKED


def test_forks_while_threads_are_inside_the_store(store):
    text = store.issue(ALICE, scopes=["read"]).text.reveal()
    stop = threading.Event()
    wrong = []

    def work():
        try:
            while not stop.is_set():
                mine = store.issue(ALICE, scopes=["read"])
                if not store.validate(mine.text, "read").valid:
                    wrong.append("a fresh token was refused")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()

    def child():
        # A child that the fork could not wait for is told so; it never hangs or crashes.
        if store.validate(text, "read").outcome is tokenstore.Outcome.INVALID:
            raise AssertionError("a good token was called bad")
        store.close()

    for _ in range(times("TOKENSTORE_PYTHON_FORKS", 20)):
        assert in_child(child) == ""
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def answer(path, text, queue):
    with tokenstore.open(path) as store:
        queue.put(store.validate(text, "read").owner)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_by_each_way_of_starting(method, tmp_path):
    with tokenstore.open(tmp_path / "tokens.db") as store:
        text = store.issue(ALICE, scopes=["read"]).text.reveal()
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=answer, args=(str(tmp_path / "tokens.db"), text, queue))
        process.start()
        assert queue.get(timeout=60) == "alice"
        process.join(60)
        assert process.exitcode == 0
        assert store.validate(text, "read").valid
        queue.close()
        queue.join_thread()
        with pytest.raises(TypeError, match="other process"):
            context.Process(target=print, args=(store,)).start() if method != "fork" else store.__reduce_ex__(2)


INTERPRETERS = """
import sys
path = sys.argv[1]
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
run = getattr(interpreters, "run_string")
import tokenstore
mine = tokenstore.open(path)
text = mine.issue(tokenstore.Actor.user("alice"), scopes=["read"]).text.reveal()
PROGRAM = '''
try:
    import tokenstore
except ImportError as error:
    assert "subinterpreter" in str(error), error
else:
    with tokenstore.open(path) as store:
        assert store.validate(text, "read").reason is tokenstore.Reason.NONE
        try:
            store.validate(None, "read")
        except TypeError:
            pass
        try:
            store.get(tokenstore.Actor.host(), "0" * 16)
        except tokenstore.NotFound:
            pass
        store.close()
    left_open = tokenstore.open(path)
    assert left_open.validate(text, "read").valid
'''
for _ in range(3):
    id = interpreters.create()
    failure = run(id, f"path = {path!r}; text = {text!r}" + PROGRAM)
    assert failure is None, failure
    interpreters.destroy(id)
    assert mine.validate(text, "read").reason is tokenstore.Reason.NONE
mine.close()
print("done")
"""


def test_two_interpreters_in_one_process_work_or_are_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETERS, str(tmp_path / "tokens.db")], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


SERVE = """
import sys, tokenstore
store, host = tokenstore.open(sys.argv[1]), tokenstore.Actor.host()
for line in sys.stdin:
    verb, what = line.split()
    if verb == "issue":
        issued = store.issue(host, owner=what, scopes=["read"])
        print(issued.id, issued.text.reveal(), flush=True)
    elif verb == "revoke":
        print(store.revoke(host, what).state, flush=True)
    else:
        print(store.validate(what, "read").outcome, flush=True)
"""


def test_one_file_in_four_processes_of_three_languages(tmp_path):
    path = str(tmp_path / "tokens.db")
    tokenstore.open(path).close()
    commands = [
        [os.environ["ASKER_C"], path],
        [os.environ["ASKER_CPP"], path],
        [sys.executable, "-c", SERVE, path],
        [sys.executable, "-c", SERVE, path],
    ]
    users = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for command in commands
    ]

    def ask(user, verb, what):
        user.stdin.write(f"{verb} {what}\n")
        return user.stdout.readline().split()

    for turn in range(times("TOKENSTORE_PYTHON_LANGUAGES", 40)):
        issuer, revoker = users[turn % 4], users[(turn // 4) % 4]
        id, text = ask(issuer, "issue", "alice")
        for _ in range(2):
            assert [ask(user, "validate", text) for user in users] == [["valid"]] * 4
        assert ask(revoker, "revoke", id) == ["revoked"]
        assert [ask(user, "validate", text) for user in users] == [["invalid"]] * 4
    for user in users:
        user.communicate(timeout=60)
        assert user.returncode == 0


def test_the_programs_of_the_other_languages_are_there():
    for name in ("ASKER_C", "ASKER_CPP"):
        assert pathlib.Path(os.environ[name]).is_file()
