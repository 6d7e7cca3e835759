"""Failures of other systems, as far as they can be reached from Python; each with warm caches."""

import sqlite3

import pytest
import tokenstore
from conftest import ALICE, BOB, HOST, ROOT
from tokenstore import Actor, Outcome, Reason, Request


def rows(path, question, *values):
    """Asks the database behind the store's back. Both call the system's SQLite, so no lock is lost."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            return connection.execute(question, values).fetchall()
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


def columns(path, table):
    return [row[1] for row in rows(path, f"pragma table_info({table})")]


def tables(path):
    found = rows(path, "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'")
    return [name for (name,) in found]


def table_of_tokens(path):
    (found,) = (name for name in tables(path) if "revoked_at" in columns(path, name))
    return found


def test_a_row_that_was_changed_in_any_column_grants_nothing_more(path):
    with tokenstore.open(path) as store, tokenstore.open(path) as other:
        issued = store.issue(ALICE, scopes=["read"], description="d", metadata=b"m")
        store.revoke(ALICE, issued.id, reason="lost")
        tokens = table_of_tokens(path)
        (before,) = rows(path, f"select * from {tokens}")
        names = columns(path, tokens)
        tried = 0
        for place, name in enumerate(names):
            for value in (None, 0, 2**62, b"", before[place - 1], "x"):
                try:
                    rows(path, f"update {tokens} set {name} = ?", value)
                except sqlite3.Error:
                    continue
                tried += 1
                with tokenstore.open(path) as fresh:
                    for each in (store, other, fresh):
                        for scope in ("read", "write"):
                            verdict = each.validate(issued.text, scope)
                            assert verdict.outcome is not Outcome.VALID, (name, value)
                rows(path, f"delete from {tokens}")
                rows(path, f"insert into {tokens} values ({','.join('?' * len(before))})", *before)
        assert tried > len(names)
    # The row is as it was in the end: whatever was refused before was refused for the change.
    with tokenstore.open(path) as fresh:
        assert fresh.validate(issued.text, "read").reason is Reason.REVOKED


def test_a_revocation_that_was_undone_in_the_database_is_noticed(path):
    with tokenstore.open(path) as store:
        issued = store.issue(ALICE, scopes=["read"])
        tokens = table_of_tokens(path)
        (active,) = rows(path, f"select revoked_at from {tokens}")
        store.revoke(ALICE, issued.id)
        rows(path, f"update {tokens} set revoked_at = ?", *active)
        for _ in range(2):
            assert store.validate(issued.text, "read").reason is Reason.TAMPERED
        with tokenstore.open(path) as fresh:
            assert fresh.validate(issued.text, "read").reason is Reason.TAMPERED
            assert next(iter(fresh.list(HOST))).state is tokenstore.State.TAMPERED
            assert fresh.check(HOST).problems == 1
            with pytest.raises(tokenstore.Tampered):
                fresh.revoke(ALICE, issued.id)
            assert fresh.validate(issued.text, "read").outcome is Outcome.INVALID


def test_settings_that_are_missing_permit_nothing(path):
    with tokenstore.open(path) as store:
        issued = store.issue(ALICE, scopes=["read"])
        store.suspend(ROOT, "alice")
        (owners,) = (name for name in tables(path) if "suspended_at" in columns(path, name))
        rows(path, f"delete from {owners}")
        with tokenstore.open(path) as fresh:
            assert fresh.validate(issued.text, "read").outcome is Outcome.INVALID
        assert store.validate(issued.text, "read").outcome is Outcome.INVALID


def test_nothing_that_is_stored_works_as_a_token(path):
    with tokenstore.open(path) as store:
        issued = store.issue(ALICE, scopes=["read"])
        assert store.validate(issued.text, "read").valid
        stored = [value for table in tables(path) for row in rows(path, f"select * from {table}") for value in row]
        assert len(stored) > 20
        for value in stored:
            texts = [str(value)]
            if isinstance(value, bytes):
                texts += [value.decode("latin-1"), value.hex()]
            for text in texts:
                for each in (text, "pat_" + text, f"pat_10A{issued.id}_{text}"):
                    assert not store.validate(each, "read").valid


def test_revocations_and_limits_hold_whatever_the_cache_holds(path):
    with tokenstore.open(path, cache_bytes=1 << 16) as store:
        store.set_policy(ROOT, tokenstore.Policy(most_active_per_owner=2000))
        issued = store.issue_many(HOST, [Request("alice", ["read"]) for _ in range(2000)])
        texts = [one.text.reveal() for one in issued]
        assert all(store.validate(text, "read").valid for text in texts)
        assert store.statistics().evictions > 0
        with pytest.raises(tokenstore.Refused):
            store.issue(ALICE, scopes=[])
        for one in issued[::7]:
            store.revoke(ALICE, one.id)
        assert [store.validate(text, "read").valid for text in texts] == [place % 7 != 0 for place in range(2000)]
        store.suspend(ROOT, "alice")
        assert not any(store.validate(text, "read").valid for text in texts)


def test_another_s_id_answers_as_one_that_does_not_exist(store):
    issued = store.issue(ALICE, scopes=["read"])
    calls = {
        "get": lambda actor, id: store.get(actor, id),
        "revoke": lambda actor, id: store.revoke(actor, id),
        "expire": lambda actor, id: store.expire(actor, id),
        "remove": lambda actor, id: store.remove(actor, id),
    }
    for name, call in calls.items():
        said = []
        for id in (issued.id, "0" * 16):
            with pytest.raises(tokenstore.NotFound) as caught:
                call(BOB, id)
            said.append(str(caught.value))
        assert said[0] == said[1], name
    for call in (store.owner, store.revoke_all):
        with pytest.raises((tokenstore.PermissionDenied, tokenstore.NotFound)):
            call(BOB, "alice")
    assert list(store.list(BOB, owner="alice")) == []
    assert store.validate(issued.text, "read").valid


def test_a_user_issues_for_nobody_else_whatever_else_is_passed(store):
    for owner in ("bob", "Alice", "alice ", "alice\u200b"):
        for scopes in ([], ["read"], ["admin", "*"]):
            with pytest.raises((tokenstore.PermissionDenied, tokenstore.InvalidArgument)):
                store.issue(Actor.user("alice"), owner=owner, scopes=scopes)
    assert store.count(HOST) == tokenstore.Counts(0, 0, 0, 0)
