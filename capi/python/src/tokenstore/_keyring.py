"""Secret keys, for hosts that keep them outside of the key file beside the database."""

from __future__ import annotations

import os
from typing import Tuple, Union

from . import _core
from ._enums import KeyFileTrust, KeyUse
from ._values import KeyInfo

_GENERATED, _BYTES, _FILE, _CREDENTIAL, _TEXT = range(5)


class Keyring(_core.Keyring):
    """Master keys of 32 bytes, each under an id of two characters. One is active: it makes what is new.

    >>> keyring = Keyring.generate()
    >>> keyring.keys()
    (KeyInfo(id='0A', use=<KeyUse.ACTIVE: 1>),)
    """

    __slots__ = ()

    @classmethod
    def generate(cls) -> Keyring:
        """One new active key, "0A", from the system's random source."""
        return _core.make_keyring(cls, _GENERATED, None, None, 0)

    @classmethod
    def from_bytes(cls, key: Union[bytes, bytearray], id: str = "0A") -> Keyring:
        """One active key of 32 bytes. Wipe your own copy, if it is a bytearray."""
        return _core.make_keyring(cls, _BYTES, key, id, 0)

    @classmethod
    def from_file(cls, path: Union[str, os.PathLike[str]], trust: KeyFileTrust = KeyFileTrust.STRICT) -> Keyring:
        """Reads a key file."""
        return _core.make_keyring(cls, _FILE, path_text("path", path), None, trust_value(trust))

    @classmethod
    def from_credential(cls, name: str) -> Keyring:
        """Reads the key file that systemd hands to a service (LoadCredential=NAME:PATH)."""
        return _core.make_keyring(cls, _CREDENTIAL, _str("name", name), None, 0)

    @classmethod
    def from_text(cls, text: str) -> Keyring:
        """Reads the text of a key file that came from elsewhere."""
        return _core.make_keyring(cls, _TEXT, _str("text", text), None, 0)

    def add(self, id: str, key: Union[bytes, bytearray], use: KeyUse = KeyUse.VERIFY_ONLY) -> None:
        """Adds a key of 32 bytes."""
        if not isinstance(use, KeyUse):
            raise TypeError(f"use must be a KeyUse, not {type(use).__name__}")
        self._add(id, use.value, key)

    def keys(self) -> Tuple[KeyInfo, ...]:
        """The keys, without their secrets."""
        return tuple(KeyInfo(id, KeyUse(use)) for id, use in self._keys())

    def write_new_file(self, path: Union[str, os.PathLike[str]]) -> None:
        """Writes a new key file, mode 0600, durable on return. Never overwrites one."""
        self._write_new_file(path_text("path", path))

    def __repr__(self) -> str:
        return f"<Keyring {', '.join(f'{key.id} {key.use}' for key in self.keys())}>"


def path_text(name: str, path: Union[str, os.PathLike[str]]) -> str:
    try:
        text = os.fspath(path)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str or a path, not {type(path).__name__}")
    return text


def trust_value(trust: KeyFileTrust) -> int:
    if not isinstance(trust, KeyFileTrust):
        raise TypeError(f"the trust must be a KeyFileTrust, not {type(trust).__name__}")
    return trust.value


def _str(name: str, text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a str, not {type(text).__name__}")
    return text
