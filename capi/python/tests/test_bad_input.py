"""Whatever is passed: the right thing happens, or an exception says what to pass."""

from datetime import date, datetime, timedelta, timezone

import pytest
import tokenstore
from conftest import ALICE, HOST, ROOT
from tokenstore import Actor, Policy, Request

DAY = timedelta(days=1)
NO_TEXT = [b"bytes", bytearray(b"b"), None, True, 7, 1.5, ["a"], object()]
NAIVE = datetime(2030, 1, 1)
HUGE = 1 << 80


def refused(call, kind=TypeError):
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert message and "\n" not in message and len(message) < 200
    return message


@pytest.mark.parametrize("wrong", NO_TEXT, ids=repr)
def test_no_text_is_a_type_error_that_names_the_argument(memory, wrong):
    assert "token text must be a str" in refused(lambda: memory.validate(wrong, "read"))
    assert "scope must be a str" in refused(lambda: memory.validate("x", wrong))
    if wrong is not None:
        assert "client_address" in refused(lambda: memory.validate("x", "read", client_address=wrong))
    assert "id" in refused(lambda: memory.get(HOST, wrong))
    assert "reason" in refused(lambda: memory.revoke(HOST, "0" * 16, reason=wrong))
    assert "owner" in refused(lambda: memory.suspend(HOST, wrong))
    assert "description" in refused(lambda: memory.issue(ALICE, scopes=[], description=wrong))
    assert "scope" in refused(lambda: memory.issue(ALICE, scopes=[wrong]))
    assert "name" in refused(lambda: Actor.user(wrong))
    assert "cursor" in refused(lambda: memory.list(HOST, limit=1, cursor=wrong))


def test_half_a_surrogate_pair_is_a_value_error(memory):
    for call in (
        lambda: memory.validate("\ud800", "read"),
        lambda: memory.validate("x", "\udc80"),
        lambda: memory.validate("x", "read", client_address="\udfff"),
        lambda: memory.issue(Actor.user("\ud800"), scopes=[]),
        lambda: memory.issue(ALICE, scopes=["\ud800"]),
        lambda: tokenstore.open("/nonexistent/\udc80.db"),
    ):
        assert "surrogate" in refused(call, ValueError)


def test_one_text_is_no_list_of_scopes(memory):
    for scopes in ("read write", "", b"read"):
        assert '["notes:read"]' in refused(lambda scopes=scopes: memory.issue(ALICE, scopes=scopes))
    assert "list" in refused(lambda: memory.issue(ALICE, scopes=None))
    for scopes in ([""], ["a b"], ["a", " "]):
        assert "one word" in refused(lambda scopes=scopes: memory.issue(ALICE, scopes=scopes), ValueError)
    refused(lambda: memory.issue(ALICE), TypeError)
    assert memory.issue(ALICE, scopes=(scope for scope in {"a": 1})).token.scopes == ("a",)


def test_times_are_aware_and_durations_are_timedeltas(memory):
    for call in (
        lambda t: memory.issue(ALICE, scopes=[], not_before=t),
        lambda t: memory.expire(ALICE, "0" * 16, at=t),
        lambda t: memory.purge(ROOT, ended_before=t),
    ):
        assert "aware" in refused(lambda call=call: call(NAIVE), ValueError)
        for wrong in (0, 1.5, "2030-01-01", date(2030, 1, 1), True, timedelta(1)):
            assert "datetime" in refused(lambda call=call, wrong=wrong: call(wrong))
    assert "aware" in refused(lambda: tokenstore.ManualClock(NAIVE), ValueError)
    for wrong in (0, -1, True, 3600, 1.5, None, "1h"):
        assert "timedelta" in refused(lambda wrong=wrong: memory.issue(ALICE, scopes=[], lifetime=wrong))
    for wrong in (5, True, "1s"):
        assert "timedelta" in refused(lambda wrong=wrong: memory.maintain(budget=wrong))
        assert "timedelta" in refused(lambda wrong=wrong: tokenstore.open_memory(use_interval=wrong))


def test_the_ends_of_time_are_no_trap(memory):
    for when in (datetime.max.replace(tzinfo=timezone.utc), datetime.min.replace(tzinfo=timezone.utc)):
        for call in (
            lambda when=when: memory.issue(ALICE, scopes=[], not_before=when),
            lambda when=when: memory.expire(ALICE, "0" * 16, at=when),
            lambda when=when: memory.purge(ROOT, ended_before=when),
        ):
            try:
                call()
            except tokenstore.Error:
                pass
    refused(lambda: memory.issue(ALICE, scopes=[], lifetime=timedelta.max), tokenstore.Error)


