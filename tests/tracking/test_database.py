"""The tracking database at first use, and what killed processes leave in it: real processes, real kills."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable

import mlflow
import pytest

from eeg2fmri.errors import BusyError, TrackingError
from eeg2fmri.tracking import alone, database, tracked_run
from eeg2fmri.tracking.database import OWNER, create_tables, open_tracking

EXPERIMENT = "tests"


def forked(work: Callable[[], object]) -> int:
    """Do work in a child, which ends with status 0 or 1; gives its number."""
    if child := os.fork():
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def status(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def whole(path) -> bool:
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT name FROM experiments").fetchall() == [("Default",)]


@pytest.mark.slow
def test_two_first_commands_make_one_database_and_a_kill_within_leaves_none(tmp_path):
    path = tmp_path / "mlflow.db"
    killed = forked(lambda: create_tables(path))
    deadline = time.monotonic() + 60
    while not any(p.name.endswith("mlflow.db") and p.stat().st_size for p in tmp_path.glob(".part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(killed, signal.SIGKILL)
    assert status(killed) == -signal.SIGKILL
    assert not path.exists()
    assert [status(child) for child in [forked(lambda: create_tables(path)) for _ in range(2)]] == [0, 0]
    assert whole(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_that_was_left_half_made_is_named(tmp_path, refuses):
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE experiments (name TEXT)")
    with refuses(TrackingError, r"mlflow.db: a database without versions of its tables; .* so delete it"):
        create_tables(path)
    path.write_text("not a database, but long enough to be read as one" * 30)
    with refuses(TrackingError, r"mlflow.db: not a database .*delete it"):
        create_tables(path)


def open_runs() -> list[str]:
    found = mlflow.search_runs(search_all_experiments=True, filter_string="attributes.status = 'RUNNING'",
                               output_format="list")  # fmt: skip
    return [run.info.run_id for run in found]


def killed_in_runs() -> int:
    """Number of a process that was killed with a run and its child open."""

    def work():
        with tracked_run("main", experiment=EXPERIMENT), tracked_run("train", experiment=""):
            die()

    child = forked(work)
    assert status(child) == -signal.SIGKILL
    assert len(open_runs()) == 2
    return child


def test_runs_of_a_killed_process_are_closed_by_the_next_one(tracking, monkeypatch):
    open_tracking()
    mlflow.set_experiment(EXPERIMENT)
    killed_in_runs()
    with tracked_run("other", experiment=EXPERIMENT) as mine:  # opened before; only a new process looks
        monkeypatch.setattr(database, "_opened", set())
        open_tracking()
        assert open_runs() == [mine.run_id]
    ends = {run.info.status for run in mlflow.search_runs(search_all_experiments=True, output_format="list")}
    assert ends == {"KILLED", "FINISHED"}


def test_runs_of_another_machine_are_closed_by_the_step_that_finds_its_lock_free(
    tracking, tmp_path, monkeypatch, refuses
):
    open_tracking()
    lock = tmp_path / ".step.lock"
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")

    def work():
        with alone(lock, "work", "main", "give another"), tracked_run("main", experiment=EXPERIMENT):
            die()

    mlflow.set_experiment(EXPERIMENT)
    assert status(forked(work)) == -signal.SIGKILL
    monkeypatch.undo()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    monkeypatch.setattr(database, "_opened", set())
    open_tracking()
    (left,) = open_runs()
    assert mlflow.get_run(left).data.tags[OWNER].startswith("elsewhere/")
    with alone(lock, "work", "main", "give another"):
        assert open_runs() == []
        with (
            refuses(BusyError, rf"^work: in use by process {os.getpid()} on"),
            alone(lock, "work", "main", "give another"),
        ):
            pass
    assert mlflow.get_run(left).info.status == "KILLED"
