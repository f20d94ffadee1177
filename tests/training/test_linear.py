"""The linear family on windows: the fit that reads recordings one by one equals the one that holds them all."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from eeg2fmri.config import LinearConfig
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.models.linear import lag_shapes, log_band_power
from eeg2fmri.signals import without_drift
from eeg2fmri.store import StoredRecording, Windows
from eeg2fmri.training import linear as training_linear
from tests.fakes import CONTEXT, FREQUENCIES, TR, recording

CUTOFF = 6.0
BANDS = np.array([(0.1, 4), (4, 8), (8, 13), (13, 30)])  # those with a bin


def parts(windows=60):
    train = [recording(f"sub-0{n}", n, windows=windows) for n in (1, 2, 3)]
    second = recording("sub-03", 8, windows=windows // 2, run=2)
    return Windows([*train, second], CONTEXT), Windows([recording("sub-04", 4, windows=windows)], CONTEXT)


def direct(config: LinearConfig, train: Windows, validation: Windows, eeg: np.ndarray) -> np.ndarray:
    """Volumes by the textbook: every volume and every feature at once, ridge in its dual form."""
    both = Windows([*train.recordings, *validation.recordings], CONTEXT)
    rows = np.arange(len(both))
    subject = np.array([r.subject for r in both.recordings])[both.owner]
    seen = both.owner < len(train.recordings)
    shapes = lag_shapes(CONTEXT, TR)
    power = log_band_power(both.eeg(rows), FREQUENCIES, BANDS)
    x = (power @ shapes).reshape(len(rows), -1).astype(np.float64)
    y = both.standardised(rows, config.bold_scaling).reshape(len(rows), -1).astype(np.float64)
    intercept = y[seen].mean(axis=0)
    for number in range(len(both.recordings)):
        own = both.owner == number
        x[own], y[own] = without_drift(x[own], TR, CUTOFF), without_drift(y[own], TR, CUTOFF)
    scale = x[seen].std(axis=0) * np.sqrt(x.shape[1])
    x /= scale
    basis = np.linalg.svd(y[seen], full_matrices=False)[2][: config.components]
    scores = y @ basis.T

    def ridge(fitted: np.ndarray, penalty: float) -> np.ndarray:
        gram = x[fitted] @ x[fitted].T
        return x[fitted].T @ np.linalg.solve(gram + penalty * np.eye(len(gram)), scores[fitted])

    saved = np.zeros((len(config.penalties), len(basis)))
    for held in np.unique(subject):
        own, others = subject == held, seen & (subject != held)
        for number, penalty in enumerate(config.penalties):
            error = scores[own] - x[own] @ ridge(others, penalty)
            saved[number] += np.square(scores[own]).sum(axis=0) - np.square(error).sum(axis=0)
    each = np.stack([ridge(seen, penalty) for penalty in config.penalties])
    chosen = each[saved.argmax(axis=0), :, np.arange(len(basis))].T * (saved.max(axis=0) > 0) / scale[:, None]
    change = log_band_power(eeg, FREQUENCIES, BANDS) - power[seen].mean(axis=(0, 3))[..., None]
    volumes = (change @ shapes).reshape(len(eeg), -1) @ chosen @ basis + intercept
    return volumes.reshape(len(eeg), *both.recordings[0].mask.shape)


@pytest.mark.parametrize("block", [7, 1000])
def test_equals_the_direct_fit(monkeypatch, block):
    monkeypatch.setattr(training_linear, "BLOCK", block)
    train, validation = parts()
    monkeypatch.setattr(training_linear, "MEMORY", 1000 * block)
    config = LinearConfig(components=6, drift_cutoff=CUTOFF)
    model = fit(config, train, validation, FitSettings()).model
    eeg = validation.eeg(np.arange(20))
    expected = direct(config, train, validation, eeg)
    assert np.ptp(expected, axis=0).max() > 0.1  # it predicts something
    np.testing.assert_allclose(model.network.predict(eeg), expected, atol=1e-4)


def test_a_band_of_ones_own_is_all_that_is_used():
    train, validation = parts()
    scores = {}
    for name, edges in {"alpha": (8.0, 13.0), "beta": (13.0, 30.0)}.items():
        config = LinearConfig(components=6, bands={name: edges})
        result = fit(config, train, validation, FitSettings())
        scores[name] = result.history["val/r2_temporal"][0]
    assert scores["alpha"] > 0.6 > 0.2 > scores["beta"]  # the planted course drives alpha


def test_a_refit_is_a_fit_on_everyone_scored_before():
    train, validation = parts()
    config = LinearConfig(components=6, drift_cutoff=CUTOFF)
    once, again = (fit(config.model_copy(update={"refit": refit}), train, validation) for refit in (False, True))
    assert (once.refitted, again.refitted) == (False, True)
    assert again.history == once.history
    # With nobody held out, the penalties are those that the subjects give one another.
    everyone = Windows([*train.recordings, *validation.recordings], CONTEXT)
    expected, _ = training_linear.fit_regression(config, everyone, None)
    eeg = validation.eeg(np.arange(9))
    np.testing.assert_array_equal(again.model.synthesise(eeg), expected.synthesise(eeg))
    assert np.abs(again.model.synthesise(eeg) - once.model.synthesise(eeg)).max() > 1e-3
    np.testing.assert_array_equal(again.model.bold_statistics.voxel_mean, everyone.bold_statistics().voxel_mean)


def test_components_of_the_same_recordings_are_computed_once(monkeypatch):
    train, _ = parts()
    asked = (train, "recording", CUTOFF, 3)
    first = training_linear.components_without_drift(*asked)
    assert training_linear.components_without_drift(Windows(train.recordings, CONTEXT), *asked[1:]) is first
    assert len(training_linear.components_without_drift(*asked[:3], 4)) == 4
    again = training_linear.components_without_drift(*asked)  # only those of the last call are kept
    assert again is not first
    np.testing.assert_array_equal(again, first)
    # Recordings of the same names and digests are not the same recordings.
    twin = replace(train.recordings[0], group={**train.recordings[0].group})
    twin.group["volumes"] = np.roll(train.recordings[0].group["volumes"], 1, axis=1)
    other = training_linear.components_without_drift(Windows([twin, *train.recordings[1:]], CONTEXT), *asked[1:])
    assert np.abs(other - first).max() > 1e-3


def test_volumes_are_never_all_in_memory(monkeypatch):
    """Five recordings more take less memory than one of them."""
    monkeypatch.setattr(training_linear, "MEMORY", 2**20)
    grid, windows = (40, 30, 20), 30

    def peak(subjects: int) -> int:
        recordings = [enlarged(recording(f"sub-{n:02d}", n, windows=windows), grid) for n in range(subjects + 1)]
        train, validation = Windows(recordings[1:], CONTEXT), Windows(recordings[:1], CONTEXT)
        tracemalloc.start()
        fit(LinearConfig(components=3), train, validation, FitSettings())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(8) - peak(3) < windows * math.prod(grid) * 4


def enlarged(small: StoredRecording, grid: tuple[int, int, int]) -> StoredRecording:
    """The same recording on a larger grid, its volumes repeated."""
    repeats = [-(-new // old) for new, old in zip(grid, small.mask.shape, strict=True)]
    cut = tuple(slice(n) for n in grid)
    group = {name: np.tile(small.group[name], repeats)[(..., *cut)] for name in ("mask", "voxel_mean", "voxel_sd")}
    volumes = np.tile(small.group["volumes"], [1, *repeats])[(..., *cut)]
    return StoredRecording({"spectrogram": small.spectrogram, "volumes": volumes, **group}, small.attributes, small.own)
