"""A verdict that is mistaken for a bool would let everybody in: it raises instead."""

import pytest
from conftest import ALICE


@pytest.fixture(params=["valid", "invalid"])
def verdict(request, memory):
    issued = memory.issue(ALICE, scopes=["read"], metadata=b"m")
    return memory.validate(issued.text if request.param == "valid" else "x", "read")


def test_a_verdict_has_no_truth_value(verdict):
    for use in (bool, lambda v: not v, lambda v: v and 1, lambda v: 1 if v else 0, lambda v: [0 for _ in "a" if v]):
        with pytest.raises(TypeError, match=r"verdict\.valid"):
            use(verdict)


def test_a_verdict_is_not_compared_with_a_bool(verdict):
    for use in (
        lambda v: v == True,  # noqa: E712
        lambda v: v != False,  # noqa: E712
        lambda v: True == v,  # noqa: E712
        lambda v: v in (True, False),
        lambda v: v > False,
    ):
        with pytest.raises(TypeError, match=r"verdict\.valid"):
            use(verdict)


def test_verdicts_are_themselves_alone(verdict, memory):
    other = memory.validate("x", "read")
    assert verdict == verdict
    assert verdict != other
    assert len({verdict, other, verdict}) == 2


def test_a_verdict_cannot_be_changed(verdict):
    for name in ("valid", "owner", "reason", "new"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(verdict, name, True)


def test_a_verdict_shows_what_a_log_needs(memory):
    issued = memory.issue(ALICE, scopes=["read", "b"], metadata=b"kept out of logs")
    assert repr(memory.validate(issued.text, "read")) == (
        f"<Verdict valid: id='{issued.id}' owner='alice' scopes=('b', 'read')>"
    )
    assert repr(memory.validate(issued.text, "write")) == (
        f"<Verdict invalid: insufficient_scope, id='{issued.id}' owner='alice' scopes=('b', 'read')>"
    )
    assert repr(memory.validate("x", "read")) == "<Verdict invalid: malformed>"


def test_the_largest_verdict_is_whole(memory):
    scopes = [f"{i:03}".ljust(128, "s") for i in range(64)]
    owner = "é" * 127
    issued = memory.issue(type(ALICE).user(owner), scopes=scopes, metadata=bytes(range(256)) * 16)
    for _ in range(2):
        verdict = memory.validate(issued.text, scopes[5])
        assert verdict.valid
        assert verdict.owner == owner
        assert verdict.scopes == tuple(scopes)
        assert verdict.metadata == bytes(range(256)) * 16
        assert verdict.id == issued.id


def test_a_verdict_outlives_its_store(memory):
    issued = memory.issue(ALICE, scopes=["read"])
    verdict = memory.validate(issued.text, "read")
    memory.close()
    assert (verdict.valid, verdict.owner, verdict.expires_at) == (True, "alice", issued.token.expires_at)
