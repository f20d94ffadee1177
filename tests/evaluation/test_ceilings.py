"""Ceilings of simulated data stand beside every score, and measured data have none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eeg2fmri.baselines.ceilings import driven, mean_maps
from eeg2fmri.config import DataConfig, EvaluationConfig, MeanConfig, SimulationConfig, SplitConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.families import fit
from eeg2fmri.scoring import score_windows
from eeg2fmri.simulation import read_best_r2, read_truth, simulate
from eeg2fmri.store import Windows, build_store, split_windows
from eeg2fmri.tracking.gate import NO_NULLS

GRID = (12, 13, 8)
OPTIONS = EvaluationConfig(shuffles=2, permutations=99)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ceilings")
    simulate(SimulationConfig(subjects=5, volumes=90, grid=GRID, channels=8, sampling_rate=100), folder / "dataset")
    config = DataConfig(frequencies=20, context=5, grid=GRID)
    store = build_store(find_recordings(folder / "dataset")[0], folder / "store", config).store
    return folder / "dataset", store, split_windows(store, SplitConfig(validation=1, test=2))


@pytest.fixture(scope="module")
def overall(simulated):
    _, _, (train, validation, test) = simulated
    return score_windows(fit(MeanConfig(), train, validation).model, test, OPTIONS, train, validation).overall


def test_the_store_keeps_bold_without_noise(simulated):
    dataset, store, _ = simulated
    for recording in store.recordings[:2]:
        maps, courses, _ = recording.truth
        true = read_truth(dataset, recording.subject)[store.settings["dropped_volumes"] :]
        np.testing.assert_allclose(np.tensordot(courses, maps, axes=1), true, rtol=1e-4, atol=1e-3)


def test_the_best_reachable_score_is_the_simulators(simulated, overall):
    dataset, _, (_, _, test) = simulated
    best = read_best_r2(dataset, OPTIONS.drift_cutoff)
    expected = np.mean([best[recording.subject] for recording in test.recordings])
    assert overall["best_reachable"]["r2_temporal"] == pytest.approx(expected, abs=0.01)


def test_who_knows_only_the_amplitudes_reaches_less(overall):
    assert 0.005 < overall["given_amplitudes"]["r2_temporal"] < overall["best_reachable"]["r2_temporal"]


def test_maps_of_one_subject_are_its_own(simulated):
    """Of one known subject the maps explain most of its own BOLD: only its response differs from the canonical one."""
    _, _, (train, _, _) = simulated
    one = Windows(train.recordings[:1], train.context)
    maps = mean_maps(one.recordings, one.context)
    bold = driven(one.recordings[0], one.context)
    assert maps.shape == (len(one.recordings[0].truth[0]), *GRID)
    assert np.abs(maps).max() > 0.1 * np.abs(bold).max()


def test_ceilings_are_no_nulls(overall):
    assert {"given_amplitudes", "best_reachable"} <= set(NO_NULLS) & set(overall)


def test_measured_data_have_none(simulated):
    _, _, (train, validation, test) = simulated

    def measured(windows):
        found = []
        for recording in windows.recordings:
            arrays = {name: array for name, array in recording.group.arrays() if not name.startswith("truth_")}
            found.append(dataclasses.replace(recording, group=arrays))
        return Windows(found, windows.context)

    model = fit(MeanConfig(), train, validation).model
    found = score_windows(model, measured(test), OPTIONS, train, validation).overall
    assert not {"given_amplitudes", "best_reachable"} & set(found)
    found = score_windows(model, test, OPTIONS, measured(train), validation).overall
    assert "best_reachable" in found
    assert "given_amplitudes" not in found
