"""Significance of voxels: the exact variance over shifts, its agreement with draws, and what is found."""

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from eeg2fmri.evaluation import (
    FDR_LEVEL,
    correlation_map,
    shift_variance_map,
    shuffled_null,
    subject_weights,
    voxels_of,
)
from eeg2fmri.evaluation.voxels import correlations_of_shifts, shift_p
from eeg2fmri.signals import drift_waves

GRID, VOLUMES, TR = (6, 5, 4), 120, 2.0
WAVES = drift_waves(VOLUMES, TR, 128.0)
MASK = np.ones(GRID, bool)
MASK[0] = False


def slow(rng, *shape):
    """Noise with a lag-1 autocorrelation of 0.8."""
    return lfilter([1], [1, -0.8], rng.standard_normal((VOLUMES + 50, *shape)), axis=0)[50:]


def outcome(recordings, subjects, masks=None):
    weights = subject_weights(subjects)
    maps = [correlation_map(*pair, MASK, WAVES) for pair in recordings]
    variances = [shift_variance_map(*pair, MASK, WAVES) for pair in recordings]
    return voxels_of(np.average(maps, axis=0, weights=weights), variances, masks or [MASK] * len(maps), weights)


def test_the_correlations_of_shifts_are_those_of_rolled_series(rng):
    measured, synthesised = (series - series.mean(0) for series in (slow(rng, 3), slow(rng, 3)))
    found = correlations_of_shifts(measured, synthesised)
    for shift in (0, 1, 57):
        rolled = np.roll(synthesised, shift, axis=0)
        expected = [stats.pearsonr(measured[:, k], rolled[:, k]).statistic for k in range(3)]
        np.testing.assert_allclose(found[shift], expected, atol=1e-12)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-12)


def test_the_variance_is_bartletts(rng):
    """``Σ ρ_m(k) ρ_s(k) / n`` with circular autocorrelations, computed lag by lag."""
    pair = [series - series.mean(0) for series in (slow(rng, 2), slow(rng, 2))]
    rho = [[np.sum(s * np.roll(s, k, axis=0), axis=0) / np.sum(s * s, axis=0) for k in range(VOLUMES)] for s in pair]
    expected = np.sum(np.multiply(*rho), axis=0) / VOLUMES
    np.testing.assert_allclose(np.square(correlations_of_shifts(*pair)).mean(0), expected)


def test_p_agrees_with_draws_of_the_null(rng):
    """Where draws have resolution, the normal law gives the p-value of the deciding score's null."""
    recordings = [(slow(rng, *GRID), slow(rng, *GRID)) for _ in range(3)]
    found = outcome(recordings, ["a", "b", "b"])
    place = (2, 1, 3)
    courses = [[series[:, *place, None] for series in pair] for pair in recordings]
    plain = [[c - c.mean(0) - WAVES @ (WAVES.T @ (c - c.mean(0))) for c in pair] for pair in courses]
    shifts = [correlations_of_shifts(*pair)[:, 0] for pair in plain]
    null = shuffled_null(shifts, ["a", "b", "b"], 1, 19999, rng)
    assert null.observed == pytest.approx(found.correlation[place])
    assert null.draws.std() == pytest.approx(null.observed / stats.norm.isf(found.p[place]), rel=0.03)
    assert null.p_value == pytest.approx(found.p[place], abs=0.03)


def test_planted_voxels_are_found_and_a_wrong_sign_is_not(rng):
    measured = [slow(rng, *GRID) for _ in range(4)]
    synthesised = [slow(rng, *GRID) for _ in range(4)]
    for m, s in zip(measured, synthesised, strict=True):
        s[:, 3:5] = m[:, 3:5] + slow(rng, 2, *GRID[1:])
        s[:, 1] = -m[:, 1]
    found = outcome(list(zip(measured, synthesised, strict=True)), list("abcd"))
    assert found.significant[3:5].all()
    assert found.correlation[1].max() < -0.99
    assert found.p[1].min() > 0.999
    assert (found.q[1] == 1).all()
    assert found.significant[2].sum() + found.significant[5].sum() <= 4  # of 40 null voxels
    np.testing.assert_array_equal(found.significant, found.q < FDR_LEVEL)
    expected = stats.false_discovery_control(found.p[MASK])
    np.testing.assert_allclose(found.q[MASK], expected)


def test_only_voxels_of_all_recordings_are_tested(rng):
    series = slow(rng, *GRID)
    other = MASK.copy()
    other[3] = False
    found = outcome([(series, series)] * 2, ["a", "b"], [MASK, other])
    np.testing.assert_array_equal(found.mask, other)
    np.testing.assert_array_equal(found.significant, other)
    assert (found.q[~other] == 1).all()
    nothing = outcome([(series, series)] * 2, ["a", "b"], [MASK, ~MASK])
    assert not nothing.mask.any()
    assert not nothing.significant.any()


def test_a_constant_synthesis_is_never_significant(rng):
    found = outcome([(slow(rng, *GRID), np.ones((VOLUMES, *GRID)))], ["a"])
    assert (found.p == 1).all()
    assert shift_p(np.zeros(2), np.array([[0.0, 0.1]]), np.ones(1)).tolist() == [1, 0.5]