def test_numbers_are_numbers_of_the_right_size(memory):
    for wrong in (True, "5", 1.0, b"5"):
        assert "int" in refused(lambda wrong=wrong: memory.list(HOST, limit=wrong))
        assert "int" in refused(lambda wrong=wrong: tokenstore.open_memory(cache_bytes=wrong))
    for wrong in (0, -1, 1001, HUGE):
        assert "limit" in refused(lambda wrong=wrong: memory.list(HOST, limit=wrong), ValueError)
    refused(lambda: tokenstore.open_memory(cache_bytes=-1), ValueError)
    refused(lambda: tokenstore.open_memory(cache_bytes=HUGE), ValueError)
    for wrong in (0, -1, HUGE, 1 << 32):
        assert "most_active" in refused(
            lambda wrong=wrong: memory.set_policy(ROOT, Policy(most_active_per_owner=wrong)), ValueError
        )
    refused(lambda: memory.set_policy(ROOT, Policy(most_active_per_owner=True)))


def test_flags_are_bools(memory, tmp_path):
    for wrong in (0, 1, "yes", None):
        refused(lambda wrong=wrong: memory.set_owner(ROOT, "alice", may_use=wrong))
        refused(lambda wrong=wrong: memory.set_policy(ROOT, Policy(tokens_enabled=wrong)))
        refused(lambda wrong=wrong: memory.set_policy(ROOT, Policy(never_allowed=wrong)))
        refused(lambda wrong=wrong: tokenstore.open(tmp_path / "t.db", read_only=wrong))
        refused(lambda wrong=wrong: tokenstore.open_memory(upkeep_thread=wrong))
    assert not (tmp_path / "t.db").exists()


def test_objects_are_of_their_class(memory, tmp_path):
    for wrong in (None, "alice", 3, (3, "")):
        assert "Actor.user" in refused(lambda wrong=wrong: memory.issue(wrong, scopes=[]))
        assert "Actor.user" in refused(lambda wrong=wrong: memory.list(wrong))
        assert "Policy" in refused(lambda wrong=wrong: memory.set_policy(ROOT, wrong))
        assert "Request" in refused(lambda wrong=wrong: memory.issue_many(HOST, [wrong]))
        if wrong is not None:
            assert "State" in refused(lambda wrong=wrong: memory.list(HOST, state=wrong))
            assert "Keyring" in refused(lambda wrong=wrong: tokenstore.open_memory(key=wrong))
            assert "ManualClock" in refused(lambda wrong=wrong: tokenstore.open_memory(clock=wrong))
            assert "function" in refused(lambda wrong=wrong: memory.check(ROOT, wrong))
    for wrong in (None, 3, b"tokens.db", ["a"]):
        assert "path" in refused(lambda wrong=wrong: tokenstore.open(wrong))
    with pytest.raises(tokenstore.InvalidArgument):
        memory.issue(Actor(7, "x"), owner="x", scopes=[])
    for wrong in ("text", 7, 1.5):
        assert "bytes" in refused(lambda wrong=wrong: memory.issue(ALICE, scopes=[], metadata=wrong))
    for fine in (bytearray(b"a\0"), memoryview(b"a\0"), b"a\0"):
        assert memory.issue(ALICE, scopes=[], metadata=fine).token.metadata == b"a\0"


def test_what_the_library_refuses_is_a_value_error_with_its_line(memory):
    for call in (
        lambda: memory.issue(Actor.user("a" * 256), scopes=[]),
        lambda: memory.issue(ALICE, scopes=[], description="a\nb"),
        lambda: memory.issue(ALICE, scopes=['"']),
        lambda: memory.issue(ALICE, scopes=["s" * 129]),
        lambda: memory.issue(ALICE, scopes=[f"s{i}" for i in range(65)]),
        lambda: memory.issue(ALICE, scopes=[], metadata=bytes(4097)),
        lambda: memory.issue_many(HOST, [Request("", [])]),
        lambda: memory.list(HOST, cursor="nonsense", limit=1),
        lambda: tokenstore.open_memory(prefix="UPPER"),
        lambda: tokenstore.open_memory(workspace="a\0b"),
    ):
        with pytest.raises(tokenstore.InvalidArgument) as caught:
            call()
        assert isinstance(caught.value, ValueError)
        assert "\n" not in str(caught.value)
        assert caught.value.status == 1


def test_quotes_wildcards_and_nul_are_literal(store):
    for name in ("50%", "_", "'; drop table tokens; --", '"', "a*?[b]", "%"):
        actor = Actor.user(name)
        issued = store.issue(actor, scopes=["read"], description=name)
        assert [token.id for token in store.list(actor)] == [issued.id]
        assert {token.owner for token in store.list(HOST, text=name)} >= {name}
    assert [token.description for token in store.list(HOST, text="50%")] == ["50%"]
    with pytest.raises(tokenstore.NotFound):
        store.get(HOST, "%" * 16)
    assert not store.validate("a\0b", "re\0ad").valid


def test_case_matters_in_names_and_ids(store):
    issued = store.issue(ALICE, scopes=["read"])
    assert list(store.list(Actor.user("Alice"))) == []
    with pytest.raises(tokenstore.NotFound):
        store.get(HOST, issued.id.swapcase())
    assert not store.validate(issued.text.reveal().swapcase(), "read").valid
    assert not store.validate(issued.text, "READ").valid
