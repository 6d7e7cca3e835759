"""The journal as an audit trail: reading it, verifying it, and accepting what is left of a damaged one."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Deque, Iterator, List, Optional, Tuple, Union

from . import _core
from ._enums import Deed, Journaled, Problem
from ._keyring import Keyring, path_text
from ._times import NEVER, from_ms, to_ms
from ._values import Actor

_AT_ONCE = 1000
_Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class JournalEntry:
    """One change, as it was written down."""

    number: int  #: from 1 on, over all segments; 0: carried over from segments that are gone
    segment: int
    at: Optional[datetime]  #: None: not known
    ends_at: Optional[datetime]  #: of a token: its end since; None: none, or not known
    revision: int  #: of the record since; 0: none
    deed: Deed
    record: Journaled  #: what was changed
    gone: bool  #: the record was deleted
    workspace: str
    token_id: str  #: of a token
    key_id: str  #: of a key that was added, activated, retired or removed
    owner: str  #: whom it concerns, if known
    actor: str  #: "host", "user:NAME" or "administrator:NAME"; empty: not known
    reason: str


@dataclass(frozen=True)
class JournalProblem:
    """Something about a journal that is not as it was written."""

    kind: Problem
    accepted: bool  #: an administrator has looked at it, and a later entry says so
    segment: int
    octet: int  #: where in the file; what is before it is good
    entry: int  #: the number of the last good entry before it
    file: Path
    what: str


@dataclass(frozen=True)
class JournalReport:
    """What verifying found."""

    segments: int  #: that are good, to the end
    first_segment: int  #: more than 1: those before it are no longer there, which is no damage
    entries: int  #: that are good
    last_entry: int  #: the number of the last of them
    torn: int  #: bytes of a write at the end that did not come to its own: acknowledged to nobody, no damage
    problems: Tuple[JournalProblem, ...]
    damaged: bool  #: something is damaged or missing that nobody has accepted
    lacks_key: bool  #: something could not be read for lack of a key
    store: str  #: the store's id; zeroes if nothing could be read


@dataclass(frozen=True)
class JournalAcceptance:
    """What accepting did."""

    segment: int  #: the new one
    last_entry: int  #: the last that was good
    kept_file: Optional[Path]  #: where the file that was in use is now; None: it was missing


class JournalReading(Iterator[JournalEntry]):
    """The entries, oldest first. When they have ended, the attributes say how, and where to go on."""

    #: ``after`` of a later reading, of another process too; None until this one has ended.
    next: Optional[str]
    #: What is not as it was written; what is damaged is left out, and reading goes on behind it.
    problems: List[JournalProblem]
    #: Whether anything is damaged or missing that nobody has accepted.
    damaged: bool
    #: Whether anything could not be read for lack of a key.
    lacks_key: bool

    def __init__(
        self,
        journal: str,
        key: Keyring,
        since: int,
        until: int,
        deed: int,
        workspace: str,
        owner: str,
        token_id: str,
        actor: str,
        after: str,
    ) -> None:
        self._asked = (journal, key, since, until, deed, workspace, owner, token_id, actor)
        self._after = after
        self._waiting: Deque[JournalEntry] = deque()
        self._ended = False
        self.next = None
        self.problems = []
        self.damaged = False
        self.lacks_key = False

    def __iter__(self) -> JournalReading:
        return self

    def __next__(self) -> JournalEntry:
        while not self._waiting:
            if self._ended:
                self.next = self._after
                raise StopIteration
            self._read_on()
        return self._waiting.popleft()

    def _read_on(self) -> None:
        some: Deque[JournalEntry] = deque()
        problems: List[JournalProblem] = []

        def take(*raw: object) -> bool:
            some.append(_entry(*raw))  # type: ignore[arg-type]
            return len(some) == _AT_ONCE

        stopped, damaged, lacks_key, self._after = _core.journal_read(
            *self._asked, self._after, take, lambda *raw: problems.append(_problem(*raw))
        )
        self._waiting = some
        self._ended = not stopped
        self.problems += problems
        self.damaged = self.damaged or damaged
        self.lacks_key = self.lacks_key or lacks_key


def read_journal(
    journal: _Path,
    key: Keyring,
    *,
    since: Optional[datetime] = None,
    until: Optional[datetime] = None,
    deed: Optional[Deed] = None,
    workspace: str = "",
    owner: str = "",
    token_id: str = "",
    actor: str = "",
    after: str = "",
) -> JournalReading:
    """Reads the entries of all segments, oldest first; a store may write to it meanwhile, and need not be open here.

    ``since`` and ``until``: done then or later, and before then. ``actor`` as it is written, or the name in it alone.
    ``after``: the ``next`` of an earlier reading. Nothing is told that the keyring does not vouch for.
    """
    if deed is not None and not isinstance(deed, Deed):
        raise TypeError(f"deed must be a Deed or None, not {type(deed).__name__}")
    return JournalReading(
        path_text("journal", journal),
        _keyring(key),
        0 if since is None else to_ms("since", since),
        0 if until is None else to_ms("until", until),
        0 if deed is None else deed.value,
        workspace,
        owner,
        token_id,
        actor,
        after,
    )


def verify_journal(journal: _Path, key: Keyring) -> JournalReport:
    """Reads all of it, and says what is not as it was written. Damage is in the report, and no exception."""
    problems: List[JournalProblem] = []
    segments, first, entries, last, torn, _, damaged, lacks_key, store = _core.journal_verify(
        path_text("journal", journal), _keyring(key), lambda *raw: problems.append(_problem(*raw))
    )
    return JournalReport(segments, first, entries, last, torn, tuple(problems), damaged, lacks_key, store)


def accept_journal(journal: _Path, key: Keyring, actor: Actor) -> JournalAcceptance:
    """After somebody has looked: a new segment goes on from what is good of a damaged journal.

    The file that was in use is kept beside it under its number, and nothing is deleted. Refused: nothing is damaged, or
    nothing can be verified.
    """
    if not isinstance(actor, Actor):
        raise TypeError(f"actor must be an Actor, not {type(actor).__name__}")
    segment, last, kept = _core.journal_accept(actor.kind, actor.name, path_text("journal", journal), _keyring(key))
    return JournalAcceptance(segment, last, Path(kept) if kept else None)


def _entry(
    number: int,
    segment: int,
    at: int,
    ends_at: int,
    revision: int,
    deed: int,
    record: int,
    gone: bool,
    workspace: str,
    token_id: str,
    key_id: str,
    owner: str,
    actor: str,
    reason: str,
) -> JournalEntry:
    ends = None if ends_at in (0, NEVER) else from_ms(ends_at)
    return JournalEntry(
        number,
        segment,
        None if at == 0 else from_ms(at),
        ends,
        revision,
        Deed(deed),
        Journaled(record),
        gone,
        workspace,
        token_id,
        key_id,
        owner,
        actor,
        reason,
    )


def _problem(kind: int, accepted: bool, segment: int, octet: int, entry: int, file: str, what: str) -> JournalProblem:
    return JournalProblem(Problem(kind), accepted, segment, octet, entry, Path(file), what)


def _keyring(key: Keyring) -> Keyring:
    if not isinstance(key, Keyring):
        raise TypeError(f"key must be a Keyring, not {type(key).__name__}")
    return key
