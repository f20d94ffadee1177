"""Relevance as numbers: scores under shifts, what chance gives, and which parts there are."""

import numpy as np
import pytest

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation import bands_of, half, least_windows, profile, r2_by_shift, regions_of

CONTEXT = 3


def test_scores_under_shifts_are_explained_shares_of_variance(rng):
    measured, synthesised = (rng.standard_normal((23, 17)).astype(np.float32) for _ in range(2))
    shifted = [np.roll(synthesised, shift, axis=0) for shift in range(23)]
    wanted = [1 - np.square(measured - other).sum() / np.square(measured).sum() for other in shifted]
    np.testing.assert_allclose(r2_by_shift(measured, synthesised), wanted, rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_mean_over_subjects_and_chance_that_of_other_shifts(rng):
    losses = [rng.normal(0, 0.01, (2, n)) for n in (41, 37)]
    losses[0][:, 0], losses[1][:, 0] = (0.3, 0.1), (0.1, -0.1)
    found = profile(["Oz", "Cz"], losses, CONTEXT, rng)
    assert found.loss == pytest.approx((0.2, 0.0))
    assert found.by_subject == ((0.3, 0.1), (0.1, -0.1))
    assert found.ranked() == ["Oz", "Cz"]
    deviation = 0.01 / np.sqrt(2)
    np.testing.assert_allclose(found.low, -1.645 * deviation, rtol=0.35)
    np.testing.assert_allclose(found.high, 1.645 * deviation, rtol=0.35)
    assert max(found.high) < found.threshold < 4 * deviation


def test_shifts_that_bring_the_right_time_back_are_no_chance(rng):
    n = 31
    losses = np.zeros((2, n))
    shifts = np.arange(n)
    away = np.minimum(shifts, n - shifts)  # of the whole EEG, and of the part that was shifted by a half before
    away = np.minimum(away, np.abs(shifts + half(n) - n))
    losses[:, away < CONTEXT] = 1
    losses[:, away >= CONTEXT] = 0.01
    found = profile(["a", "b"], [losses], CONTEXT, rng)
    assert found.low == found.high == pytest.approx((0.01, 0.01))
    assert found.threshold == pytest.approx(0.01)


def test_the_shortest_recording_has_chance_and_a_shorter_one_is_refused(rng, refuses):
    n = least_windows(CONTEXT)
    assert profile(["a"], [rng.random((1, n))], CONTEXT, rng).threshold > 0
    with refuses(EvaluationError, "12 windows: relevance needs at least 13"):
        profile(["a"], [rng.random((1, n - 1))], CONTEXT, rng)


def test_bold_that_never_changes_is_refused(rng, refuses):
    with refuses(EvaluationError, "no measured voxel of the mask varies"):
        r2_by_shift(np.zeros((9, 4), np.float32), rng.random((9, 4)).astype(np.float32))


def test_bands_hold_every_bin_below_80_hz_once():
    frequencies = np.arange(1, 180) / 2.16
    bands = bands_of(frequencies)
    np.testing.assert_array_equal(np.concatenate(list(bands.values())), np.flatnonzero(frequencies < 80))
    for (low, high), rows in bands.items():
        assert ((frequencies[rows] >= low) & (frequencies[rows] < high)).all()
    assert list(bands_of(np.array([9.0, 11.0, 13.0]))) == [(8, 10), (10, 12), (12, 14)]


def test_regions_follow_the_letters_of_names():
    found = regions_of(("Fp1", "AFz", "FC2", "T8", "CPz", "Pz", "PO7", "OZ", "ECG", "E17"))
    assert found == {"frontal": [0, 1], "central": [2, 4], "temporal": [3], "parietal": [5], "occipital": [6, 7]}
