"""What a host does with a store, each on memory and on SQLite."""

import dataclasses
import time
from datetime import datetime, timedelta, timezone

import pytest
import tokenstore
from conftest import ALICE, BOB, HOST, ROOT
from tokenstore import Lifetime, ManualClock, Outcome, Policy, Reason, Request, State

DAY = timedelta(days=1)


def test_a_token_lives_from_issue_to_revoke(store):
    issued = store.issue(ALICE, scopes=["notes:write", "notes:read"], description="laptop", metadata=b"\0\xff")
    verdict = store.validate(issued.text.reveal(), "notes:read", client_address="192.0.2.7")
    assert verdict.valid is True
    assert verdict.outcome is Outcome.VALID
    assert verdict.reason is Reason.NONE
    assert (verdict.owner, verdict.scopes, verdict.metadata) == ("alice", ("notes:read", "notes:write"), b"\0\xff")
    assert (verdict.id, verdict.http_status) == (issued.id, 200)
    assert verdict.expires_at == issued.token.expires_at
    assert store.get(ALICE, issued.id).description == "laptop"
    revoked = store.revoke(ALICE, issued.id, reason="lost")
    assert (revoked.state, revoked.revoked_by, revoked.revoke_reason) == (State.REVOKED, "user:alice", "lost")
    refused = store.validate(issued.text.reveal(), "notes:read")
    assert (refused.valid, refused.reason, refused.http_status) == (False, Reason.REVOKED, 401)
    assert (refused.owner, refused.scopes, refused.id, refused.expires_at) == ("", (), "", None)


def test_a_missing_scope_says_who_it_is(store):
    issued = store.issue(ALICE, scopes=["notes:read"])
    verdict = store.validate(issued.text, "notes:write")
    assert (verdict.valid, verdict.reason, verdict.http_status) == (False, Reason.INSUFFICIENT_SCOPE, 403)
    assert (verdict.owner, verdict.id) == ("alice", issued.id)


def test_empty_scopes_grant_nothing(store):
    issued = store.issue(ALICE, scopes=[])
    for scope in ("read", "", "*"):
        assert store.validate(issued.text, scope).reason is Reason.INSUFFICIENT_SCOPE


def test_text_that_is_no_token_is_malformed_and_one_of_another_store_is_forged(store):
    with tokenstore.open_memory() as other:
        foreign = other.issue(ALICE, scopes=["read"]).text.reveal()
    for text, reason in (("", Reason.MALFORMED), ("x" * 5000, Reason.MALFORMED), (foreign, Reason.FORGED)):
        verdict = store.validate(text, "read")
        assert (verdict.valid, verdict.outcome, verdict.reason) == (False, Outcome.INVALID, reason)


def test_arguments_of_validate_may_be_named(store):
    issued = store.issue(ALICE, scopes=["read"])
    assert store.validate(text=issued.text, scope="read").valid
    assert store.validate(issued.text, scope="read", client_address=None).valid
    for call in (
        lambda: store.validate(issued.text),
        lambda: store.validate(scope="read"),
        lambda: store.validate(issued.text, "read", "192.0.2.7"),
        lambda: store.validate(issued.text, "read", scope="read"),
        lambda: store.validate(issued.text, "read", scopes="read"),
        lambda: store.validate(issued.text, "read", text=issued.text),
    ):
        with pytest.raises(TypeError):
            call()


def test_what_memory_can_answer_needs_no_waiting(store):
    issued = store.issue(ALICE, scopes=["read"])
    assert store.try_validate(issued.text, "read") is None
    assert store.validate(issued.text, "read").valid
    assert store.try_validate(issued.text, "read").valid
    assert store.try_validate("no token", "read").reason is Reason.MALFORMED
    store.revoke(ALICE, issued.id)
    again = store.try_validate(issued.text, "read")
    assert again is None or not again.valid


def test_several_are_issued_at_once_or_none(store):
    requests = [Request("alice", ["read"], description=str(i)) for i in range(5)]
    issued = store.issue_many(HOST, requests)
    assert [one.token.description for one in issued] == ["0", "1", "2", "3", "4"]
    assert all(store.validate(one.text, "read").valid for one in issued)
    before = store.count(HOST)
    with pytest.raises(tokenstore.InvalidArgument):
        store.issue_many(HOST, [Request("alice", ["read"]), Request("", ["read"])])
    assert store.count(HOST) == before
    assert store.issue_many(HOST, []) == ()


