"""What the service serves: short notes, each owner their own, in a file that its workers share."""

import contextlib
import sqlite3
from typing import Iterator, List

MOST_PER_OWNER = 100


class Notes:
    def __init__(self, path: str) -> None:
        self._path = path
        with self._opened() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE IF NOT EXISTS notes (owner TEXT NOT NULL, note TEXT NOT NULL)")

    # For each call anew: a connection that was open before a fork may not be used after it.
    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as database, database:
            yield database

    def of(self, owner: str) -> List[str]:
        with self._opened() as database:
            rows = database.execute("SELECT note FROM notes WHERE owner = ? ORDER BY rowid", (owner,))
            return [note for note, in rows]

    def add(self, owner: str, note: str) -> bool:
        """False: the owner has as many as they may."""
        with self._opened() as database:
            done = database.execute(
                "INSERT INTO notes SELECT ?1, ?2 WHERE (SELECT count(*) FROM notes WHERE owner = ?1) < ?3",
                (owner, note, MOST_PER_OWNER),
            )
            return done.rowcount == 1

    def clear(self, owner: str) -> None:
        with self._opened() as database:
            database.execute("DELETE FROM notes WHERE owner = ?", (owner,))
