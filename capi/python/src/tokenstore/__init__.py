"""Access tokens for servers, in-process: issue, validate, expire, list and revoke them.

>>> import tokenstore
>>> store = tokenstore.open_memory()  # or tokenstore.open("tokens.db")
>>> alice = tokenstore.Actor.user("alice")
>>> issued = store.issue(alice, scopes=["notes:read"], description="laptop")
>>> text = issued.text.reveal()  # hand it to alice now: it is kept nowhere
>>> verdict = store.validate(text, "notes:read")
>>> verdict.valid, verdict.owner
(True, 'alice')

Let a request go on if and only if ``verdict.valid`` is true. Every error is a ``tokenstore.Error``.
"""

from . import _core
from ._clock import ManualClock
from ._core import SecretText, Verdict
from ._enums import (
    Deed,
    Durability,
    Journaled,
    KeyFileTrust,
    KeyUse,
    Lifetime,
    Outcome,
    Problem,
    Reason,
    State,
)
from ._errors import (
    BY_STATUS,
    BufferTooSmall,
    CannotOpen,
    Closed,
    Conflict,
    Error,
    Internal,
    InvalidArgument,
    JournalDamaged,
    NewerSchema,
    NotAStore,
    NotFound,
    NotJournaled,
    OutOfMemory,
    PermissionDenied,
    ReadOnly,
    Refused,
    StorageFull,
    Tampered,
    Unavailable,
    Unknown,
    Unsupported,
    WrongKey,
)
from ._journal import (
    JournalAcceptance,
    JournalEntry,
    JournalProblem,
    JournalReading,
    JournalReport,
    accept_journal,
    read_journal,
    verify_journal,
)
from ._keyring import Keyring
from ._open import open, open_memory, open_postgres
from ._restore import restore, verify_backup
from ._store import TokenStore
from ._times import from_ms as _from_ms
from ._values import (
    PAGE_MAX,
    Actor,
    BackupInfo,
    CheckReport,
    Copied,
    Counts,
    Healed,
    Issued,
    KeyInfo,
    KeyState,
    KeyUsage,
    Owner,
    Page,
    Policy,
    Purged,
    Request,
    Resealed,
    Restored,
    Statistics,
    Token,
    Unavailability,
)

#: The version of the library in use, such as "0.1.0".
__version__: str = _core.version

_core.register(BY_STATUS, tuple(Outcome), tuple(Reason), Closed, _from_ms)

__all__ = [
    "PAGE_MAX",
    "Actor",
    "BackupInfo",
    "BufferTooSmall",
    "CannotOpen",
    "CheckReport",
    "Closed",
    "Conflict",
    "Copied",
    "Counts",
    "Deed",
    "Durability",
    "Error",
    "Healed",
    "Internal",
    "InvalidArgument",
    "Issued",
    "JournalAcceptance",
    "JournalDamaged",
    "JournalEntry",
    "JournalProblem",
    "JournalReading",
    "JournalReport",
    "Journaled",
    "KeyFileTrust",
    "KeyInfo",
    "KeyState",
    "KeyUsage",
    "KeyUse",
    "Keyring",
    "Lifetime",
    "ManualClock",
    "NewerSchema",
    "NotAStore",
    "NotFound",
    "NotJournaled",
    "OutOfMemory",
    "Outcome",
    "Owner",
    "Page",
    "PermissionDenied",
    "Policy",
    "Problem",
    "Purged",
    "ReadOnly",
    "Reason",
    "Refused",
    "Request",
    "Resealed",
    "Restored",
    "SecretText",
    "State",
    "Statistics",
    "StorageFull",
    "Tampered",
    "Token",
    "TokenStore",
    "Unavailability",
    "Unavailable",
    "Unknown",
    "Unsupported",
    "Verdict",
    "WrongKey",
    "accept_journal",
    "open",
    "open_memory",
    "open_postgres",
    "read_journal",
    "restore",
    "verify_backup",
    "verify_journal",
]