def test_lifetimes_are_what_was_asked_for(store):
    begin = store.now()
    assert store.issue(ALICE, scopes=[], lifetime=DAY).token.expires_at - begin < DAY + timedelta(seconds=30)
    ninety = store.issue(ALICE, scopes=[]).token
    assert ninety.expires_at - ninety.created_at == 90 * DAY
    with pytest.raises(tokenstore.Refused):
        store.issue(ALICE, scopes=[], lifetime=Lifetime.NEVER)
    store.set_policy(ROOT, dataclasses.replace(store.policy(ROOT), never_allowed=True))
    never = store.issue(ALICE, scopes=["read"], lifetime=Lifetime.NEVER)
    assert never.token.expires_at is None
    assert store.validate(never.text, "read").expires_at is None
    later = store.issue(ALICE, scopes=["read"], not_before=begin + DAY)
    assert later.token.state is State.PENDING
    assert store.validate(later.text, "read").reason is Reason.PENDING


@pytest.mark.parametrize(
    "lifetime", [timedelta(0), timedelta(milliseconds=-1), timedelta(microseconds=999), -DAY, timedelta.min]
)
def test_never_and_the_default_are_never_a_by_product(memory, lifetime):
    memory.set_policy(ROOT, Policy(never_allowed=True, longest_lifetime=Lifetime.NEVER))
    with pytest.raises(ValueError):
        memory.issue(ALICE, scopes=[], lifetime=lifetime)
    with pytest.raises(ValueError):
        memory.set_policy(ROOT, Policy(longest_lifetime=lifetime))
    with pytest.raises(ValueError):
        memory.set_policy(ROOT, Policy(default_lifetime=lifetime))


def test_expire_brings_the_end_forward_and_never_back(store):
    issued = store.issue(ALICE, scopes=["read"], lifetime=10 * DAY)
    nearer = store.expire(ALICE, issued.id, at=store.now() + DAY)
    assert nearer.expires_at < issued.token.expires_at
    with pytest.raises(tokenstore.InvalidArgument):
        store.expire(ALICE, issued.id, at=nearer.expires_at + DAY)
    assert store.expire(ALICE, issued.id).state is State.EXPIRED
    assert store.validate(issued.text, "read").reason is Reason.EXPIRED


def test_removed_is_not_found(store):
    issued = store.issue(ALICE, scopes=["read"])
    store.remove(ALICE, issued.id)
    with pytest.raises(tokenstore.NotFound):
        store.remove(ALICE, issued.id)
    with pytest.raises(LookupError):
        store.get(ALICE, issued.id)
    assert store.validate(issued.text, "read").reason is Reason.UNKNOWN


def test_lists_come_newest_first_whole_or_by_the_page(store):
    issued = store.issue_many(HOST, [Request("alice", ["read"], description=f"d{i}") for i in range(450)])
    ids = sorted((one.id for one in issued), reverse=True)
    assert [token.id for token in store.list(ALICE)] == ids
    assert next(iter(store.list(ALICE))).id == ids[0]
    seen, cursor = [], ""
    while True:
        page = store.list(HOST, owner="alice", limit=7, cursor=cursor)
        assert len(page) <= 7
        seen += [token.id for token in page]
        cursor = page.next
        if not cursor:
            break
    assert seen == ids
    page = store.list(ALICE, limit=3)
    assert (page[0].id, [token.id for token in page[1:]]) == (ids[0], ids[1:3])
    found = {token.description for token in store.list(ALICE, text="D44")}
    assert found == {"d44", *(f"d{i}" for i in range(440, 450))}
    assert list(store.list(ALICE, state=State.REVOKED)) == []
    assert list(store.list(BOB)) == []


def test_a_list_without_limit_fetches_as_it_goes(store):
    store.issue_many(HOST, [Request("alice", ["read"]) for _ in range(450)])
    walk = iter(store.list(ALICE))
    first = next(walk)
    store.revoke_all(HOST, "alice")
    assert first.state is State.ACTIVE
    # The first page was there; what comes after it was read after the revocation.
    assert [token.state for token in walk][-1] is State.REVOKED


