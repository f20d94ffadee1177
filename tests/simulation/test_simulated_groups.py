"""Labelled subjects with EEG only: files, the effect of the label, and what is refused."""

from __future__ import annotations

import json

import mne
import numpy as np
import pytest

from eeg2fmri.config import Config, GroupsConfig, SimulationConfig
from eeg2fmri.datasets import find_eeg, read_labels
from eeg2fmri.errors import ConfigError
from eeg2fmri.pipeline import simulate_step
from eeg2fmri.simulation import is_simulated, read_amplitudes, simulate
from eeg2fmri.simulation.amplitudes import LOG_SD, draw_amplitude
from eeg2fmri.simulation.groups import of_case
from tests.mlflow_store import use_tracking

CONFIG = SimulationConfig(subjects=4, volumes=24, grid=(9, 8, 7), channels=12, sampling_rate=125, seed=3,
                          groups=GroupsConfig(size=3.0, variability=2.0))  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return simulate(CONFIG, tmp_path_factory.mktemp("groups") / "bids")


def test_there_is_eeg_with_labels_and_no_bold(root):
    assert read_labels(root, "group") == {"sub-01": "control", "sub-02": "case", "sub-03": "control", "sub-04": "case"}
    sources, skipped = find_eeg(root)
    assert [source.subject for source in sources] == ["01", "02", "03", "04"]
    assert not skipped
    assert not list(root.glob("sub-*/func"))
    assert not list(root.rglob("*events*"))
    raw = mne.io.read_raw_brainvision(sources[0].path, verbose="error")
    assert len(raw.ch_names) == 13
    assert not [text for text in raw.annotations.description if "R128" in text]
    assert raw.times[-1] > 24 * CONFIG.tr
    assert "case" in json.loads((root / "participants.json").read_text())["group"]["Levels"]


def test_only_the_rhythm_of_a_case_differs(root, tmp_path):
    plain = simulate(CONFIG.model_copy(update={"groups": GroupsConfig(variability=1.0)}), tmp_path / "plain")

    def oz(dataset, subject):
        path = dataset / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-rest_eeg.vhdr"
        raw = mne.io.read_raw_brainvision(path, verbose="error")
        return raw.get_data(["O1"])[0] * 1e6

    np.testing.assert_array_equal(oz(root, "01"), oz(plain, "01"))
    assert oz(root, "02").std() > 1.5 * oz(plain, "02").std()
    ours, theirs = (read_amplitudes(each, "02") for each in (root, plain))
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:])
    np.testing.assert_allclose(ours[:, 0], of_case(theirs[:, 0], CONFIG.groups))


def test_the_amplitude_of_a_case_is_log_normal_with_its_mean_and_spread():
    drawn = of_case(draw_amplitude(400_000, np.random.default_rng(1)), GroupsConfig(size=2.0, variability=1.5))
    assert drawn.mean() == pytest.approx(2, abs=0.1)
    assert np.log(drawn).std() == pytest.approx(1.5 * LOG_SD, rel=0.05)


@pytest.mark.parametrize("changes", [{"raw": True}, {"confound": "pulse"}])
def test_what_only_the_scanner_has_is_refused(tmp_path, refuses, changes):
    with refuses(ConfigError, "simulation.groups: EEG from outside the scanner"):
        simulate(CONFIG.model_copy(update=changes), tmp_path / "out")


def test_the_step_describes_it(root, tmp_path, monkeypatch):
    use_tracking(tmp_path, monkeypatch)
    assert is_simulated(root, CONFIG)
    assert not simulate_step(Config(simulation=CONFIG), root).skipped
    assert simulate_step(Config(simulation=CONFIG), root).skipped
