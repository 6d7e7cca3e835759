"""Opening a store."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, Optional, Tuple, Union

from . import _core, _sqlite_copies, _times
from ._clock import ManualClock
from ._enums import Durability, KeyFileTrust
from ._keyring import Keyring, path_text, trust_value
from ._store import TokenStore, opened

Key = Union[Keyring, bytes, bytearray]
_SQLITE, _MEMORY = 0, 1


def open(
    path: Union[str, os.PathLike[str]],
    *,
    key: Optional[Key] = None,
    key_file: Optional[Union[str, os.PathLike[str]]] = None,
    key_credential: Optional[str] = None,
    key_file_trust: KeyFileTrust = KeyFileTrust.STRICT,
    workspace: str = "default",
    prefix: str = "pat",
    must_exist: bool = False,
    workspace_must_exist: bool = False,
    read_only: bool = False,
    durability: Durability = Durability.FULL,
    upkeep_thread: bool = False,
    cache_bytes: Optional[int] = None,
    busy_timeout: Optional[timedelta] = None,
    use_interval: Optional[timedelta] = None,
    vfs: Optional[str] = None,
    clock: Optional[ManualClock] = None,
    journal: Optional[Union[str, os.PathLike[str]]] = None,
    journal_segment_bytes: int = 0,
    journal_segment_age: Optional[timedelta] = None,
) -> TokenStore:
    """Opens the store in a file, or creates it; many processes of one machine may have it open.

    The key is one of ``key`` (a Keyring or 32 bytes), ``key_file`` and ``key_credential`` (systemd's). With none of
    them it is the file "<path>.key", which is created together with a new database: see ``created_key_file``.

    ``workspace``: the tenant; one file holds many. ``prefix``: the first letters of the tokens. ``upkeep_thread``: one
    thread of the store's own calls ``maintain()``. ``cache_bytes``: memory for validated tokens, by default 64 MiB; 0
    is none. ``busy_timeout``: how long a write waits for another process, by default 5 s; zero is not at all.
    ``use_interval``: how often last uses are written out, by default each minute. ``journal``: a file outside the
    database that testifies to what was ended, so that an older database brings nothing back; it begins a new segment,
    in upkeep, when it has grown by ``journal_segment_bytes``, by default 64 MiB, or is older than ``journal_segment_age``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, open(folder + "/tokens.db") as store:
    ...     store.created_key_file.name
    'tokens.db.key'
    """
    if not isinstance(durability, Durability):
        raise TypeError(f"durability must be a Durability, not {type(durability).__name__}")
    return _opened(
        _SQLITE,
        path_text("path", path),
        _key_arguments(key, key_file, key_credential),
        (workspace, prefix, vfs, clock),
        (_busy_ms(busy_timeout), _times.default_or_ms("use_interval", use_interval), _cache(cache_bytes)),
        (durability.value, read_only, must_exist, workspace_must_exist, upkeep_thread, trust_value(key_file_trust)),
        None,
        (journal, journal_segment_bytes, journal_segment_age),
    )


def open_memory(
    *,
    key: Optional[Key] = None,
    workspace: str = "default",
    prefix: str = "pat",
    upkeep_thread: bool = False,
    cache_bytes: Optional[int] = None,
    use_interval: Optional[timedelta] = None,
    clock: Optional[ManualClock] = None,
) -> TokenStore:
    """Opens a store that lives in memory and ends with it: for tests and trials.

    >>> open_memory(workspace="acme")
    <TokenStore workspace='acme' prefix='pat'>
    """
    return _opened(
        _MEMORY,
        None,
        _key_arguments(key, None, None),
        (workspace, prefix, None, clock),
        (0, _times.default_or_ms("use_interval", use_interval), _cache(cache_bytes)),
        (0, False, False, False, upkeep_thread, 0),
        None,
    )


def open_postgres(
    conninfo: str,
    *,
    key: Optional[Key] = None,
    key_file: Optional[Union[str, os.PathLike[str]]] = None,
    key_credential: Optional[str] = None,
    key_file_trust: KeyFileTrust = KeyFileTrust.STRICT,
    workspace: str = "default",
    prefix: str = "pat",
    schema: str = "tokenstore",
    max_staleness: Optional[timedelta] = None,
    deadline: Optional[timedelta] = None,
    pool_size: Optional[int] = None,
    must_exist: bool = False,
    workspace_must_exist: bool = False,
    read_only: bool = False,
    listener_thread: bool = True,
    upkeep_thread: bool = False,
    cache_bytes: Optional[int] = None,
    use_interval: Optional[timedelta] = None,
    journal: Optional[Union[str, os.PathLike[str]]] = None,
    journal_segment_bytes: int = 0,
    journal_segment_age: Optional[timedelta] = None,
) -> TokenStore:
    """Opens a store in a PostgreSQL that several machines share.

    ``conninfo`` is libpq's: "host=db dbname=app user=app sslmode=verify-full", or a postgresql:// URI. The key has to
    be given, and be the same on every machine. ``max_staleness``: for how long after another machine's change this one
    may still answer from its cache, by default 1 s; zero asks the server on every call. ``deadline``: every call
    returns within it, by default 5 s. ``journal``: as for a file, one on each machine.
    """
    try:
        from . import _postgres
    except ImportError as error:
        raise ImportError(
            "tokenstore was built without PostgreSQL: install libpq's headers (Debian: libpq-dev) and build it again,"
            " pip install --no-binary tokenstore tokenstore"
        ) from error
    backend = _postgres.backend(
        conninfo,
        schema,
        _zero_is_none(max_staleness, "max_staleness"),
        _times.default_or_ms("deadline", deadline),
        0 if pool_size is None else pool_size,
        must_exist,
        read_only,
        not listener_thread,
    )
    return _opened(
        _SQLITE,
        None,
        _key_arguments(key, key_file, key_credential),
        (workspace, prefix, None, None),
        (0, _times.default_or_ms("use_interval", use_interval), _cache(cache_bytes)),
        (0, False, False, workspace_must_exist, upkeep_thread, trust_value(key_file_trust)),
        backend,
        (journal, journal_segment_bytes, journal_segment_age),
    )


def _opened(
    kind: int,
    path: Optional[str],
    keys: Tuple[Optional[str], Optional[str], Optional[Keyring]],
    names: Tuple[str, str, Optional[str], Optional[ManualClock]],
    limits: Tuple[int, int, int],
    flags: Tuple[int, bool, bool, bool, bool, int],
    backend: Any,
    journaling: Tuple[Optional[Union[str, os.PathLike[str]]], int, Optional[timedelta]] = (None, 0, None),
) -> TokenStore:
    key_file, key_credential, keyring = keys
    journal, segment_bytes, segment_age = journaling
    workspace, prefix, vfs, clock = names
    busy_ms, use_ms, cache_bytes = limits
    durability, read_only, must_exist, workspace_must_exist, upkeep_thread, trust = flags
    if path is not None:
        _sqlite_copies.before_opening(path)
    store = _core.open_store(
        TokenStore,
        kind,
        path,
        key_file,
        key_credential,
        keyring,
        workspace,
        prefix,
        vfs,
        clock,
        busy_ms,
        use_ms,
        cache_bytes,
        durability,
        read_only,
        must_exist,
        workspace_must_exist,
        upkeep_thread,
        trust,
        backend,
        None if journal is None else path_text("journal", journal),
        segment_bytes,
        _times.default_or_ms("journal_segment_age", segment_age),
    )
    if path is not None:
        _sqlite_copies.after_opening(store, path)
    return opened(store)


def _key_arguments(
    key: Optional[Key], key_file: Optional[Union[str, os.PathLike[str]]], key_credential: Optional[str]
) -> Tuple[Optional[str], Optional[str], Optional[Keyring]]:
    keyring = Keyring.from_bytes(key) if isinstance(key, (bytes, bytearray)) else key
    file = None if key_file is None else path_text("key_file", key_file)
    return file, key_credential, keyring


def _cache(cache_bytes: Optional[int]) -> int:
    if cache_bytes is None:
        return 0
    if not isinstance(cache_bytes, int) or isinstance(cache_bytes, bool):
        raise TypeError(f"cache_bytes must be an int or None, not {type(cache_bytes).__name__}")
    if cache_bytes < 0:
        raise ValueError("cache_bytes must be 0 (no cache) or more")
    return cache_bytes or -1


def _busy_ms(busy_timeout: Optional[timedelta]) -> int:
    return _zero_is_none(busy_timeout, "busy_timeout")


def _zero_is_none(duration: Optional[timedelta], name: str) -> int:
    """None is the library's default, and zero is none at all, which the library calls -1."""
    if duration == timedelta(0):
        return -1
    return _times.default_or_ms(name, duration)
