"""What can go wrong: one class for each status of the library, all of them under Error.

The text of an exception is the library's one line for people. It never holds a token or a key.
"""

from __future__ import annotations

from typing import ClassVar, Tuple, Type


class Error(Exception):
    """The base of every error of the library."""

    #: The number in the C header.
    status: ClassVar[int] = 0


class InvalidArgument(Error, ValueError):
    """An argument breaks a documented rule; nothing changed."""

    status = 1


class NotFound(Error, LookupError):
    """There is no such token or owner, or it is not the actor's to see."""

    status = 2


class PermissionDenied(Error):
    """The actor may not do this to anyone."""

    status = 3


class Refused(Error):
    """Policy, the owner's settings or a cap forbid it."""

    status = 4


class Conflict(Error):
    """Somebody else changed the same thing meanwhile: ask again."""

    status = 5


class Unavailable(Error):
    """Storage failed; nothing happened."""

    status = 6


class Unknown(Error):
    """Storage failed at the end: it may have happened. Read to find out."""

    status = 7


class ReadOnly(Error):
    """The store was opened, or its file can only be, read."""

    status = 8


class Tampered(Error):
    """A stored record's seal does not verify."""

    status = 9


class WrongKey(Error):
    """The keyring is missing, malformed, or not this store's."""

    status = 10


class NotAStore(Error):
    """The file belongs to something else, or is damaged."""

    status = 11


class NewerSchema(Error):
    """The file was written by a newer version of the library."""

    status = 12


class StorageFull(Error):
    """No space is left; nothing happened."""

    status = 13


class BufferTooSmall(Error):
    """A buffer cannot hold the answer; nothing happened."""

    status = 14


class OutOfMemory(Error, MemoryError):
    """No memory is left; nothing happened."""

    status = 15


class CannotOpen(Error):
    """The path cannot be opened, created or used safely."""

    status = 16


class Unsupported(Error):
    """The storage or the platform cannot do this."""

    status = 17


class Internal(Error):
    """A defect of the library: please report it."""

    status = 18


class JournalDamaged(Error):
    """The journal was cut short or altered: look at it, then accept what is left."""

    status = 19


class NotJournaled(Error):
    """The change holds, but could not be written to the journal."""

    status = 20


class Closed(Error, ValueError):
    """The store was closed: open it again."""


#: By status.
BY_STATUS: Tuple[Type[Error], ...] = (
    Error,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Refused,
    Conflict,
    Unavailable,
    Unknown,
    ReadOnly,
    Tampered,
    WrongKey,
    NotAStore,
    NewerSchema,
    StorageFull,
    BufferTooSmall,
    OutOfMemory,
    CannotOpen,
    Unsupported,
    Internal,
    JournalDamaged,
    NotJournaled,
)

# In a traceback they are named as programs name them.
for _kind in (*BY_STATUS, Closed):
    _kind.__module__ = "tokenstore"
