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
