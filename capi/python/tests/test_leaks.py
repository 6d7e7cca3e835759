"""Memory stays flat however often anything is called, whether it succeeds or raises.

Counted are Python's own allocated blocks and the memory of the process, which the library's own allocations are part
of; and references in all, where interpreter and extension count them: count_references sees to that.
"""

import ctypes
import gc
import os
import sys
from datetime import timedelta

import pytest
import tokenstore
from conftest import ALICE, HOST, ROOT, times
from tokenstore import ManualClock, Policy, Request

ROUNDS = times("TOKENSTORE_PYTHON_LEAK_ROUNDS", 1000)
references = sys.gettotalrefcount if "TOKENSTORE_PYTHON_COUNT_REFERENCES" in os.environ else lambda: 0


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def grown(call, rounds):
    """What so many calls leave behind: blocks, references and bytes. The least of three tries: others allocate too."""
    for _ in range(100):
        call()
    least = [float("inf")] * 3
    for _ in range(3):
        gc.collect()
        before = sys.getallocatedblocks(), references(), resident()
        for _ in range(rounds):
            call()
        gc.collect()
        after = sys.getallocatedblocks(), references(), resident()
        least = [min(old, new - was) for old, new, was in zip(least, after, before)]
    return least


def flat(call, rounds=None):
    rounds = rounds or ROUNDS
    blocks, total, memory = grown(call, rounds)
    # Less than one for each hundred calls, but a few for whatever the test itself keeps.
    assert blocks < rounds / 100 + 20
    assert total < rounds / 100 + 20
    assert memory < (2 << 20) + rounds * 8


def refused(call):
    try:
        call()
    except (tokenstore.Error, TypeError, ValueError):
        return
    raise AssertionError("it was not refused")


@pytest.fixture(scope="module")
def used():
    with tokenstore.open_memory(clock=ManualClock()) as store:
        yield store, store.issue(ALICE, scopes=["read"], metadata=b"m"), store.issue(ALICE, scopes=["read"])


def everything(store, issued, ended):
    text = issued.text.reveal()
    verdict = store.validate(text, "read")
    bad = "pat_" + text[4:][::-1]
    keyring = tokenstore.Keyring.from_bytes(bytes(32))
    return {
        "validate": lambda: store.validate(text, "read"),
        "validate with names": lambda: store.validate(text=text, scope="read", client_address="192.0.2.1"),
        "validate a secret": lambda: store.validate(issued.text, "read"),
        "validate a bad text": lambda: store.validate(bad, "read"),
        "try_validate": lambda: store.try_validate(text, "read"),
        "all of a verdict": lambda: (
            [getattr(verdict, name) for name in dir(verdict) if name[0] != "_"] + [repr(verdict)]
        ),
        "a verdict as a bool": lambda: refused(lambda: bool(verdict)),
        "a verdict compared": lambda: refused(lambda: verdict == True),  # noqa: E712
        "no text": lambda: refused(lambda: store.validate(None, "read")),
        "half a surrogate pair": lambda: refused(lambda: store.validate("\ud800", "read")),
        "a wrong name": lambda: refused(lambda: store.validate(text, "read", client="x")),
        "reveal": lambda: issued.text.reveal(),
        "show a secret": lambda: f"{issued.text} {issued.text!r}",
        "get": lambda: store.get(ALICE, issued.id),
        "not found": lambda: refused(lambda: store.get(ALICE, "0" * 16)),
        "expire": lambda: store.expire(ALICE, ended.id),
        "revoke": lambda: store.revoke(ALICE, ended.id),
        "a page": lambda: store.list(ALICE, limit=2),
        "all pages": lambda: list(store.list(ALICE)),
        "a bad cursor": lambda: refused(lambda: store.list(ALICE, limit=2, cursor="x")),
        "count": lambda: store.count(ALICE),
        "owner": lambda: store.owner(ROOT, "alice"),
        "owners": lambda: list(store.list_owners(ROOT)),
        "set_owner": lambda: store.set_owner(ROOT, "bob"),
        "suspend and resume": lambda: (store.suspend(ROOT, "bob"), store.resume(ROOT, "bob")),
        "policy": lambda: store.policy(ROOT),
        "set_policy": lambda: store.set_policy(ROOT, Policy()),
        "purge": lambda: store.purge(ROOT, store.now() - timedelta(days=9)),
        "maintain": lambda: store.maintain(),
        "reseal": lambda: store.reseal(ROOT),
        "key_status": lambda: store.key_status(HOST),
        "keys that cannot be changed": lambda: (
            refused(lambda: store.add_key(HOST)),
            refused(lambda: store.activate_key(HOST, "0A")),
            refused(lambda: store.retire_key(HOST, "0A")),
            refused(lambda: store.remove_key(HOST, "0A")),
            refused(lambda: store.reload_keys()),
        ),
        "refused to heal": lambda: refused(lambda: store.heal(HOST, lambda done, total: None)),
        "check": lambda: store.check(ROOT, lambda done, total: None),
        "statistics": lambda: store.statistics(),
        "why_unavailable": lambda: store.why_unavailable(),
        "names": lambda: (store.workspace, store.prefix, store.created_key_file, store.scanner_pattern(), repr(store)),
        "keyring": lambda: tokenstore.Keyring.from_text(keyring.reveal_text()).keys(),
        "a bad key": lambda: refused(lambda: tokenstore.Keyring.from_bytes(b"short")),
        "refused to issue": lambda: refused(lambda: store.issue(tokenstore.Actor.user("bob"), owner="x", scopes=[])),
        "refused to issue many": lambda: refused(
            lambda: store.issue_many(HOST, [Request("a", ["read"]), Request("", [])])
        ),
    }


