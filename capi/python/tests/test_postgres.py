"""Stores in a PostgreSQL, on a server that lives as long as this test."""

import os
import sys
import traceback
from datetime import timedelta

import pytest
import tokenstore
from conftest import ALICE, HOST, TREE
from tokenstore import Outcome, Reason

sys.path.append(str(TREE / "tests" / "support"))
from throwaway_postgres import ThrowawayPostgres  # noqa: E402

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def server():
    with ThrowawayPostgres() as running:
        yield running


def test_two_stores_see_each_other_s_changes(server):
    with (
        tokenstore.open_postgres(server.conninfo, key=KEY) as one,
        tokenstore.open_postgres(
            server.conninfo, key=KEY, max_staleness=timedelta(0), pool_size=2, deadline=timedelta(seconds=10)
        ) as two,
    ):
        issued = one.issue(ALICE, scopes=["read"])
        assert one.validate(issued.text, "read").valid
        assert two.validate(issued.text, "read").valid
        one.revoke(ALICE, issued.id)
        assert one.validate(issued.text, "read").reason is Reason.REVOKED
        assert two.validate(issued.text, "read").reason is Reason.REVOKED
        assert [token.id for token in two.list(HOST)] == [issued.id]


def test_a_store_works_in_a_forked_child(server):
    with tokenstore.open_postgres(server.conninfo, key=KEY) as store:
        text = store.issue(ALICE, scopes=["read"]).text.reveal()
        assert store.validate(text, "read").valid
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if store.validate(text, "read").valid else 3)
            finally:
                os._exit(4)
        assert os.waitpid(pid, 0)[1] == 0
        assert store.validate(text, "read").valid


def test_a_schema_of_its_own_is_another_store(server):
    with (
        tokenstore.open_postgres(server.conninfo, key=KEY) as one,
        tokenstore.open_postgres(server.conninfo, key=KEY, schema="other") as other,
    ):
        issued = one.issue(ALICE, scopes=["read"])
        assert not other.validate(issued.text, "read").valid


def test_what_cannot_be_reached_says_so_without_the_password():
    conninfo = "host=127.0.0.1 port=1 user=app password=Rotkehlchen-5518 dbname=x"
    with pytest.raises(tokenstore.CannotOpen) as caught:
        tokenstore.open_postgres(conninfo, key=KEY, deadline=timedelta(seconds=5))
    assert "Rotkehlchen" not in "".join(traceback.TracebackException.from_exception(caught.value).format())
    with pytest.raises(ValueError) as caught:
        tokenstore.open_postgres(conninfo + "\ud800", key=KEY)
    assert "Rotkehlchen" not in repr(caught.value)


def test_a_key_has_to_be_given_and_options_are_judged(server):
    with pytest.raises(tokenstore.Error):
        tokenstore.open_postgres(server.conninfo)
    for wrong in (None, b"host=db", 5):
        with pytest.raises(TypeError):
            tokenstore.open_postgres(wrong, key=KEY)
    with pytest.raises(ValueError):
        tokenstore.open_postgres(server.conninfo, key=KEY, pool_size=-1)
    with pytest.raises(tokenstore.InvalidArgument):
        tokenstore.open_postgres(server.conninfo, key=KEY, schema="Upper Case")


def test_a_server_that_went_away_is_unavailable_and_never_a_bad_token():
    with ThrowawayPostgres() as own:
        store = tokenstore.open_postgres(
            own.conninfo, key=KEY, max_staleness=timedelta(0), deadline=timedelta(seconds=2)
        )
        issued = store.issue(ALICE, scopes=["read"])
        assert store.validate(issued.text, "read").valid
    verdict = store.validate(issued.text, "read")
    assert (verdict.valid, verdict.outcome, verdict.http_status) == (False, Outcome.UNAVAILABLE, 503)
    assert store.why_unavailable().message
    with pytest.raises(tokenstore.Error):
        store.revoke(ALICE, issued.id)
    assert not store.validate(issued.text, "read").valid
    store.close()


def test_without_the_extension_it_says_what_to_install(monkeypatch):
    monkeypatch.delattr(tokenstore, "_postgres", raising=False)
    monkeypatch.setitem(sys.modules, "tokenstore._postgres", None)
    with pytest.raises(ImportError, match="libpq-dev"):
        tokenstore.open_postgres("dbname=x", key=KEY)
