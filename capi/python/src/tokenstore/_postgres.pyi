"""The extension for PostgreSQL: there where the package was built with libpq."""

def backend(
    conninfo: str,
    schema: str,
    max_staleness: int,
    deadline: int,
    pool_size: int,
    must_exist: bool,
    read_only: bool,
    no_listener_thread: bool,
    /,
) -> object: ...
