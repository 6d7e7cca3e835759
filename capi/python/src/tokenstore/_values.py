"""What the store hands out: plain values that do not change, and hold nothing of the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Iterator, List, Optional, Sequence, Tuple, TypeVar, Union, overload

from . import _core
from ._enums import KeyUse, Lifetime, State
from ._times import NEVER, from_ms

#: The most tokens or owners of one page.
PAGE_MAX = 1000

Item = TypeVar("Item", covariant=True)


@dataclass(frozen=True)
class Actor:
    """Who asks: your decision, made by one of the three functions.

    >>> Actor.user("alice")
    Actor.user('alice')
    >>> Actor.host()
    Actor.host()
    """

    kind: int
    name: str

    @classmethod
    def user(cls, name: str) -> Actor:
        """Sees and acts on their own tokens only."""
        return cls(1, _name(name))

    @classmethod
    def administrator(cls, name: str) -> Actor:
        """Lists and ends anyone's, sets policy; issues for themselves only."""
        return cls(2, _name(name))

    @classmethod
    def host(cls) -> Actor:
        """Your own program: may do all."""
        return cls(3, "")

    def __repr__(self) -> str:
        if self.kind == 3:
            return "Actor.host()"
        return f"Actor.{'user' if self.kind == 1 else 'administrator'}({self.name!r})"


def _name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"an actor's name must be a str, not {type(name).__name__}")
    return name


@dataclass(frozen=True)
class Token:
    """What may be shown of one token. Times are aware and in UTC."""

    id: str
    owner: str
    description: str
    scopes: Tuple[str, ...]  #: sorted; none grants nothing
    metadata: bytes = field(repr=False)
    created_by: str  #: "user:alice", "administrator:root" or "host". revoked_by the same
    revoked_by: str
    revoke_reason: str
    last_used_from: str  #: client address; empty: not known
    created_at: datetime
    not_before: datetime
    expires_at: Optional[datetime]  #: None: never
    revoked_at: Optional[datetime]
    last_used_at: Optional[datetime]
    state: State

    @classmethod
    def _of(cls, raw: Tuple[Any, ...]) -> Token:
        id, owner, description, scopes, metadata, created_by, revoked_by, revoke_reason, last_used_from = raw[:9]
        created_at, not_before, expires_at, revoked_at, last_used_at, state = raw[9:]
        return cls(
            id,
            owner,
            description,
            tuple(scopes.split()),
            metadata,
            created_by,
            revoked_by,
            revoke_reason,
            last_used_from,
            from_ms(created_at),
            from_ms(not_before),
            None if expires_at == NEVER else from_ms(expires_at),
            _when(revoked_at),
            _when(last_used_at),
            State(state),
        )


def _when(milliseconds: int) -> Optional[datetime]:
    return None if milliseconds == 0 else from_ms(milliseconds)


@dataclass(frozen=True)
class Issued:
    """A token that was just issued, and its text: the only copy there will ever be.

    >>> import tokenstore
    >>> with tokenstore.open_memory() as store:
    ...     issued = store.issue(Actor.user("alice"), scopes=["notes:read"])
    >>> issued.text
    <SecretText: reveal() shows it>
    >>> issued.text.reveal().startswith("pat_")
    True
    """

    text: _core.SecretText = field(compare=False)
    token: Token

    @property
    def id(self) -> str:
        """The public id of the token."""
        return self.token.id


@dataclass(frozen=True)
class Request:
    """One of the tokens that ``issue_many`` issues; as the arguments of ``issue``."""

    owner: str
    scopes: Sequence[str]
    description: str = ""
    metadata: bytes = b""
    lifetime: Union[timedelta, Lifetime] = Lifetime.DEFAULT
    not_before: Optional[datetime] = None


@dataclass(frozen=True)
class Page(Sequence[Item], Generic[Item]):
    """A part of a list, in order. It may hold fewer than were asked for, even none, and still have a next one."""

    items: Tuple[Item, ...]
    #: For ``cursor=`` of the next call; empty: there is no more.
    next: str

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Tuple[Item, ...]: ...
    def __getitem__(self, index: Union[int, slice]) -> Union[Item, Tuple[Item, ...]]:
        return self.items[index]


@dataclass(frozen=True)
class Counts:
    """How many tokens there are, by state."""

    active: int
    pending: int
    expired: int
    revoked: int


@dataclass(frozen=True)
class Owner:
    """An owner's settings: what they may do, whatever their tokens say."""

    owner: str
    may_issue: bool
    may_use: bool
    suspended: bool
    suspended_at: Optional[datetime]
    suspended_by: str
    suspend_reason: str
    tampered: bool  #: the seal does not verify: every token of theirs is denied

    @classmethod
    def _of(cls, raw: Tuple[Any, ...]) -> Owner:
        name, suspended_by, reason, suspended_at, may_not_issue, may_not_use, suspended, tampered = raw
        return cls(
            name,
            not may_not_issue,
            not may_not_use,
            bool(suspended),
            _when(suspended_at),
            suspended_by,
            reason,
            bool(tampered),
        )


