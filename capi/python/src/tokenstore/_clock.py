"""A clock for tests."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Optional

from . import _core
from ._times import from_ms, to_ms

_MILLISECOND = timedelta(milliseconds=1)


class ManualClock(_core.Clock):
    """A clock that stands still until it is told to move, for ``open(..., clock=...)`` in tests.

    >>> import tokenstore
    >>> clock = ManualClock(datetime(2030, 1, 1, tzinfo=timezone.utc))
    >>> with tokenstore.open_memory(clock=clock) as store:
    ...     issued = store.issue(tokenstore.Actor.user("alice"), scopes=["read"], lifetime=timedelta(hours=1))
    ...     clock.advance(timedelta(hours=1))
    ...     store.validate(issued.text, "read").reason
    <Reason.EXPIRED: 8>
    """

    __slots__ = ()

    def __new__(cls, start: Optional[datetime] = None) -> ManualClock:
        return super().__new__(cls, to_ms("start", datetime.now(timezone.utc) if start is None else start))

    def now(self) -> datetime:
        """What the clock shows."""
        return from_ms(self._wall())

    def advance(self, by: timedelta) -> None:
        """Moves it on, as time does."""
        if not isinstance(by, timedelta):
            raise TypeError(f"by must be a timedelta, not {type(by).__name__}")
        self._advance(by // _MILLISECOND)

    def set(self, time: datetime) -> None:
        """Sets it, as an administrator sets a wall clock, back as well: the store's own now never goes back."""
        self._set(to_ms("time", time))

    def __repr__(self) -> str:
        return f"<ManualClock {self.now().isoformat()}>"
