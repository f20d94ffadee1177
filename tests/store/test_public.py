"""Public datasets become stores, also where the EEG starts after the scanner."""

import numpy as np
import pytest

from eeg2fmri.config import DataConfig, DatasetConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.store import build_store
from tests.datasets.trees import EVENT_VOLUME, GRID, write_noddi, write_oddball, write_xp1


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (lambda root: write_xp1(root, runs={"MIpre": (False, True, True)}), "xp1"),
        (lambda root: write_noddi(root, ("32",)), "noddi"),
        (lambda root: write_oddball(root, ("001",)), "oddball"),
    ],
)
def test_the_planted_event_lies_in_the_window_of_its_volume(write, name, tmp_path):
    write(tmp_path / "data")
    recordings, _ = find_recordings(tmp_path / "data", DatasetConfig(name=name))
    config = DataConfig(frequencies=20, context=2, dropped_volumes=3, grid=GRID)
    stored = build_store(recordings[:1], tmp_path / "store", config).store.recordings[0]
    window = EVENT_VOLUME - config.dropped_volumes
    assert np.asarray(stored.spectrogram)[:, 0].mean(axis=1).argmax() == window
    assert np.asarray(stored.volumes).mean(axis=(1, 2, 3)).argmax() == window
