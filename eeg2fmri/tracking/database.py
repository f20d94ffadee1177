"""First use of the tracking database by a process: its tables, and the runs that killed processes left open."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow

from eeg2fmri.errors import TrackingError, without_secrets
from eeg2fmri.files import held, written_whole
from eeg2fmri.processes import Owner
from eeg2fmri.server import check_server

if TYPE_CHECKING:
    from mlflow.entities import Run

SQLITE = "sqlite:///"
OWNER = "mlflow.eeg2fmri.process"  # tag of a run: the process that has it open
_opened: set[tuple[str, str]] = set()


def open_tracking() -> None:
    """Refuse a server that does not answer, make the tables of a new SQLite file, and close runs of dead processes.

    Only the first call of a process for a database does something.

    Raises
    ------
    TrackingError
        If a server does not answer, or the making of a database was stopped.
    """
    check_server()
    uris = (mlflow.get_tracking_uri(), mlflow.get_registry_uri())
    if without_secrets(uris[0]) != uris[0]:
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it prints the address with each run that ends
    if uris in _opened and all(file.exists() for file in map(_file, uris) if file):
        return
    for file in map(_file, uris):
        if file:
            create_tables(file)
    _opened.add(uris)
    _close_left_runs()


@contextmanager
def alone(path: Path, what: str, work: str, instead: str) -> Iterator[None]:
    """Do the work of a step that no other process may do at once; parameters and errors as `held`.

    The runs of a process that was killed at this work are closed, wherever it ran.
    """
    with held(path, what, work, instead=instead) as left:
        if left:
            open_tracking()
            _close(f"tags.`{OWNER}` = '{left}'")
        yield


def _close_left_runs() -> None:
    """Close as killed the runs of processes of this machine that ended without a word, e.g. by SIGKILL."""
    _close(f"tags.`{OWNER}` LIKE '%'", lambda owner: owner.is_dead())


def _close(of: str, which: Callable[[Owner], bool] = lambda _: True) -> None:
    client = mlflow.MlflowClient()
    found: Sequence[Run] = mlflow.search_runs(
        search_all_experiments=True, filter_string=f"attributes.status = 'RUNNING' and {of}", output_format="list"
    )
    for run in found:
        if which(Owner.parse(run.data.tags[OWNER])):
            client.set_terminated(run.info.run_id, "KILLED")


def _file(uri: str) -> Path | None:
    """Return the file of an SQLite database; ``None`` for others."""
    name = uri.removeprefix(SQLITE).partition("?")[0]
    return Path(name).absolute() if uri.startswith(SQLITE) and name not in ("", ":memory:") else None


def create_tables(path: Path) -> None:
    """Make MLflow's tables in a new SQLite file, which gets its name when it is whole.

    MLflow makes tables over seconds and in many steps. A kill within them, or another first command beside it, would
    leave a database that no command can use. So one process makes them in another file, and others wait.
    """
    if _is_whole(path):
        return
    with held(path.with_name(f".{path.name}.lock"), str(path), "making the tables", wait=True):
        if _is_whole(path):  # the process that was waited for has made it
            return
        with written_whole(path) as part:
            mlflow.MlflowClient(f"{SQLITE}{part}").search_experiments(max_results=1)


def _is_whole(path: Path) -> bool:
    """Return whether the database is there; refuse one whose creation was stopped."""
    if not path.exists() or not path.stat().st_size:
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" in tables and connection.execute("SELECT 1 FROM alembic_version").fetchone():
                return True
    except sqlite3.DatabaseError as err:
        raise TrackingError(f"{path}: not a database ({err}); delete it or set MLFLOW_TRACKING_URI") from err
    raise TrackingError(f"{path}: a database without versions of its tables; its creation was stopped, so delete it")
