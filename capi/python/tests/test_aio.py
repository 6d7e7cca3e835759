"""asyncio: what memory decides is answered in the loop, and what waits for storage never holds the loop up."""

import asyncio
import contextlib
import inspect
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import tokenstore
from conftest import ALICE, HOST
from tokenstore import Reason, aio

# Another process that holds the locks without which nobody can begin to read the database (SQLite's WAL-index: octets
# 120 to 127 of the -shm file). What asks storage meanwhile waits; nothing fails.
FREEZE = """
import fcntl, sys
with open(sys.argv[1] + "-shm", "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 8, 120)
    print("frozen", flush=True)
    sys.stdin.read()
"""


class Frozen:
    """Storage stands still for some seconds."""

    def __init__(self, path, seconds):
        self.path, self.seconds = path, seconds

    def __enter__(self):
        command = [sys.executable, "-c", FREEZE, str(self.path)]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"frozen\n"
        self.began = time.monotonic()
        self.timer = threading.Timer(self.seconds, self.holder.stdin.close)
        self.timer.start()
        return self

    def __exit__(self, *error):
        self.timer.join()
        self.holder.wait()
        self.holder.stdout.close()


@contextlib.contextmanager
def in_front():
    """This thread, and those that it starts, come before what else the machine is busy with, where that is allowed."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


async def longest_stall(until):
    """For how long the loop was late to run what was due, at worst, until the event is set."""
    worst = 0.0
    while not until.is_set():
        due = time.monotonic() + 0.001
        await asyncio.sleep(0.001)
        worst = max(worst, time.monotonic() - due)
    return worst


def stall_while(path, ask):
    """The loop's longest stall while `ask` asks storage that is frozen for 2 s, and how long that took."""

    async def main():
        done = asyncio.Event()
        watching = asyncio.ensure_future(longest_stall(done))
        await asyncio.sleep(0.01)
        with tokenstore.open(path) as store:
            # So that the text is known to nobody's memory, and whatever else is needed for an answer is there.
            text = store.issue(ALICE, scopes=["read"]).text.reveal()
            store.validate(store.issue(ALICE, scopes=["read"]).text, "read")
            frozen = await asyncio.get_running_loop().run_in_executor(None, Frozen(path, 2).__enter__)
            watching.cancel()
            watching = asyncio.ensure_future(longest_stall(done))
            await asyncio.sleep(0.01)
            verdict = await ask(store, text)
            took = time.monotonic() - frozen.began
            done.set()
            worst = await watching
            frozen.__exit__()
        assert verdict.valid
        return worst, took

    with in_front():
        return asyncio.run(main())


def test_storage_that_is_frozen_for_two_seconds_does_not_hold_the_loop_up(tmp_path):
    async def ask(store, text):
        return await aio.AsyncTokenStore(store).validate(text, "read")

    # The machine may take the processor away for longer than that. A stall of our own would be there every time.
    stalls = []
    for turn in range(5):
        worst, took = stall_while(tmp_path / f"{turn}.db", ask)
        assert took > 1.5
        stalls.append(worst)
        if worst <= 0.005:
            return
    raise AssertionError(f"the loop was held up for {stalls} s")


def test_a_call_that_is_made_in_the_loop_holds_it_up(tmp_path):
    async def ask(store, text):
        return store.validate(text, "read")

    worst, took = stall_while(tmp_path / "tokens.db", ask)
    assert worst > 1 and took > 1.5


def test_a_hot_token_is_answered_without_a_thread_and_without_a_pause():
    async def main():
        async with aio.open_memory() as store:
            issued = await store.issue(ALICE, scopes=["read"])
            assert (await store.validate(issued.text, "read")).valid
            # A coroutine that never waits ends at its first step.
            asking = store.validate(issued.text, "read")
            with pytest.raises(StopIteration) as ended:
                asking.send(None)
            assert ended.value.value.owner == "alice"
            for text, reason in ((issued.text.reveal()[:-1] + "0", None), ("pat_1", Reason.MALFORMED)):
                asking = store.validate(text, "read")
                with pytest.raises(StopIteration) as ended:
                    asking.send(None)
                assert not ended.value.value.valid and reason in (None, ended.value.value.reason)

    asyncio.run(main())


def test_everything_that_a_store_does_is_there_under_the_same_name_with_the_same_arguments():
    theirs = {name: value for name, value in vars(tokenstore.TokenStore).items() if not name.startswith("_")}
    ours = {name: value for name, value in vars(aio.AsyncTokenStore).items() if not name.startswith("_")}
    assert set(ours) - set(theirs) == {"close", "store", "try_validate", "validate"}
    assert set(theirs) - set(ours) == set()
    for name, value in theirs.items():
        if callable(value):
            arguments = [inspect.signature(each[name]).parameters for each in (theirs, ours)]
            assert list(arguments[0].values()) == list(arguments[1].values()), name


