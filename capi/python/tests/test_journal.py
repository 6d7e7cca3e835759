"""A journal beside the database: what it denies, and what is raised when it cannot be used."""

import os
import shutil

import pytest
import tokenstore
from conftest import ALICE, HOST
from tokenstore import Reason


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
