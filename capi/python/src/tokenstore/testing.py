"""For those who test their own code: storage that fails or waits on demand, without a file and without a server.

>>> from tokenstore.testing import open_faulty
>>> store, storage = open_faulty()
>>> issued = store.issue(Actor.user("alice"), scopes=["notes:read"])
>>> with storage.failing():
...     store.validate(issued.text, "notes:read").http_status
503
>>> store.validate(issued.text, "notes:read").http_status
200

With pytest there are fixtures, as soon as the package is installed: ``tokenstore_store``, a store in memory whose clock
is ``tokenstore_clock`` (it stands still until the test moves it) and whose storage is ``tokenstore_storage``;
``tokenstore_token("notes:read")`` issues a token in that store. Nothing of this is for production.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import Iterator, Optional, Tuple

from . import _core, _open, _times
from ._clock import ManualClock
from ._keyring import Keyring
from ._store import TokenStore
from ._values import Actor

__all__ = ["Actor", "FaultyStorage", "ManualClock", "open_faulty"]


class FaultyStorage(_core.Faults):
    """Storage in memory that does what it is told. Made by ``open_faulty()``."""

    __slots__ = ()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Meanwhile everything fails: changes raise Unavailable, and verdicts are UNAVAILABLE, of known tokens too."""
        before = self._set_failing(True)
        try:
            yield
        finally:
            self._set_failing(before)

    @contextmanager
    def waiting(self, delay: timedelta) -> Iterator[None]:
        """Meanwhile whatever asks storage waits for so long first. A token that memory knows is answered at once."""
        before = self._set_delay(_times.duration_ms("delay", delay))
        try:
            yield
        finally:
            self._set_delay(before)

    @property
    def calls(self) -> int:
        """How often storage was asked for anything."""
        return self._calls()

    def __repr__(self) -> str:
        return f"<FaultyStorage asked {self.calls} times>"


def open_faulty(
    *,
    key: Optional[Keyring] = None,
    workspace: str = "default",
    prefix: str = "pat",
    cache_bytes: Optional[int] = None,
    use_interval: Optional[timedelta] = None,
    clock: Optional[ManualClock] = None,
) -> Tuple[TokenStore, FaultyStorage]:
    """Opens a store in memory, and hands over its storage with it. The options are those of ``open_memory``."""
    storage = FaultyStorage()
    store = _open._opened(
        _open._SQLITE,
        None,
        (None, None, Keyring.generate() if key is None else key),
        (workspace, prefix, None, clock),
        (0, _times.default_or_ms("use_interval", use_interval), _open._cache(cache_bytes)),
        (0, False, False, False, False, 0),
        storage._backend(),
    )
    return store, storage