def test_counts_are_by_state(store):
    one, two = (store.issue(ALICE, scopes=[]) for _ in range(2))
    store.issue(ALICE, scopes=[], not_before=store.now() + DAY)
    store.revoke(ALICE, one.id)
    store.expire(ALICE, two.id)
    assert store.count(HOST) == tokenstore.Counts(active=0, pending=1, expired=1, revoked=1)
    assert store.count(HOST, owner="bob") == tokenstore.Counts(0, 0, 0, 0)


def test_owners_are_suspended_resumed_and_limited(store):
    issued = store.issue(ALICE, scopes=["read"])
    assert store.validate(issued.text, "read").valid
    suspended = store.suspend(ROOT, "alice", reason="left")
    assert (suspended.suspended, suspended.suspended_by, suspended.suspend_reason) == (
        True,
        "administrator:root",
        "left",
    )
    assert suspended.suspended_at.tzinfo is timezone.utc
    assert store.validate(issued.text, "read").reason is Reason.OWNER_SUSPENDED
    assert store.resume(ROOT, "alice").suspended_at is None
    assert store.validate(issued.text, "read").valid
    assert store.set_owner(ROOT, "alice", may_issue=False).may_use is True
    with pytest.raises(tokenstore.Refused):
        store.issue(ALICE, scopes=["read"])
    store.set_owner(ROOT, "alice", may_use=False)
    assert store.validate(issued.text, "read").reason is Reason.OWNER_MAY_NOT_USE
    assert [owner.owner for owner in store.list_owners(ROOT)] == ["alice"]
    assert store.owner(ROOT, "alice").may_use is False
    for i in range(5):
        store.set_owner(ROOT, f"owner{i}")
    page = store.list_owners(ROOT, limit=4)
    assert [owner.owner for owner in page] == ["alice", "owner0", "owner1", "owner2"]
    assert [owner.owner for owner in store.list_owners(ROOT, limit=4, cursor=page.next)] == ["owner3", "owner4"]


def test_revoke_all_ends_what_has_not_ended(store):
    issued = [store.issue(ALICE, scopes=["read"]) for _ in range(3)]
    store.revoke(ALICE, issued[0].id)
    assert store.revoke_all(ROOT, "alice", reason="left") == 2
    assert [store.validate(one.text, "read").reason for one in issued] == [Reason.REVOKED] * 3


def test_the_policy_comes_back_as_it_was_set(store):
    assert store.policy(ROOT) == Policy()
    for policy in (
        Policy(longest_lifetime=Lifetime.NEVER, never_allowed=True),
        Policy(longest_lifetime=30 * DAY, default_lifetime=DAY, most_active_per_owner=2, users_may_issue=False),
        Policy(tokens_enabled=False),
    ):
        store.set_policy(ROOT, policy)
        assert store.policy(ROOT) == policy
    store.set_policy(ROOT, Policy(most_active_per_owner=1))
    store.issue(ALICE, scopes=[])
    with pytest.raises(tokenstore.Refused):
        store.issue(ALICE, scopes=[])


def test_actors_see_and_do_what_is_theirs(store):
    issued = store.issue(ALICE, scopes=["read"])
    for call in (store.get, store.revoke, store.expire, store.remove):
        with pytest.raises(tokenstore.NotFound):
            call(BOB, issued.id)
    with pytest.raises(tokenstore.PermissionDenied):
        store.issue(BOB, owner="alice", scopes=["read"])
    with pytest.raises(tokenstore.PermissionDenied):
        store.issue(ROOT, owner="alice", scopes=["read"])
    with pytest.raises(tokenstore.PermissionDenied):
        store.set_policy(BOB, Policy())
    assert store.issue(HOST, owner="bob", scopes=["read"]).token.created_by == "host"
    assert [token.owner for token in store.list(BOB)] == ["bob"]
    assert store.get(ROOT, issued.id).owner == "alice"
    with pytest.raises(TypeError, match="owner="):
        store.issue(HOST, scopes=["read"])


