"""Two copies of SQLite in one process on one file lose each other's locks, and with them what the file holds.

An extension that is linked with the system's libsqlite3, as on Debian, shares it with Python's own sqlite3 module: then
there is nothing to do here. A wheel that carries a copy of its own is another matter: while it is loaded beside
Python's, a file is opened by one of the two alone. Whoever comes second is refused.

What this does not see: a third copy that opens the file later, and ATTACH.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any, Optional, Tuple

from . import _core
from ._errors import CannotOpen

_Identity = Tuple[int, int]

# Which file each open store holds.
_held: weakref.WeakKeyDictionary[_core.Store, _Identity] = weakref.WeakKeyDictionary()
_shared: Optional[bool] = None


def _sqlite_of(extension: Optional[str]) -> Optional[int]:
    """Where the SQLite is that this shared object calls; None if it has one that nobody else can see."""
    import ctypes  # as others below: not at every import of the package

    try:
        return ctypes.cast(ctypes.CDLL(extension).sqlite3_open_v2, ctypes.c_void_p).value
    except (AttributeError, OSError):
        return None


def shared() -> bool:
    """Whether Python's sqlite3 module, loaded or not, calls the same SQLite as this package."""
    global _shared
    if _shared is None:
        import importlib.util

        try:
            spec = importlib.util.find_spec("_sqlite3")
        except (ImportError, ValueError):
            spec = None
        # Without the module there is nobody to share with, and nobody to fall out with.
        theirs = None if spec is None or not spec.has_location else spec.origin
        ours = _sqlite_of(_core.__file__)
        _shared = spec is None or (ours is not None and ours == _sqlite_of(theirs))
        if not _shared:
            sys.addaudithook(_on_event)
    return _shared


def before_opening(path: str) -> None:
    """Refuses a file that somebody else in this process has open, if that may be another copy of SQLite."""
    if shared():
        return
    wanted = _identity(path)
    if wanted is None or _is_held(wanted):
        return
    for descriptor in os.listdir("/proc/self/fd"):
        if _identity(f"/proc/self/fd/{descriptor}") == wanted:
            raise CannotOpen(
                "this process has the file open by another copy of SQLite, Python's sqlite3 perhaps, and each would"
                " lose the other's locks: close it there first, or build tokenstore with the system's SQLite"
            )


def after_opening(store: _core.Store, path: str) -> None:
    if not shared():
        held = _identity(path)
        if held is not None:
            _held[store] = held


def _identity(path: Any) -> Optional[_Identity]:
    try:
        status = os.stat(path)
    except (OSError, ValueError, TypeError):
        return None
    return status.st_dev, status.st_ino


def _is_held(identity: _Identity) -> bool:
    return any(held == identity and not store._is_closed() for store, held in tuple(_held.items()))


def _on_event(event: str, arguments: Tuple[Any, ...]) -> None:
    if event != "sqlite3.connect" or not _held:
        return
    place = arguments[0]
    paths = [place]
    if isinstance(place, str) and place.startswith("file:"):
        import urllib.parse

        paths.append(urllib.parse.unquote(urllib.parse.urlsplit(place).path))
    if any(identity is not None and _is_held(identity) for identity in map(_identity, paths)):
        raise CannotOpen(
            "this process has the file open as a TokenStore, by another copy of SQLite, and each would lose the other's"
            " locks: look at it from another process, or build tokenstore with the system's SQLite"
        )
