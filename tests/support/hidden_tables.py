"""Takes the tables of a SQLite store away and brings them back, so that storage fails meanwhile.

    python3 hidden_tables.py hide|show DATABASE

Afterwards the schema is what it was to the letter: a store refuses any other.
"""
import contextlib
import sqlite3
import sys


def _tables(database):
    return [name for name, in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]


@contextlib.contextmanager
def _opened(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield database
        database.execute("COMMIT")


def hide(path):
    with _opened(path) as database:
        names = _tables(database)
        assert len(names) > 1, "there are no tables to hide"
        for name in names:
            database.execute(f'ALTER TABLE "{name}" RENAME TO "{name}_hidden"')


def show(path):
    with _opened(path) as database:
        names = [name.removesuffix("_hidden") for name in _tables(database)]
        for name in names:
            database.execute(f'ALTER TABLE "{name}_hidden" RENAME TO "{name}"')
        # Renaming has put the names into quotation marks.
        database.execute("PRAGMA writable_schema = ON")
        for name in names:
            database.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?)", (f'"{name}"', name))
        version, = database.execute("PRAGMA schema_version").fetchone()
        database.execute(f"PRAGMA schema_version = {version + 1}")


@contextlib.contextmanager
def hidden_tables(path):
    """Without its tables the database answers everything with an error."""
    hide(path)
    try:
        yield
    finally:
        show(path)


if __name__ == "__main__":
    {"hide": hide, "show": show}[sys.argv[1]](sys.argv[2])