def test_upkeep_purges_reseals_and_checks(store):
    for _ in range(3):
        store.expire(ALICE, store.issue(ALICE, scopes=[]).id)
    kept = store.issue(ALICE, scopes=["read"])
    told = []
    report = store.check(ROOT, lambda done, total: told.append((done, total)))
    assert (report.tokens, report.problems, report.lines) == (4, 0, ())
    assert [(key.key_id, key.living_tokens) for key in report.keys] == [("0A", 1)]
    resealed = store.reseal(ROOT)
    assert (resealed.resealed, resealed.refused, resealed.next) == (0, 0, "")
    assert resealed.kept > 0
    with pytest.raises(tokenstore.InvalidArgument):
        store.purge(ROOT, ended_before=store.now() + DAY)
    time.sleep(0.01)
    purged = store.purge(ROOT, ended_before=store.now())
    assert (purged.removed, purged.complete) == (3, True)
    assert [token.id for token in store.list(HOST)] == [kept.id]
    assert store.validate(kept.text, "read", client_address="192.0.2.7").valid
    assert store.maintain() in (True, False)


def test_a_backup_comes_back(tmp_path):
    path, place = tmp_path / "tokens.db", tmp_path / "backup"
    key = tokenstore.Keyring.generate()
    told = []
    with tokenstore.open(path, key=key) as store:
        issued = store.issue(ALICE, scopes=["read"])
        made = store.backup(HOST, place, progress=lambda done, total: told.append((done, total)))
        assert (made.workspaces, made.owners, made.tokens) == (1, 1, 1)
        assert tokenstore.verify_backup(place, key) == made
        with pytest.raises(tokenstore.Conflict):
            store.backup(HOST, place)
        with pytest.raises(tokenstore.PermissionDenied):
            store.backup(ROOT, place, overwrite=True)
        store.revoke(ALICE, issued.id)
        with pytest.raises(tokenstore.Conflict, match="1 endings"):
            tokenstore.restore(place, path, key)
        restored = tokenstore.restore(place, path, key, overwrite=True)
        assert (restored.compared, restored.lost_endings, restored.lost_tokens) == (True, 1, 0)
        assert restored.kept_file is not None and restored.kept_file.exists()
        assert store.validate(issued.text, "read").outcome is tokenstore.Outcome.UNAVAILABLE
    with tokenstore.open(path, key=key) as store:
        assert store.validate(issued.text, "read").valid
        copied = store.copy(HOST, tmp_path / "copy.db")
        assert (copied.workspaces, copied.tokens, copied.different) == (1, 1, 0)
    with tokenstore.open(tmp_path / "copy.db", key=key) as store:
        assert store.validate(issued.text, "read").valid
    place.write_bytes(place.read_bytes()[:-1])
    with pytest.raises(tokenstore.NotAStore):
        tokenstore.verify_backup(place, key)
    with pytest.raises(TypeError):
        tokenstore.restore(place, path, b"k" * 32)


def test_an_exception_of_a_progress_function_ends_a_backup(tmp_path):
    with tokenstore.open(tmp_path / "tokens.db") as store:
        for _ in range(4):
            store.issue_many(HOST, [Request("alice", ["read"]) for _ in range(1000)])

        def stop(done, total):
            raise KeyError(done)

        with pytest.raises(KeyError):
            store.backup(HOST, tmp_path / "backup", progress=stop)
        assert not (tmp_path / "backup").exists()


def test_a_key_goes_its_whole_way_and_another_store_takes_part(tmp_path):
    with tokenstore.open(tmp_path / "tokens.db") as one, tokenstore.open(tmp_path / "tokens.db") as other:
        old = one.issue(ALICE, scopes=["read"])
        assert other.validate(old.text, "read").valid
        assert one.add_key(HOST) == "0B"
        one.activate_key(HOST, "0B")
        fresh = one.issue(ALICE, scopes=["read"])
        assert other.validate(fresh.text, "read").valid
        with pytest.raises(tokenstore.Refused):
            other.retire_key(HOST, "0A")
        assert other.reseal(ROOT).refused == 0
        assert one.key_status(HOST) == (
            tokenstore.KeyState("0A", 0, 1, tokenstore.KeyUse.VERIFY_ONLY),
            tokenstore.KeyState("0B", 5, 1, tokenstore.KeyUse.ACTIVE),
        )
        with pytest.raises(tokenstore.Refused):
            one.remove_key(HOST, "0A")
        one.retire_key(HOST, "0A")
        assert other.validate(old.text, "read").reason is tokenstore.Reason.RETIRED_KEY
        one.remove_key(HOST, "0A")
        assert other.validate(old.text, "read").reason is tokenstore.Reason.FORGED
        assert other.validate(fresh.text, "read").valid
        assert other.statistics().keys_taken >= 3 and other.statistics().keys_refused == 0
        assert not one.reload_keys()
        with pytest.raises(tokenstore.PermissionDenied):
            one.add_key(ALICE)
        with pytest.raises(tokenstore.NotFound):
            one.activate_key(HOST, "0A")
    with tokenstore.open_memory() as fixed, pytest.raises(tokenstore.Unsupported):
        fixed.reload_keys()


