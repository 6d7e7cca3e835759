"""The library's numbers, by name. The values are those of the C header, which tests compare."""

from __future__ import annotations

import enum


class _Named(enum.Enum):
    """An enum whose text is the name that the library uses in logs."""

    def __str__(self) -> str:
        return self.name.lower()


class Outcome(_Named):
    """The answer of a validation.

    >>> str(Outcome.VALID)
    'valid'
    """

    UNAVAILABLE = 0  #: storage cannot be asked: refuse, and do not call the token bad
    VALID = 1
    INVALID = 2


class Reason(_Named):
    """Why, for your audit log alone. Tell a client the outcome, and INSUFFICIENT_SCOPE, nothing else.

    >>> str(Reason.INSUFFICIENT_SCOPE)
    'insufficient_scope'
    """

    NONE = 0  #: valid
    MALFORMED = 1  #: not a token of this store's form
    FORGED = 2  #: well-formed, but not made with a key of this keyring
    UNKNOWN = 3  #: never issued, removed or purged
    WRONG_SECRET = 4
    TAMPERED = 5  #: a stored record's seal does not verify, or settings are missing
    RETIRED_KEY = 6
    REVOKED = 7
    EXPIRED = 8
    PENDING = 9
    OWNER_SUSPENDED = 10
    OWNER_MAY_NOT_USE = 11
    TOKENS_DISABLED = 12
    INSUFFICIENT_SCOPE = 13
    STORAGE = 14  #: unavailable: storage failed
    ROLLED_BACK = 15  #: a stored record is an earlier state than the journal knows: it was put back


class State(_Named):
    """State of a token: revoked, else expired, else pending, else active."""

    ACTIVE = 1
    PENDING = 2  #: its not_before lies ahead
    EXPIRED = 3
    REVOKED = 4
    TAMPERED = 5  #: its seal does not verify: nothing but the id can be believed


class Lifetime(_Named):
    """A lifetime that is no timedelta: ``Lifetime.NEVER`` is said outright, and only where policy allows it."""

    NEVER = -1
    DEFAULT = 0  #: the policy's default


class KeyUse(_Named):
    """What a key of a keyring is for."""

    ACTIVE = 1
    VERIFY_ONLY = 2  #: what it made still validates
    RETIRED = 3  #: its tokens have ended


class Deed(_Named):
    """What was done, of a line in the journal."""

    ISSUED = 1
    REVOKED = 2
    EXPIRED = 3  #: at once or, ``ends_at`` says, later
    REMOVED = 4  #: deleted by somebody
    PURGED = 5  #: deleted because it had ended long ago
    SUSPENDED = 6
    RESUMED = 7
    OWNER_SET = 8
    ALL_REVOKED = 9
    POLICY_SET = 10
    WORKSPACE_MADE = 11
    RESEALED = 12
    LEARNED = 13  #: another host's change, as storage shows it
    HEALED = 14  #: put forward again from the journal
    KEY_ADDED = 15
    KEY_ACTIVATED = 16
    KEY_RETIRED = 17
    KEY_REMOVED = 18
    ACCEPTED = 19  #: what is left of a damaged journal, by an administrator


class Journaled(_Named):
    """What a line in the journal is about."""

    TOKEN = 1
    OWNER = 2
    WORKSPACE = 3
    STORE = 4


class Problem(_Named):
    """What is not as it was written in a journal."""

    DAMAGED = 1  #: altered, cut short, or not what belongs there
    MISSING = 2  #: a segment is gone, though not the earliest
    NO_KEY = 3  #: written under a key that is retired or not in the keyring: it cannot be told


class KeyFileTrust(enum.Flag):
    """Which files keys are taken from. Each weakening has a name; they are added up by ``|``."""

    STRICT = 0
    GROUP_READABLE_OF_ROOT = 1
    WORLD_READABLE_OF_ROOT = 2
    INHERITED_DESCRIPTOR = 4


class Durability(_Named):
    """What an acknowledged change survives."""

    FULL = 0  #: a power cut
    SURVIVES_CRASH_BUT_NOT_POWER_CUT = 1
