"""A lab's own study, from `inspect` to a served champion, with the commands of the README and nothing else.

The study is simulated: 5 subjects, 32 EEG channels, 300 volumes of 40 x 48 x 24 voxels. Nothing in its folder
says so. The linear family passed the gate with each of the seeds 0, 1 and 2 of this size.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from eeg2fmri.config import SimulationConfig
from eeg2fmri.serving.arrays import encode
from eeg2fmri.simulation import simulate
from tests.served import ask, environment, served, served_model

pytestmark = pytest.mark.slow
README = Path(__file__).parents[2] / "README.md"
CHANNELS, GRID, RATE, TR = 32, (40, 48, 24), 250.0, 2.16


def own_data_commands() -> list[str]:
    """Commands of the section "Your own data" of the README."""
    section = re.split(r"(?m)^## ", README.read_text(encoding="utf-8").split("## Your own data")[1])[0]
    (block,) = re.findall(r"```bash\n(.*?)```", section, flags=re.DOTALL)
    return [line.partition("#")[0].strip() for line in block.splitlines()]


COMMANDS = own_data_commands()
JOBS = [command for command in COMMANDS if command.startswith("eeg2fmri")]
UI, SERVE = [command for command in COMMANDS if command.startswith("mlflow")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `my-study` in it, as a lab has it."""
    path = tmp_path_factory.mktemp("lab")
    size = SimulationConfig(subjects=5, volumes=300, channels=CHANNELS, grid=GRID, sampling_rate=RATE, tr=TR, seed=0)
    study = simulate(size, path / "my-study")
    shutil.rmtree(study / "derivatives")
    description = {"Name": "Rest in the scanner", "BIDSVersion": "1.9.0", "DatasetType": "raw"}
    (study / "dataset_description.json").write_text(json.dumps(description))
    return path


@pytest.fixture(scope="module")
def env():
    kept = environment()
    return {key: value for key, value in kept.items() if not key.startswith("MLFLOW_") or "TELEMETRY" in key}


@pytest.fixture(scope="module")
def done(folder, env):
    """What each command of the README printed."""
    printed = {}
    for command in JOBS:
        run = subprocess.run(shlex.split(command), cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr[-3000:]
        printed[shlex.split(command)[1]] = run.stdout
    return printed


def test_ten_lines_are_enough():
    assert len(COMMANDS) <= 10
    assert {command.split()[0] for command in COMMANDS} == {"eeg2fmri", "mlflow"}


def test_inspect_finds_the_study_usable(done, folder):
    assert "5 of 5 recordings usable" in done["inspect"] or (folder / "look.png").exists()


def test_the_champion_is_named_after_the_study(done):
    assert "my-study@champion is version" in done["main"]
    assert SERVE.partition("#")[0].split(" -p")[0] in done["main"]  # the README and the job name the same model


@pytest.mark.usefixtures("done")
def test_the_first_page_of_the_browser_answers(folder, env):
    port = 5099
    command = [*shlex.split(UI), "--port", str(port)]
    with (folder / "ui.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(600):
            try:
                status, _ = ask(f"http://127.0.0.1:{port}/")
                break
            except OSError:
                assert process.poll() is None, (folder / "ui.log").read_text()
                time.sleep(0.2)
        assert status == 200
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.usefixtures("done")
def test_the_champion_is_served(folder, env):
    model_uri = SERVE.split(" -m ")[1].split()[0]
    with served_model(model_uri, folder, env) as address:
        eeg = np.random.default_rng(1).normal(0, 20, (CHANNELS, round(11.5 * TR * RATE))).astype(np.float32)
        found = served(address, {"eeg_npy": encode(eeg), "sampling_rate": RATE})
        assert found.shape == (2, *GRID)
        assert np.isfinite(found).all()
