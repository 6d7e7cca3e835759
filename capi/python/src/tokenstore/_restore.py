"""Restoring a backup."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Optional, Union

from . import _core, _times
from ._keyring import Keyring, path_text
from ._values import BackupInfo, Restored, backup_info


def verify_backup(backup: Union[str, os.PathLike[str]], key: Keyring) -> BackupInfo:
    """Reads a backup to its end and verifies its seal.

    NotAStore: it is none, or was cut short. Tampered: it was altered, or is of another keyring's store.
    """
    return backup_info(_core.verify_backup(path_text("backup", backup), _keyring(key)))


def restore(
    backup: Union[str, os.PathLike[str]],
    path: Union[str, os.PathLike[str]],
    key: Optional[Keyring] = None,
    overwrite: bool = False,
    progress: Optional[Callable[[int, Optional[int]], object]] = None,
) -> Restored:
    """Verifies a backup and puts what it holds in the place of a SQLite database, in one step; the old file is kept.

    Without ``key`` the keys are those of "<path>.key". ``overwrite``: a store that has what the backup has not, or cannot
    be read, is replaced too; else that is a Conflict. Whoever has the old file open is told Unavailable, and opens the
    store again.
    """
    database = path_text("path", path)
    keyring = Keyring.from_file(database + ".key") if key is None else _keyring(key)
    made_at, tokens, owners, compared, endings, suspensions, issued, changes, kept = _core.restore(
        path_text("backup", backup), keyring, database, overwrite, progress
    )
    kept_file = Path(kept) if kept else None
    return Restored(
        _times.from_ms(made_at), tokens, owners, compared, endings, suspensions, issued, changes, kept_file
    )


def _keyring(key: Keyring) -> Keyring:
    if not isinstance(key, Keyring):
        raise TypeError(f"key must be a Keyring, not {type(key).__name__}")
    return key
