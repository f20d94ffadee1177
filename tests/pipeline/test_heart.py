"""BOLD that follows the amplitude of the ECG and nothing else: no model of EEG may be promoted on it."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.config import Config
from eeg2fmri.pipeline import main_job
from tests.conftest import GRID, LEAD_S, RATE_HZ, TR_S, tiny_eeg, tiny_volumes, write_tiny_recording

pytestmark = pytest.mark.slow
VOLUMES = 120
CONFIG = {
    "data": {"grid": GRID, "frequencies": 15, "context": 3, "dropped_volumes": 0},
    "split": {"validation": 1, "test": 2},
    "models": [{"family": "linear", "components": 5}],
    "evaluation": {"shuffles": 2, "permutations": 99},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Five subjects: alpha of the ECG in window v makes volume v + 3 brighter; the EEG is noise."""
    folder = tmp_path_factory.mktemp("heart") / "bids"
    pattern = np.zeros(GRID)
    pattern[2:5, 2:6, 2:5] = 40
    for number in range(5):
        rng = np.random.default_rng(number)
        course = rng.standard_normal(VOLUMES)
        eeg, volumes = tiny_eeg(rng, VOLUMES), tiny_volumes(rng, VOLUMES)
        seconds = np.arange(eeg.shape[1]) / RATE_HZ - LEAD_S
        window = np.clip(seconds // TR_S, 0, VOLUMES - 1).astype(int)
        eeg[-1] += 100 * np.exp(0.7 * course[window]) * np.sin(2 * np.pi * 10 * seconds)
        volumes += pattern[..., None] * np.roll(course, 3)
        write_tiny_recording(folder, f"{number + 1:02d}", rng=rng, eeg=eeg, volumes=volumes.astype(np.float32))
    return folder


def job(root, folder, data):
    config = Config.model_validate({**CONFIG, "data": CONFIG["data"] | data})
    return main_job(config, folder / "work", root, 0)


@pytest.mark.usefixtures("tracking")
def test_by_default_the_heart_promotes_no_model(root, tmp_path):
    result = job(root, tmp_path, {})
    assert result.champion is None
    assert result.refusal


@pytest.mark.usefixtures("tracking")
def test_asked_for_by_name_the_ecg_is_seen_by_the_model(root, tmp_path):
    """So the test above can fail."""
    result = job(root, tmp_path, {"channel_types": ["eeg", "ecg"]})
    assert result.refusal is None
    ((_, evaluation),) = result.models.values()
    assert evaluation.overall["model"]["r2_temporal"] > 0.02
