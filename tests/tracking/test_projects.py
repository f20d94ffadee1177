"""`mlflow run`, as a user types it: the work lands where the command puts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from eeg2fmri.tracking.runs import ENTRY_POINT
from tests.served import environment

ROOT = Path(__file__).parents[2]
TINY = "simulation.grid=[12, 13, 8]; simulation.channels=4; simulation.sampling_rate=100"
pytestmark = pytest.mark.slow


def project(folder: Path) -> None:
    """Simulate a tiny dataset by the entry point."""
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "simulate", "--env-manager", "local"]
    for name, value in {"out": folder / "dataset", "subjects": 1, "volumes": 3, "set": TINY}.items():
        command += ["-P", f"{name}={value}"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def runs(experiment: str) -> list[mlflow.entities.Run]:
    return mlflow.search_runs(experiment_names=[experiment], output_format="list")


@pytest.mark.usefixtures("tracking")
def test_the_work_is_in_the_study_s_experiment_and_the_project_s_run_leads_there(tmp_path):
    project(tmp_path)
    (outer,) = runs("Default")
    (inner,) = runs("eeg2fmri")
    assert (outer.info.status, inner.info.status) == ("FINISHED", "FINISHED")
    assert outer.info.run_name == inner.info.run_name == "simulate · eeg2fmri"
    assert inner.data.tags[ENTRY_POINT] == "simulate"
    assert inner.data.params["simulation.volumes"] == outer.data.params["volumes"] == "3"
    assert (
        f"#/experiments/{inner.info.experiment_id}/runs/{inner.info.run_id}" in outer.data.tags["mlflow.note.content"]
    )