NAMES = list(everything(tokenstore.open_memory(), *[tokenstore.open_memory().issue(ALICE, scopes=[])] * 2))


@pytest.mark.parametrize("name", NAMES)
def test_calls_leave_nothing_behind(used, name):
    slow = name in ("check", "purge", "reseal", "maintain", "key_status")
    flat(everything(*used)[name], max(ROUNDS // 10, 50) if slow else ROUNDS)


def test_issued_tokens_leave_nothing_behind_but_themselves(tmp_path):
    # On a file, so that the tokens are not in memory.
    durability = tokenstore.Durability.SURVIVES_CRASH_BUT_NOT_POWER_CUT
    with tokenstore.open(tmp_path / "tokens.db", durability=durability) as store:
        flat(lambda: store.issue(ALICE, scopes=["read"]).text.wipe(), max(ROUNDS // 4, 100))
        many = [Request("alice", ["read"])] * 20
        flat(lambda: store.issue_many(HOST, many), max(ROUNDS // 20, 20))


def test_opening_and_closing_leaves_nothing_behind(tmp_path):
    flat(lambda: tokenstore.open_memory().close(), max(ROUNDS // 10, 50))
    flat(lambda: tokenstore.open_memory(), max(ROUNDS // 10, 50))
    path = tmp_path / "tokens.db"
    flat(lambda: tokenstore.open(path).close(), 50)
    flat(lambda: refused(lambda: tokenstore.open(path, key=bytes(32))), 50)


def test_many_validates_leave_the_memory_of_the_process_as_it_was(used):
    store, issued, _ = used
    text = issued.text.reveal()
    rounds = times("TOKENSTORE_PYTHON_VALIDATES", 200_000)
    assert store.validate(text, "read").valid
    gc.collect()
    before = resident()
    for _ in range(rounds):
        store.validate(text, "read").owner
    assert resident() - before < 1 << 20


def test_a_call_that_leaks_is_noticed():
    kept = []
    with pytest.raises(AssertionError):
        flat(lambda: kept.append([object()]), 2000)


def test_a_reference_that_leaks_is_noticed():
    with pytest.raises(AssertionError):
        flat(lambda: ctypes.pythonapi.Py_IncRef(ctypes.py_object([])), 2000)
