"""The linear family: band power, lag shapes, ridge in closed form, penalties by unseen subjects."""

import numpy as np
import pytest

from eeg2fmri.config import LinearConfig
from eeg2fmri.errors import SpecError
from eeg2fmri.models.linear import fit_linear, lag_shapes, log_band_power

TR = 2.0
FREQUENCIES = np.arange(1, 21) / TR  # 0.5 to 10 Hz: delta, theta, alpha
GRID, CHANNELS, CONTEXT = (4, 3, 2), 3, 5
BANDS = 3


def planted(rng, *, noise=0.1, subjects=5, windows=60, gain=1.0):
    """Log power of several subjects, and volumes that follow one channel's alpha two lags back."""
    power = rng.standard_normal((subjects * windows, CHANNELS, BANDS, CONTEXT))
    topography = rng.standard_normal(np.prod(GRID))
    owner = np.repeat(np.arange(subjects), windows)
    driven = np.outer(gain * power[:, 1, 2, 3], topography)
    anatomy = 5 * rng.standard_normal((subjects, topography.size))[owner]
    targets = driven + anatomy + noise * rng.standard_normal(driven.shape)
    return power, targets.astype(np.float32), owner, driven


def fit(power, targets, owner, **changes):
    config = LinearConfig(**{"components": 8, "lags": "free", "drift_cutoff": 1e6, **changes})
    validating = owner == owner.max()
    return fit_linear(power, targets.copy(), owner, owner, validating, FREQUENCIES, config, GRID)


def test_log_band_power_is_the_log_of_the_summed_squares():
    eeg = np.zeros((1, 1, 20, 1))
    eeg[0, 0, [0, 1], 0] = 3, 4  # 0.5 and 1 Hz: delta
    eeg[0, 0, 15, 0] = 2  # 8 Hz: alpha
    power = log_band_power(eeg, FREQUENCIES)
    assert power.shape == (1, 1, BANDS, 1)
    np.testing.assert_allclose(np.exp(power[0, 0, :, 0]), [25, 0, 4], atol=1e-9)


def test_frequencies_outside_every_band_are_refused():
    with pytest.raises(SpecError, match="band"):
        log_band_power(np.ones((1, 1, 2, 1)), np.array([100.0, 200.0]))


def test_the_haemodynamic_shape_peaks_five_seconds_before_the_volume():
    shapes = lag_shapes("haemodynamic", 10, 2.16)
    lags = (10 - np.arange(10) - 0.5) * 2.16
    assert shapes.shape == (10, 2)
    np.testing.assert_allclose(np.linalg.norm(shapes, axis=0), 1, rtol=1e-6)
    assert lags[shapes[:, 0].argmax()] == pytest.approx(5.4)
    assert shapes[:3, 0].max() < 0  # the undershoot, some 15 to 20 s back
    np.testing.assert_array_equal(lag_shapes("free", 4, 2.0), np.eye(4))


def test_coefficients_are_those_of_ridge_regression(rng):
    power, targets, owner, _ = planted(rng, noise=1.0)
    network = fit(power, targets, owner, penalties=(0.3,)).network
    train = owner < owner.max()
    x, y = power[train].reshape(train.sum(), -1), targets[train].astype(float)
    for subject in np.unique(owner[train]):
        rows = owner[train] == subject
        x[rows] -= x[rows].mean(axis=0)
        y[rows] -= y[rows].mean(axis=0)
    scale = x.std(axis=0) * np.sqrt(x.shape[1])
    x /= scale
    scores = y @ network.components.T
    expected = np.linalg.solve(x.T @ x + 0.3 * np.eye(x.shape[1]), x.T @ scores) / scale[:, None]
    used = np.abs(network.coefficients).sum(axis=0) > 0
    assert used.any()
    np.testing.assert_allclose(network.coefficients[:, used], expected[:, used], rtol=2e-3, atol=1e-5)


def test_components_are_orthonormal(rng):
    basis = fit(*planted(rng)[:3]).network.components
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-4)


def test_a_planted_relation_is_found_in_the_held_out_subject(rng):
    power, targets, owner, driven = planted(rng)
    network = fit(power, targets, owner).network
    rows = owner == owner.max()
    scores = ((power[rows] - network.power_mean[..., None]) @ network.lag_shapes).reshape(rows.sum(), -1)
    predicted = scores @ network.coefficients @ network.components
    truth = driven[rows] - driven[rows].mean(axis=0)
    error = predicted - predicted.mean(axis=0) - truth
    assert np.square(error).sum() < 0.1 * np.square(truth).sum()


def test_components_that_nothing_predicts_are_left_out(rng):
    power, targets, owner, _ = planted(rng, gain=0.0, noise=1.0)
    result = fit(power, targets, owner)
    assert np.isinf(result.chosen).any()
    np.testing.assert_array_equal(result.network.coefficients[:, np.isinf(result.chosen)], 0)
    power, targets, owner, _ = planted(rng)
    assert np.isfinite(fit(power, targets, owner).chosen[0])  # the planted component


def test_validation_subjects_choose_the_penalty_and_nothing_else(rng):
    power, targets, owner, _ = planted(rng)
    first = fit(power, targets, owner, penalties=(0.3,)).network
    changed = targets.copy()
    changed[owner == owner.max()] += 1 + rng.standard_normal(changed[owner == owner.max()].shape).astype(np.float32)
    second = fit(power, changed, owner, penalties=(0.3,)).network
    np.testing.assert_array_equal(first.components, second.components)
    np.testing.assert_array_equal(first.intercept, second.intercept)
    both = (np.abs(first.coefficients).sum(axis=0) > 0) & (np.abs(second.coefficients).sum(axis=0) > 0)
    np.testing.assert_allclose(first.coefficients[:, both], second.coefficients[:, both], rtol=1e-6)


def test_anatomy_and_drifts_of_a_subject_change_no_coefficient(rng):
    power, targets, owner, _ = planted(rng)
    before = fit(power, targets, owner, drift_cutoff=60.0).network
    times = np.tile(np.arange(60), 5)
    drift = np.cos(np.pi * (times + 0.5) * 2 / 60)[:, None] * rng.standard_normal(targets.shape[1])
    after = fit(power, (targets + 3 * drift + owner[:, None]).astype(np.float32), owner, drift_cutoff=60.0).network
    np.testing.assert_allclose(
        after.coefficients @ after.components, before.coefficients @ before.components, atol=2e-3
    )
