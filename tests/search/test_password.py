"""The password of a storage comes from the environment, as PostgreSQL's own programs read it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg

from eeg2fmri.errors import ConfigError
from eeg2fmri.search.storage import open_storage
from tests.postgres import postgres_server


def administer(address: str, statement: str) -> None:
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        connection.execute(statement)


def test_a_password_comes_from_the_environment(monkeypatch, refuses):
    with postgres_server() as database:
        address = database()
        administer(address, "CREATE ROLE lab LOGIN PASSWORD 's3cret' SUPERUSER")
        with closing(psycopg.connect(address)) as connection:
            (rules,) = connection.execute("SHOW hba_file").fetchone()
        Path(rules).write_text("local all lab scram-sha-256\n" + Path(rules).read_text())
        administer(address, "SELECT pg_reload_conf()")
        address = address.replace("postgres:@", "lab@")
        monkeypatch.setenv("PGPASSWORD", "s3cret")
        open_storage(address, 1, print).engine.dispose()
        monkeypatch.setenv("PGPASSWORD", "wr0ng")
        with refuses(ConfigError, "cannot be opened .*password authentication failed"):
            open_storage(address, 1, print)
