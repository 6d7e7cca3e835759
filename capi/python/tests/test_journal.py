"""A journal beside the database: what it denies, and what is raised when it cannot be used."""

import os
import shutil
from datetime import timedelta

import pytest
import tokenstore
from conftest import ALICE, HOST
from tokenstore import Deed, Journaled, Problem, Reason


def put_back(earlier, path):
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    shutil.copy(earlier, path)


def test_a_database_that_was_put_back_revives_nothing(tmp_path):
    path, journal, earlier = str(tmp_path / "t.db"), tmp_path / "t.journal", str(tmp_path / "earlier.db")
    with tokenstore.open(path, journal=journal) as store:
        issued = store.issue(ALICE, scopes=["read"])
    shutil.copy(path, earlier)
    with tokenstore.open(path, journal=journal) as store:
        store.revoke(HOST, issued.token.id)
    put_back(earlier, path)
    with tokenstore.open(path) as store:  # the control
        assert store.validate(issued.text, "read").valid
    with tokenstore.open(path, journal=str(journal), read_only=True) as store:
        assert store.validate(issued.text, "read").reason is Reason.ROLLED_BACK
        assert store.statistics().rolled_back == 1
    with tokenstore.open(path, journal=str(journal)) as store:
        assert store.statistics().healed == 1
        assert store.validate(issued.text, "read").reason is Reason.REVOKED
        assert store.heal(HOST) == tokenstore.Healed(looked_at=1, ended=0, removed=0, settings=0, refused=0)
        with pytest.raises(tokenstore.PermissionDenied):
            store.heal(ALICE)
        with pytest.raises(ZeroDivisionError):
            store.heal(HOST, progress=lambda done, total: 1 // 0)
    with tokenstore.open(path) as store:
        assert store.validate(issued.text, "read").reason is Reason.REVOKED
        with pytest.raises(tokenstore.Unsupported, match="without a journal"):
            store.heal(HOST)


def test_a_change_that_could_not_be_written_down_holds_and_says_so(tmp_path):
    journal = tmp_path / "t.journal"
    with tokenstore.open(tmp_path / "t.db", journal=journal) as store:
        issued = store.issue(ALICE, scopes=["read"])
        store.maintain()
        journal.rename(tmp_path / "away")
        with pytest.raises(tokenstore.NotJournaled, match="the change holds, but is not in the journal"):
            store.revoke(HOST, issued.token.id)
        assert store.validate(issued.text, "read").reason is Reason.REVOKED
        (tmp_path / "away").rename(journal)
        store.revoke(HOST, issued.token.id)


def test_a_damaged_journal_is_refused(tmp_path):
    journal = tmp_path / "t.journal"
    with tokenstore.open(tmp_path / "t.db", journal=journal) as store:
        store.issue(ALICE, scopes=["read"])
    whole = bytearray(journal.read_bytes())
    whole[150] ^= 1
    journal.write_bytes(whole)
    with pytest.raises(tokenstore.JournalDamaged, match="is damaged at octet"):
        tokenstore.open(tmp_path / "t.db", journal=journal)


@pytest.fixture
def written(tmp_path):
    """A journal of some changes, the keys, and the id of the token that was revoked."""
    journal = tmp_path / "t.journal"
    with tokenstore.open(tmp_path / "t.db", journal=journal) as store:
        issued = store.issue(ALICE, scopes=["read"])
        store.revoke(tokenstore.Actor.administrator("root"), issued.token.id, reason="the laptop was lost")
        store.suspend(HOST, "alice", reason="left")
    return journal, tokenstore.Keyring.from_file(tmp_path / "t.db.key"), issued.token.id


def test_a_journal_is_read_as_an_audit_trail(written):
    journal, key, token_id = written
    entries = list(tokenstore.read_journal(journal, key))
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    by_deed = {entry.deed: entry for entry in entries}
    revoked = by_deed[Deed.REVOKED]
    assert (revoked.token_id, revoked.owner, revoked.actor, revoked.reason, revoked.record, revoked.workspace) == (
        token_id,
        "alice",
        "administrator:root",
        "the laptop was lost",
        Journaled.TOKEN,
        "default",
    )
    assert revoked.ends_at is not None
    assert by_deed[Deed.SUSPENDED].record is Journaled.OWNER

    def deeds(**query):
        return [entry.deed for entry in tokenstore.read_journal(journal, key, **query)]

    assert deeds(token_id=token_id) == [Deed.ISSUED, Deed.REVOKED]
    assert deeds(actor="root") == deeds(deed=Deed.REVOKED) == [Deed.REVOKED]
    assert deeds(since=revoked.at + timedelta(hours=1)) == deeds(until=revoked.at - timedelta(hours=1)) == []
    assert deeds(owner="bob") == deeds(workspace="other") == []
    assert len(deeds(owner="alice", workspace="default")) == 3
    with pytest.raises(TypeError, match="deed must be a Deed or None"):
        tokenstore.read_journal(journal, key, deed="revoked")
    with pytest.raises(TypeError, match="key must be a Keyring"):
        tokenstore.read_journal(journal, str(key))
    with pytest.raises(tokenstore.CannotOpen):
        next(tokenstore.read_journal(journal.with_name("none"), key))
    with pytest.raises(tokenstore.InvalidArgument):
        next(tokenstore.read_journal(journal, key, after="nowhere"))


def test_a_reading_goes_on_where_another_one_ended(tmp_path, written):
    journal, key, token_id = written
    first = tokenstore.read_journal(journal, key)
    assert first.next is None
    told = len(list(first))
    assert list(tokenstore.read_journal(journal, key, after=first.next)) == []
    # More than are read at once.
    with tokenstore.open(tmp_path / "t.db", journal=journal) as store:
        store.resume(HOST, "alice")
        store.issue_many(HOST, [tokenstore.Request(owner="bob", scopes=["read"])] * 1100)
        store.maintain()
    later = tokenstore.read_journal(journal, key, after=first.next)
    numbers = [entry.number for entry in later]
    assert len(numbers) > 1000
    assert numbers == list(range(told + 1, told + 1 + len(numbers)))
    assert (later.problems, later.damaged, later.lacks_key) == ([], False, False)


def test_damage_is_reported_and_accepted(tmp_path, written):
    journal, key, token_id = written
    good = tokenstore.verify_journal(journal, key)
    assert (good.damaged, good.problems, good.segments, good.torn) == (False, (), 1, 0)
    assert good.entries == good.last_entry == len(list(tokenstore.read_journal(journal, key)))
    with pytest.raises(tokenstore.Refused):
        tokenstore.accept_journal(journal, key, HOST)
    whole = bytearray(journal.read_bytes())
    place = whole.rindex(b"TSJ1")
    whole[place + 70] ^= 1
    journal.write_bytes(whole)
    bad = tokenstore.verify_journal(journal, key)
    assert bad.damaged
    assert [(p.kind, p.octet, p.accepted) for p in bad.problems] == [(Problem.DAMAGED, place, False)]
    assert bad.problems[0].file == journal
    reading = tokenstore.read_journal(journal, key)
    assert len(list(reading)) == bad.entries < good.entries
    assert reading.damaged and reading.problems == list(bad.problems)
    with pytest.raises(tokenstore.PermissionDenied):
        tokenstore.accept_journal(journal, key, ALICE)
    accepted = tokenstore.accept_journal(journal, key, HOST)
    assert accepted.segment == 2
    assert accepted.last_entry == bad.last_entry
    assert accepted.kept_file == journal.with_name("t.journal.000001")
    assert accepted.kept_file.read_bytes() == bytes(whole)
    after = tokenstore.verify_journal(journal, key)
    assert not after.damaged and after.problems[0].accepted
    assert list(tokenstore.read_journal(journal, key))[-1].deed is Deed.ACCEPTED
    with tokenstore.open(tmp_path / "t.db", journal=journal) as store:
        assert store.get(HOST, token_id).state is tokenstore.State.REVOKED


def test_what_a_function_of_ours_raises_ends_a_reading(written, monkeypatch):
    journal, key, _ = written

    def fails(*_):
        raise KeyError("ours")

    monkeypatch.setattr("tokenstore._journal._entry", fails)
    with pytest.raises(KeyError, match="ours"):
        list(tokenstore.read_journal(journal, key))