def test_an_exception_of_a_progress_function_ends_the_check(tmp_path):
    with tokenstore.open(tmp_path / "tokens.db") as store:
        for _ in range(60):
            store.issue_many(HOST, [Request("alice", ["read"]) for _ in range(100)])

        def stop(done, total):
            raise KeyError("enough")

        with pytest.raises(KeyError, match="enough"):
            store.check(ROOT, stop)

        def again(done, total):
            store.count(ROOT)

        with pytest.raises(RuntimeError, match="progress function"):
            store.check(ROOT, again)
        assert store.check(ROOT).problems == 0


def test_what_a_progress_function_gives_back_is_dropped_while_python_runs(tmp_path):
    dropped = []

    class Witness:
        def __del__(self):
            dropped.append(1)

    with tokenstore.open(tmp_path / "tokens.db") as store:
        for _ in range(60):
            store.issue_many(HOST, [Request("alice", ["read"]) for _ in range(100)])
        assert store.check(ROOT, lambda done, total: Witness()).problems == 0
    assert len(dropped) > 1


def test_statistics_count_and_last_uses_are_listed(store):
    issued = store.issue(ALICE, scopes=["read"])
    for _ in range(10):
        assert store.validate(issued.text, "read", client_address="192.0.2.7").valid
    store.validate("x", "read")
    statistics = store.statistics()
    assert (statistics.hits, statistics.misses, statistics.malformed) == (9, 1, 1)
    token = store.get(ALICE, issued.id)
    assert token.last_used_from == "192.0.2.7"
    assert abs(token.last_used_at - datetime.now(timezone.utc)) < timedelta(seconds=60)
    assert store.why_unavailable() is None


def test_what_a_store_says_of_itself(tmp_path):
    path = tmp_path / "tokens.db"
    with tokenstore.open(path, workspace="acme", prefix="acme_pat") as store:
        assert (store.workspace, store.prefix) == ("acme", "acme_pat")
        assert store.created_key_file == tmp_path / "tokens.db.key"
        assert repr(store) == "<TokenStore workspace='acme' prefix='acme_pat'>"
        import re

        assert re.search(store.scanner_pattern(), "see " + store.issue(ALICE, scopes=[]).text.reveal())
        assert not store.closed
    assert store.closed
    assert repr(store) == "<TokenStore closed>"
    with tokenstore.open(path) as again:
        assert again.created_key_file is None


def test_workspaces_do_not_see_each_other(tmp_path):
    with (
        tokenstore.open(tmp_path / "t.db", workspace="one") as one,
        tokenstore.open(tmp_path / "t.db", workspace="two") as two,
    ):
        issued = one.issue(ALICE, scopes=["read"])
        assert one.validate(issued.text, "read").valid
        assert not two.validate(issued.text, "read").valid
        with pytest.raises(tokenstore.NotFound):
            two.get(HOST, issued.id)


def test_what_is_wrong_with_opening_says_so(tmp_path):
    with pytest.raises(tokenstore.CannotOpen):
        tokenstore.open(tmp_path / "none.db", must_exist=True)
    tokenstore.open(tmp_path / "tokens.db").close()
    with pytest.raises(tokenstore.WrongKey):
        tokenstore.open(tmp_path / "tokens.db", key=bytes(32))
    with pytest.raises(tokenstore.NotFound):
        tokenstore.open(tmp_path / "tokens.db", workspace="other", workspace_must_exist=True)
    (tmp_path / "text.db").write_bytes(b"not a database" * 100)
    (tmp_path / "text.db.key").touch(0o600)
    with pytest.raises(tokenstore.Error):
        tokenstore.open(tmp_path / "text.db")
    with tokenstore.open(tmp_path / "tokens.db", read_only=True) as store:
        with pytest.raises(tokenstore.ReadOnly):
            store.issue(ALICE, scopes=[])


