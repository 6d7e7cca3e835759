"""The store: everything that is not hot. validate() and close() are the extension's own."""

from __future__ import annotations

import atexit
import os
import weakref
from datetime import datetime, timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Iterable,
    Iterator,
    List,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
    overload,
)

from . import _core, _times
from ._enums import KeyUse, Lifetime, State
from ._keyring import path_text
from ._values import (
    PAGE_MAX,
    Actor,
    BackupInfo,
    CheckReport,
    Copied,
    Counts,
    Healed,
    Issued,
    KeyState,
    KeyUsage,
    Owner,
    Page,
    Policy,
    Purged,
    Request,
    Resealed,
    Statistics,
    Token,
    Unavailability,
    backup_info,
    page_of,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# A collection of names whose pages are fetched one after the other.
_Fetch = Callable[[str, int], Tuple[List[Tuple[Any, ...]], str]]
_BATCH = 200


class TokenStore(_core.Store):
    """An open store, from ``tokenstore.open()``. Any thread may call any method at any time.

    >>> import tokenstore
    >>> from tokenstore import Actor
    >>> alice = Actor.user("alice")
    >>> with tokenstore.open_memory() as store:
    ...     issued = store.issue(alice, scopes=["notes:read"], description="laptop")
    ...     store.validate(issued.text, "notes:read").valid
    ...     store.revoke(alice, issued.id, reason="lost my laptop").state
    ...     store.validate(issued.text, "notes:read").reason
    True
    <State.REVOKED: 4>
    <Reason.REVOKED: 7>
    """

    __slots__ = ("__weakref__",)

    # ---- Tokens

    def issue(
        self,
        actor: Actor,
        *,
        scopes: Iterable[str],
        owner: Optional[str] = None,
        description: str = "",
        metadata: bytes = b"",
        lifetime: Union[timedelta, Lifetime] = Lifetime.DEFAULT,
        not_before: Optional[datetime] = None,
    ) -> Issued:
        """Issues a token. ``text.reveal()`` of what it returns is the only copy of its text: hand it to its owner.

        ``owner`` may be left out for a user or an administrator: then it is the actor. No scopes grant nothing.
        ``lifetime`` is a timedelta, ``Lifetime.NEVER`` if policy allows it, or the policy's default.
        """
        request = _raw_request(_owner_of(actor, owner), scopes, description, metadata, lifetime, not_before)
        text, token = self._issue(*_raw(actor), request)
        return Issued(text, Token._of(token))

    def issue_many(self, actor: Actor, requests: Iterable[Request]) -> Tuple[Issued, ...]:
        """Issues several tokens, all or none, in one transaction.

        >>> import tokenstore
        >>> from tokenstore import Actor, Request
        >>> with tokenstore.open_memory() as store:
        ...     issued = store.issue_many(Actor.host(), [Request("alice", ["read"]), Request("bob", ["read"])])
        >>> [one.token.owner for one in issued]
        ['alice', 'bob']
        """
        raw = []
        for one in requests:
            if not isinstance(one, Request):
                raise TypeError(f"requests must hold Request objects, not {type(one).__name__}")
            raw.append(_raw_request(one.owner, one.scopes, one.description, one.metadata, one.lifetime, one.not_before))
        return tuple(Issued(text, Token._of(token)) for text, token in self._issue_many(*_raw(actor), raw))

    def get(self, actor: Actor, id: str) -> Token:
        """Looks up a token by its id. Raises NotFound; a user gets that for another's too."""
        return Token._of(self._get(*_raw(actor), id))

    def expire(self, actor: Actor, id: str, at: Optional[datetime] = None) -> Token:
        """Brings the end of a token forward, to now or to a time before its end."""
        return Token._of(self._expire(*_raw(actor), id, 0 if at is None else _times.to_ms("at", at)))

    def revoke(self, actor: Actor, id: str, reason: str = "") -> Token:
        """Ends a token for good; its record stays. Repeating it changes nothing."""
        return Token._of(self._revoke(*_raw(actor), id, reason))

    def revoke_all(self, actor: Actor, owner: str, reason: str = "") -> int:
        """Revokes every token of an owner that has not ended, and says how many. After an error call it again."""
        return self._revoke_all(*_raw(actor), owner, reason)

    def remove(self, actor: Actor, id: str) -> None:
        """Deletes a token's record. It cannot be undone; NotFound the second time."""
        self._delete(*_raw(actor), id)

    # ---- Lists

    @overload
    def list(
        self, actor: Actor, *, owner: str = ..., text: str = ..., state: Optional[State] = ..., cursor: str = ...
    ) -> Iterator[Token]: ...
    @overload
    def list(
        self,
        actor: Actor,
        *,
        owner: str = ...,
        text: str = ...,
        state: Optional[State] = ...,
        cursor: str = ...,
        limit: int,
    ) -> Page[Token]: ...
    def list(
        self,
        actor: Actor,
        *,
        owner: str = "",
        text: str = "",
        state: Optional[State] = None,
        cursor: str = "",
        limit: Optional[int] = None,
    ) -> Union[Iterator[Token], Page[Token]]:
        """Lists tokens, newest first: all of them, fetched as you go, or with ``limit`` one page.

        ``text`` is looked for in descriptions, as it is, in either case of ASCII letters.

        >>> import tokenstore
        >>> alice = tokenstore.Actor.user("alice")
        >>> with tokenstore.open_memory() as store:
        ...     for name in ("laptop", "phone", "tablet"):
        ...         issued = store.issue(alice, scopes=["read"], description=name)
        ...     len([token for token in store.list(alice)])
        ...     page = store.list(alice, limit=2)
        ...     len(page), len(store.list(alice, limit=2, cursor=page.next))
        3
        (2, 1)
        """
        if state is not None and not isinstance(state, State):
            raise TypeError(f"state must be a State or None, not {type(state).__name__}")
        who, wanted = _raw(actor), 0 if state is None else state.value

        def fetch(at: str, most: int) -> Tuple[List[Tuple[Any, ...]], str]:
            return self._list(*who, owner, text, at, most, wanted)

        if limit is None:
            return _pages(fetch, Token._of, cursor)
        tokens, following = fetch(cursor, _limit(limit))
        return page_of([Token._of(token) for token in tokens], following)

    def count(self, actor: Actor, owner: str = "") -> Counts:
        """Counts tokens by state, of one owner or of everyone."""
        return Counts(*self._count(*_raw(actor), owner))

    # ---- Owners and policy

    def owner(self, actor: Actor, owner: str) -> Owner:
        """Looks up an owner's settings. Raises NotFound."""
        return Owner._of(self._owner_get(*_raw(actor), owner))

    def set_owner(self, actor: Actor, owner: str, *, may_issue: bool = True, may_use: bool = True) -> Owner:
        """Sets what an owner may do, whatever their tokens say. They need not have tokens yet."""
        if not isinstance(may_issue, bool) or not isinstance(may_use, bool):
            raise TypeError("may_issue and may_use must be bools")
        return Owner._of(self._owner_set(*_raw(actor), owner, not may_issue, not may_use))

    def suspend(self, actor: Actor, owner: str, reason: str = "") -> Owner:
        """Stops every token of an owner at once. Repeating it changes nothing."""
        return Owner._of(self._owner_suspend(*_raw(actor), owner, reason))

    def resume(self, actor: Actor, owner: str) -> Owner:
        """Lets an owner's tokens work again, at once."""
        return Owner._of(self._owner_resume(*_raw(actor), owner))

    @overload
    def list_owners(self, actor: Actor, *, cursor: str = ...) -> Iterator[Owner]: ...
    @overload
    def list_owners(self, actor: Actor, *, cursor: str = ..., limit: int) -> Page[Owner]: ...
    def list_owners(
        self, actor: Actor, *, cursor: str = "", limit: Optional[int] = None
    ) -> Union[Iterator[Owner], Page[Owner]]:
        """Lists owners by name: all of them, fetched as you go, or with ``limit`` one page."""
        who = _raw(actor)

        def fetch(at: str, most: int) -> Tuple[List[Tuple[Any, ...]], str]:
            return self._owner_list(*who, at, most)

        if limit is None:
            return _pages(fetch, Owner._of, cursor)
        owners, following = fetch(cursor, _limit(limit))
        return page_of([Owner._of(owner) for owner in owners], following)

    def policy(self, actor: Actor) -> Policy:
        """Reads the workspace's policy."""
        longest, default, most, never, users_may_not, disabled = self._policy_get(*_raw(actor))
        return Policy(
            _times.from_lifetime_ms(longest),
            timedelta(milliseconds=default),
            most or None,
            bool(never),
            not users_may_not,
            not disabled,
        )

    def set_policy(self, actor: Actor, policy: Policy) -> None:
        """Replaces the policy, for tokens to come; a token's own end stays."""
        if not isinstance(policy, Policy):
            raise TypeError(f"policy must be a Policy, not {type(policy).__name__}")
        most = policy.most_active_per_owner
        if most is not None and most == 0:
            raise ValueError("most_active_per_owner must be 1 or more; None is no limit, users_may_issue=False none")
        self._policy_set(
            *_raw(actor),
            _times.lifetime_ms("longest_lifetime", policy.longest_lifetime),
            _times.duration_ms("default_lifetime", policy.default_lifetime),
            0 if most is None else most,
            policy.never_allowed,
            not _flag("users_may_issue", policy.users_may_issue),
            not _flag("tokens_enabled", policy.tokens_enabled),
        )

    # ---- Upkeep

    def purge(self, actor: Actor, ended_before: datetime, budget: Optional[timedelta] = None) -> Purged:
        """Deletes the records of tokens that ended before a time, in slices, for about the budget (default 1 s)."""
        before, most = _times.to_ms("ended_before", ended_before), _times.default_or_ms("budget", budget)
        return Purged(*self._purge(*_raw(actor), before, most))

    def maintain(self, budget: Optional[timedelta] = None) -> bool:
        """Housekeeping for about the budget (default 50 ms): writes out last uses, lets storage tidy up.

        A host without the upkeep thread calls it every few seconds. True: there is more to do.
        """
        return self._maintain(_times.default_or_ms("budget", budget))

    def reseal(self, actor: Actor, cursor: str = "", budget: Optional[timedelta] = None) -> Resealed:
        """Seals records anew under the active key, for about the budget (default 1 s), while the store is in use."""
        return Resealed(*self._reseal(*_raw(actor), cursor, _times.default_or_ms("budget", budget)))

    def heal(self, actor: Actor, progress: Optional[Callable[[int, Optional[int]], object]] = None) -> Healed:
        """Puts forward again what storage shows in an earlier state than the journal knows.

        Opening and upkeep do it by themselves; until then such records are denied. ``progress`` is as for ``check``.
        """
        return Healed(*self._heal(*_raw(actor), progress))

    def add_key(self, actor: Actor) -> str:
        """Adds a new key to the key file, verify-only, and returns its id.

        The way of a key, while the store is in use: add, activate, reseal in each workspace, retire, remove.
        The host's alone, as all that concerns keys: they are every workspace's.
        """
        return self._key_add(*_raw(actor))

    def activate_key(self, actor: Actor, id: str) -> None:
        """Has a key make what is new, in place of the active one."""
        self._key_activate(*_raw(actor), id)

    def retire_key(self, actor: Actor, id: str) -> None:
        """Ends a key and its tokens. Refused if it is active, or seals what outlives it."""
        self._key_retire(*_raw(actor), id)

    def remove_key(self, actor: Actor, id: str) -> None:
        """Takes a key out. Refused if it is active, or something hangs on it."""
        self._key_remove(*_raw(actor), id)

    def key_status(self, actor: Actor) -> Tuple[KeyState, ...]:
        """What hangs on each key of the whole store. Reads every record. The host's alone."""
        return tuple(
            KeyState(id, seals, living, KeyUse(use) if use else None)
            for id, seals, living, use in self._key_status(*_raw(actor))
        )

    def reload_keys(self) -> bool:
        """Looks for other keys at once. True: there were. Without it an open store notices a changed key file too."""
        return self._keys_reload()

    def check(self, actor: Actor, progress: Optional[Callable[[int, Optional[int]], object]] = None) -> CheckReport:
        """Verifies every seal of the workspace and the storage's own integrity. May take long.

        ``progress`` is called now and then with the records done and, if known, in all. An exception that it raises
        ends the check.
        """
        tokens, owners, problems, lines, keys = self._check(*_raw(actor), progress)
        return CheckReport(tokens, owners, problems, tuple(lines), tuple(KeyUsage(*key) for key in keys))

    def backup(
        self,
        actor: Actor,
        path: Union[str, os.PathLike[str]],
        overwrite: bool = False,
        progress: Optional[Callable[[int, Optional[int]], object]] = None,
    ) -> BackupInfo:
        """Writes every workspace of the storage into one sealed file, while it is in use; for the host alone.

        ``overwrite``: an earlier backup of that name is replaced. ``progress`` is as for ``check``. The keys are not in
        it. ``tokenstore.restore`` makes a store of it again.
        """
        return backup_info(self._backup(*_raw(actor), path_text("path", path), overwrite, progress))

    def copy(
        self,
        actor: Actor,
        path: Union[str, os.PathLike[str]],
        delete_extra: bool = False,
        progress: Optional[Callable[[int, Optional[int]], object]] = None,
    ) -> Copied:
        """Makes a SQLite database, new or an earlier copy, hold what this storage holds; for the host alone.

        ``delete_extra``: tokens that only the copy has are removed; else finding one is a Conflict.
        """
        return Copied(*self._copy(*_raw(actor), path_text("path", path), delete_extra, progress))

    def statistics(self) -> Statistics:
        """Counters since the store was opened, in this process."""
        return Statistics(*self._statistics())

    def why_unavailable(self) -> Optional[Unavailability]:
        """Why the latest validation that was UNAVAILABLE was so, for the log; None if none has been."""
        message, at = self._why_unavailable()
        return None if message is None else Unavailability(message, _times.from_ms(at))

    # ---- About the store

    def now(self) -> datetime:
        """The store's own now, which never goes back while it is open."""
        return _times.from_ms(self._now())

    def scanner_pattern(self) -> str:
        """A regular expression that finds this store's tokens in any text."""
        return self._scanner_pattern()

    @property
    def workspace(self) -> str:
        """The tenant that the store was opened for."""
        return self._names()[0]

    @property
    def prefix(self) -> str:
        """The first letters of its tokens' texts."""
        return self._names()[1]

    @property
    def created_key_file(self) -> Optional[Path]:
        """The key file, if opening the store created it. Tell the operator: without it the tokens are lost."""
        from pathlib import Path

        path = self._names()[2]
        return Path(path) if path else None

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed()

    def __enter__(self) -> TokenStore:
        if self._is_closed():
            self._now()  # raises Closed
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._is_closed():
            return "<TokenStore closed>"
        workspace, prefix, _ = self._names()
        return f"<TokenStore workspace={workspace!r} prefix={prefix!r}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a TokenStore is neither copied nor pickled: open it in the other process")