@dataclass(frozen=True)
class Policy:
    """Rules of a workspace. To change one, replace it: ``dataclasses.replace(policy, never_allowed=True)``."""

    longest_lifetime: Union[timedelta, Lifetime] = timedelta(days=366)  #: or Lifetime.NEVER: no limit
    default_lifetime: timedelta = timedelta(days=90)  #: the longest lifetime if that is shorter
    most_active_per_owner: Optional[int] = None  #: active and pending tokens; None: no limit
    never_allowed: bool = False  #: may a token have no end?
    users_may_issue: bool = True  #: False: administrators and the host only
    tokens_enabled: bool = True  #: False: nothing validates, nothing is issued


@dataclass(frozen=True)
class Purged:
    """What a purge did; not complete: the time ran out, call it again."""

    removed: int
    complete: bool


@dataclass(frozen=True)
class Resealed:
    """What a slice of resealing did."""

    resealed: int  #: records that were under another key
    kept: int  #: under the active key already
    refused: int  #: not genuine: left as they are, for check() to name
    next: str  #: for ``cursor=`` of the next call; empty: all is done


@dataclass(frozen=True)
class Healed:
    """What was put forward again from the journal."""

    looked_at: int  #: lines of the journal that tell of a record's latest state
    ended: int  #: tokens that have ended again, or end again when they were to
    removed: int  #: tokens that had been deleted, and are deleted again
    settings: int  #: owners and the workspace
    refused: int  #: left as they are: not genuine, which denies them, or changed by others all the time


@dataclass(frozen=True)
class BackupInfo:
    """What a backup says of itself, under its seal."""

    made_at: datetime
    workspaces: int
    owners: int
    tokens: int
    revision: int  #: of all workspaces together: how many changes were announced
    store: str  #: the store's id


def backup_info(raw: Tuple[int, int, int, int, int, str]) -> BackupInfo:
    made_at, workspaces, owners, tokens, revision, store = raw
    return BackupInfo(from_ms(made_at), workspaces, owners, tokens, revision, store)


@dataclass(frozen=True)
class Restored:
    """What was restored, and what that undid."""

    made_at: datetime  #: of the backup
    tokens: int  #: in the backup
    owners: int
    compared: bool  #: there was a store, and it could be read: what is lost is counted below
    lost_endings: int  #: tokens that had ended or were deleted, and live again
    lost_suspensions: int  #: owners who were suspended, or might not use tokens, and may again
    lost_tokens: int  #: that were issued since
    lost_changes: int  #: other records that were changed since
    kept_file: Optional[Path]  #: the database that was there


@dataclass(frozen=True)
class Copied:
    """What a copy did."""

    workspaces: int
    tokens: int  #: seen in the source
    owners: int
    written: int  #: records put into the target, or removed there
    different: int  #: records that changed in the source meanwhile: copy again


@dataclass(frozen=True)
class KeyUsage:
    """What hangs on a key. It can be taken out when both are 0 in every workspace."""

    key_id: str
    seals: int
    living_tokens: int


@dataclass(frozen=True)
class KeyState:
    """A key and what hangs on it in a whole store."""

    key_id: str
    seals: int  #: records that it sealed
    living_tokens: int  #: tokens of its own that have not ended: they end with it
    use: Optional[KeyUse]  #: None: the keyring does not hold it


@dataclass(frozen=True)
class CheckReport:
    """What a check read and found. All is well if ``problems`` is 0."""

    tokens: int
    owners: int
    problems: int
    lines: Tuple[str, ...]  #: one line about each problem, at most 1000
    keys: Tuple[KeyUsage, ...]


@dataclass(frozen=True)
class KeyInfo:
    """A key of a keyring, without its secret."""

    id: str
    use: KeyUse


@dataclass(frozen=True)
class Unavailability:
    """Why a validation could not be answered: storage's own line, for the log."""

    message: str
    at: datetime


@dataclass(frozen=True)
class Statistics:
    """Counters of a store since it was opened, in this process."""

    hits: int  #: validations answered from the cache
    misses: int  #: validations that asked storage
    negative_hits: int  #: tokens known to be gone, answered from the cache
    malformed: int
    forged: int
    unavailable: int
    catch_ups: int  #: times the change feed was read
    dropped_all: int  #: catch-ups that had to forget everything
    evictions: int
    uses_written: int
    cached_tokens: int
    cache_bytes: int  #: memory the cache holds now
    not_kept_busy: int  #: not kept, because somebody else was filling the cache
    not_kept_changed: int  #: not kept, because something had changed meanwhile
    not_kept_no_room: int  #: not kept, because nothing could make room
    feed_mismatches: int  #: change feeds that did not fit what was read before
    keys_taken: int  #: times that others came into use in place of the keys
    keys_refused: int  #: times that the key file held none that could be taken
    rolled_back: int  #: denied or refused, because a record is an earlier state than the journal knows
    healed: int  #: records that were put forward again from the journal


def page_of(items: List[Item], next_cursor: str) -> Page[Item]:
    return Page(tuple(items), next_cursor)