def test_keys_come_from_bytes_files_and_text(tmp_path):
    keyring = tokenstore.Keyring.from_bytes(bytes(range(32)))
    keyring.add("0B", bytes(32))
    assert [(key.id, str(key.use)) for key in keyring.keys()] == [("0A", "active"), ("0B", "verify_only")]
    keyring.write_new_file(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    with pytest.raises(tokenstore.CannotOpen):
        keyring.write_new_file(tmp_path / "keys")
    with tokenstore.open(tmp_path / "tokens.db", key=bytearray(range(32))) as store:
        issued = store.issue(ALICE, scopes=["read"])
    same = tokenstore.Keyring.from_text(keyring.reveal_text())
    for how in ({"key": keyring}, {"key": same}, {"key_file": tmp_path / "keys"}):
        with tokenstore.open(tmp_path / "tokens.db", **how) as store:
            assert store.validate(issued.text, "read").valid
    assert tokenstore.Keyring.from_file(str(tmp_path / "keys")).keys() == keyring.keys()
    (tmp_path / "keys").chmod(0o644)
    with pytest.raises(tokenstore.CannotOpen):
        tokenstore.Keyring.from_file(tmp_path / "keys")
    with pytest.raises(tokenstore.InvalidArgument):
        tokenstore.Keyring.from_bytes(b"short")
    for secret in (keyring.reveal_text().split()[-1], "000102030405"):
        assert secret not in repr(keyring)


def test_a_clock_that_stands_still_moves_when_told(tmp_path):
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=timezone.utc))
    with tokenstore.open(tmp_path / "tokens.db", clock=clock) as store:
        issued = store.issue(ALICE, scopes=["read"], lifetime=timedelta(hours=1))
        assert issued.token.created_at == datetime(2030, 1, 1, tzinfo=timezone.utc)
        clock.advance(timedelta(minutes=59, seconds=59, milliseconds=999))
        assert store.validate(issued.text, "read").valid
        clock.advance(timedelta(milliseconds=1))
        assert store.validate(issued.text, "read").reason is Reason.EXPIRED
        clock.set(datetime(2030, 1, 1, tzinfo=timezone.utc))
        assert store.validate(issued.text, "read").reason is Reason.EXPIRED
        with pytest.raises(ValueError):
            clock.advance(timedelta(seconds=-1))


def test_use_after_close_raises_and_closing_twice_does_not(store):
    issued = store.issue(ALICE, scopes=["read"])
    store.close()
    store.close()
    for call in (
        lambda: store.validate(issued.text, "read"),
        lambda: store.issue(ALICE, scopes=[]),
        lambda: list(store.list(ALICE)),
        lambda: store.check(ROOT),
        lambda: store.statistics(),
        lambda: store.workspace,
        lambda: store.__enter__(),
    ):
        with pytest.raises(tokenstore.Closed, match="open it again"):
            call()


def test_stores_and_verdicts_are_not_made_or_pickled_by_hand(memory):
    import copy
    import pickle

    verdict = memory.validate("x", "read")
    for thing in (memory, verdict):
        with pytest.raises(TypeError):
            type(thing)()
        with pytest.raises(TypeError):
            pickle.dumps(thing)
        with pytest.raises(TypeError):
            copy.copy(thing)


def test_values_do_not_change_and_pickle(store):
    import pickle

    issued = store.issue(ALICE, scopes=["read"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        issued.token.owner = "bob"
    for value in (issued.token, ALICE, Policy(), store.count(HOST), store.owner(HOST, "alice")):
        assert pickle.loads(pickle.dumps(value)) == value


def test_last_uses_are_written_when_a_program_ends_without_closing(tmp_path):
    import subprocess
    import sys

    program = (
        "import sys, tokenstore\n"
        "store = tokenstore.open(sys.argv[1])\n"
        "issued = store.issue(tokenstore.Actor.user('alice'), scopes=['read'])\n"
        "assert store.validate(issued.text, 'read').valid\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "tokens.db"], check=True, timeout=60)
    with tokenstore.open(tmp_path / "tokens.db") as store:
        assert next(iter(store.list(HOST))).last_used_at is not None