def _raw(actor: Actor) -> Tuple[int, str]:
    if not isinstance(actor, Actor):
        raise TypeError(f"the actor must be an Actor, such as Actor.user('alice'), not {type(actor).__name__}")
    return actor.kind, actor.name


def _owner_of(actor: Actor, owner: Optional[str]) -> str:
    kind, name = _raw(actor)
    if owner is not None:
        return owner
    if not name:
        raise TypeError("issue() needs owner= when the host issues: whose account the token acts for")
    return name


def _raw_request(
    owner: str,
    scopes: Iterable[str],
    description: str,
    metadata: bytes,
    lifetime: Union[timedelta, Lifetime],
    not_before: Optional[datetime],
) -> Tuple[str, str, str, bytes, int, int]:
    if isinstance(metadata, (bytearray, memoryview)):
        metadata = bytes(metadata)
    begin = 0 if not_before is None else _times.to_ms("not_before", not_before)
    return owner, description, _scopes(scopes), metadata, _times.lifetime_ms("lifetime", lifetime), begin


def _scopes(scopes: Iterable[str]) -> str:
    # A str is an iterable of its letters, and each would be a scope.
    if isinstance(scopes, (str, bytes)):
        raise TypeError('scopes must be a list of str, such as ["notes:read"], not one str')
    try:
        words: Sequence[str] = tuple(scopes)
    except TypeError:
        raise TypeError(f"scopes must be a list of str, not {type(scopes).__name__}") from None
    for word in words:
        if not isinstance(word, str):
            raise TypeError(f"a scope must be a str, not {type(word).__name__}")
        if not word or " " in word:
            raise ValueError("a scope is one word, not empty and without spaces")
    return " ".join(words)


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def _limit(limit: int) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"limit must be an int, not {type(limit).__name__}")
    if not 1 <= limit <= PAGE_MAX:
        raise ValueError(f"limit must be between 1 and {PAGE_MAX}")
    return limit


def _pages(fetch: _Fetch, made: Callable[[Tuple[Any, ...]], Any], cursor: str) -> Iterator[Any]:
    while True:
        items, cursor = fetch(cursor, _BATCH)
        yield from map(made, items)
        if not cursor:
            return


# Stores that are open: to be closed at the end of the program, which writes out last uses, and to be told of a fork.
_open_stores: weakref.WeakSet[TokenStore] = weakref.WeakSet()


def opened(store: TokenStore) -> TokenStore:
    _open_stores.add(store)
    return store


def _close_all() -> None:
    for store in tuple(_open_stores):
        store.close()


def _after_fork() -> None:
    for store in tuple(_open_stores):
        store._after_fork()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