def test_a_whole_life(tmp_path):
    async def main():
        async with aio.open(tmp_path / "tokens.db", threads=2) as store:
            assert store.created_key_file is not None
            issued = await store.issue(ALICE, scopes=["read"], lifetime=timedelta(days=1), metadata=b"m")
            many = await store.issue_many(HOST, [tokenstore.Request("bob", ["read"]) for _ in range(250)])
            assert len({token.id async for token in store.list(HOST)}) == 251
            page = await store.list(HOST, limit=200)
            assert len(page) == 200 and len(await store.list(HOST, limit=200, cursor=page.next)) == 51
            assert [owner.owner async for owner in store.list_owners(HOST)] == ["alice", "bob"]
            assert (await store.list_owners(HOST, limit=1)).next
            assert (await store.get(ALICE, issued.id)).metadata == b"m"
            assert (await store.count(HOST)).active == 251
            await store.set_policy(HOST, tokenstore.Policy(most_active_per_owner=9))
            assert (await store.policy(HOST)).most_active_per_owner == 9
            assert (await store.expire(HOST, many[0].id)).state is tokenstore.State.EXPIRED
            assert (await store.revoke(ALICE, issued.id, "lost")).revoke_reason == "lost"
            assert (await store.validate(issued.text, "read")).reason is Reason.REVOKED
            assert (await store.suspend(HOST, "bob")).suspended and not (await store.resume(HOST, "bob")).suspended
            assert not (await store.set_owner(HOST, "bob", may_issue=False)).may_issue
            assert not (await store.owner(HOST, "bob")).may_issue
            assert await store.revoke_all(HOST, "bob") == 249
            await store.remove(ALICE, issued.id)
            with pytest.raises(tokenstore.NotFound):
                await store.get(ALICE, issued.id)
            assert (await store.check(HOST)).problems == 0 and (await store.reseal(HOST)).next == ""
            with pytest.raises(tokenstore.Unsupported):
                await store.heal(HOST)
            assert await store.add_key(HOST) == "0B" and not await store.reload_keys()
            await store.activate_key(HOST, "0B")
            assert (await store.reseal(HOST)).refused == 0
            await store.retire_key(HOST, "0A")
            await store.remove_key(HOST, "0A")
            assert [key.key_id for key in await store.key_status(HOST)] == ["0B"]
            assert (await store.purge(HOST, await store.now())).complete
            assert await store.maintain() in (True, False)
            assert (await store.statistics()).misses > 0 and await store.why_unavailable() is None
            assert (await store.scanner_pattern()).startswith("pat_")
            assert (store.workspace, store.prefix, store.closed) == ("default", "pat", False)
        assert store.closed
        with pytest.raises(tokenstore.Closed):
            await store.validate(issued.text, "read")
        with pytest.raises(tokenstore.Closed):
            await store.get(ALICE, issued.id)
        await store.close()

    asyncio.run(main())


def test_no_more_threads_than_it_was_given_and_a_cancelled_call_keeps_its_own(tmp_path):
    path = tmp_path / "tokens.db"

    async def main():
        async with aio.open(path, threads=2) as store:
            texts = [(await store.issue(ALICE, scopes=["read"])).text.reveal() for _ in range(8)]
            other = (await store.issue(ALICE, scopes=["read"])).text
            loop = asyncio.get_running_loop()
            frozen = await loop.run_in_executor(None, Frozen(path, 1).__enter__)
            asking = [asyncio.ensure_future(store.validate(text, "read")) for text in texts]
            await asyncio.sleep(0.2)
            ours = [each for each in threading.enumerate() if each.name.startswith("tokenstore")]
            assert len(ours) == 2
            for each in asking[:4]:
                each.cancel()
            results = await asyncio.gather(*asking, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in results[:4])
            assert all(each.valid for each in results[4:])
            await loop.run_in_executor(None, frozen.__exit__)
            # All places are free again.
            assert all(each.valid for each in await asyncio.gather(*(store.validate(text, "read") for text in texts)))
            assert (await store.validate(other, "read")).valid

    asyncio.run(main())


def test_closing_does_not_wait_for_a_place_among_calls_that_are_stuck(tmp_path):
    path = tmp_path / "tokens.db"

    async def main():
        store = await aio.open(path, threads=1)
        text = (await store.issue(ALICE, scopes=["read"])).text.reveal()
        loop = asyncio.get_running_loop()
        frozen = await loop.run_in_executor(None, Frozen(path, 1).__enter__)
        asking = [asyncio.ensure_future(store.validate(text, "read")) for _ in range(3)]
        await asyncio.sleep(0.1)
        await store.close()
        results = await asyncio.gather(*asking, return_exceptions=True)
        await loop.run_in_executor(None, frozen.__exit__)
        assert results[0].valid
        assert all(isinstance(each, tokenstore.Closed) for each in results[1:])

    asyncio.run(main())


def test_several_loops_and_a_forked_child_use_one_store(tmp_path):
    store = aio.AsyncTokenStore(tokenstore.open(tmp_path / "tokens.db"), threads=1)
    issued = [asyncio.run(store.issue(ALICE, scopes=["read"])) for _ in range(3)]
    assert asyncio.run(store.count(HOST)).active == 3
    child = os.fork()
    if child == 0:
        try:
            valid = asyncio.run(store.validate(issued[0].text, "read")).valid
            os._exit(0 if valid and asyncio.run(store.count(HOST)).active == 3 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(store.close())


def test_wrong_arguments_say_what_to_pass():
    with pytest.raises(TypeError, match="store must be a TokenStore, not str"):
        aio.AsyncTokenStore("tokens.db")
    for threads, kind in ((0, ValueError), (True, TypeError), ("4", TypeError), (10**9, ValueError)):
        with pytest.raises(kind, match="threads must be"):
            aio.open_memory(threads=threads)

    async def main():
        with pytest.raises(TypeError):
            await aio.open_memory(paht="x")
        async with aio.open_memory() as store:
            with pytest.raises(TypeError):
                await store.validate(b"pat", "read")
            with pytest.raises(TypeError, match="actor"):
                store.list("alice")

    asyncio.run(main())
