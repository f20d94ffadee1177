"""Fitting the linear family: ridge in closed form, penalties by unseen subjects or by cross-validation."""

import numpy as np
import pytest

from eeg2fmri.config import LinearConfig
from eeg2fmri.models import linear_fit
from eeg2fmri.models.linear_fit import Series, fit_linear
from eeg2fmri.signals import without_drift

TR = 2.0
CHANNELS, BANDS, CONTEXT, COMPONENTS = 3, 2, 5, 4


def planted(rng, *, noise=0.3, subjects=5, windows=60, gain=1.0, offset=0.0):
    """Recordings whose first component follows one channel's second band two lags back."""
    series = []
    for subject in range(subjects):
        power = rng.standard_normal((CHANNELS, BANDS, windows + CONTEXT - 1))
        scores = noise * rng.standard_normal((windows, COMPONENTS)) + offset * rng.standard_normal(COMPONENTS)
        scores[:, 0] += gain * power[1, 1, CONTEXT - 2 : -1]
        series.append(Series(f"sub-{subject}", power, scores))
    return series


@pytest.fixture(autouse=True)
def every_lag_on_its_own(monkeypatch):
    """What is planted acts at one lag; the response's own shape is tested in `test_linear`."""
    monkeypatch.setattr(linear_fit, "lag_shapes", lambda context, tr: np.eye(context, dtype=np.float32))


def fit(series, **changes):
    config = LinearConfig(**{"drift_cutoff": 1e6, **changes})
    return fit_linear(series[:-1], series[-1:], TR, config)


def predicted(result, series):
    power = series.contexts() - result.power_mean[..., None]
    return (power @ result.lag_shapes).reshape(len(series.scores), -1) @ result.coefficients


def test_contexts_are_the_windows_before_each_volume(rng):
    (series,) = planted(rng, subjects=1, windows=7)
    contexts = series.contexts()
    assert contexts.shape == (7, CHANNELS, BANDS, CONTEXT)
    np.testing.assert_array_equal(contexts[3], series.power[:, :, 3 : 3 + CONTEXT])
    assert contexts.base is not None


def test_coefficients_are_those_of_ridge_regression_on_all_rows_at_once(rng):
    series = planted(rng, offset=5.0)
    result = fit(series, penalties=(0.3,), drift_cutoff=60.0)
    x, y = [], []
    for s in series[:-1]:
        features = (s.contexts() @ result.lag_shapes).reshape(len(s.scores), -1)
        x.append(without_drift(features, TR, 60.0))
        y.append(without_drift(s.scores, TR, 60.0))
    x, y = np.concatenate(x), np.concatenate(y)
    scale = x.std(axis=0) * np.sqrt(x.shape[1])
    x /= scale
    expected = np.linalg.solve(x.T @ x + 0.3 * np.eye(x.shape[1]), x.T @ y) / scale[:, None]
    used = np.isfinite(result.chosen)
    assert used[0]
    np.testing.assert_allclose(result.coefficients[:, used], expected[:, used], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        result.power_mean, np.concatenate([s.contexts() for s in series[:-1]]).mean((0, 3)), atol=1e-6
    )


def test_power_deviation_is_that_within_recordings(rng):
    series = [Series(s.subject, 2 * s.power + 10 * number, s.scores) for number, s in enumerate(planted(rng))]
    np.testing.assert_allclose(fit(series).power_sd, 2, rtol=0.2)


def test_a_planted_relation_is_found_in_the_held_out_subject(rng):
    series = planted(rng)
    guess, truth = predicted(fit(series), series[-1])[:, 0], series[-1].power[1, 1, CONTEXT - 2 : -1]
    assert np.corrcoef(guess, truth)[0, 1] > 0.98
    assert np.square(guess - guess.mean() - truth + truth.mean()).sum() < 0.1 * np.square(truth).sum()


def test_components_that_nothing_predicts_are_left_out(rng):
    result = fit(planted(rng))
    assert np.isfinite(result.chosen[0])  # the planted one
    assert result.gains[:, 0].max() > 0.8
    nothing = fit(planted(rng, gain=0.0))
    assert np.isinf(nothing.chosen).any()
    assert not nothing.coefficients[:, np.isinf(nothing.chosen)].any()


def test_the_penalty_is_the_best_for_subjects_left_out_one_by_one(rng):
    series = planted(rng, noise=2.0, windows=40)
    penalties = (0.1, 3.0, 100.0)
    gains = fit(series, penalties=penalties).gains
    saved, variance = np.zeros((3, COMPONENTS)), np.zeros(COMPONENTS)
    rows = [(s.contexts().reshape(40, -1), s.scores) for s in series]
    rows = [(x - x.mean(axis=0), y - y.mean(axis=0)) for x, y in rows]
    scale = np.concatenate([x for x, _ in rows[:-1]]).std(axis=0) * np.sqrt(rows[0][0].shape[1])
    for held in range(len(rows)):
        x, y = (np.concatenate(part) for part in zip(*(rows[i] for i in range(4) if i != held), strict=True))
        x, (unseen, truth) = x / scale, (rows[held][0] / scale, rows[held][1])
        variance += np.square(truth).sum(axis=0)
        for number, penalty in enumerate(penalties):
            error = truth - unseen @ np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
            saved[number] += np.square(truth).sum(axis=0) - np.square(error).sum(axis=0)
    np.testing.assert_allclose(gains, saved / variance, rtol=1e-5, atol=1e-7)


def test_validation_subjects_choose_the_penalty_and_nothing_else(rng):
    series = planted(rng)
    other = Series("sub-9", rng.standard_normal(series[0].power.shape), rng.standard_normal(series[0].scores.shape))
    first, second = (fit([*series[:-1], last], penalties=(0.3,)) for last in (series[-1], other))
    assert not np.array_equal(first.gains, second.gains)
    np.testing.assert_array_equal(first.power_mean, second.power_mean)
    np.testing.assert_array_equal(first.coefficients[:, 0], second.coefficients[:, 0])


def test_a_single_training_subject_is_judged_by_the_validation_subject(rng):
    series = planted(rng, subjects=2, windows=200)
    assert np.isfinite(fit(series).chosen[0])
    unrelated = planted(rng, subjects=1, gain=0.0, windows=200)
    assert np.isinf(fit([series[0], *unrelated], penalties=(1e-3,)).chosen[0])


def test_anatomy_and_drifts_of_a_subject_change_no_coefficient(rng):
    series = planted(rng)
    drift = np.cos(np.pi * (np.arange(60) + 0.5) * 2 / 60)
    drifting = [
        Series(s.subject, s.power, s.scores + np.outer(3 * drift, rng.standard_normal(COMPONENTS)) + number)
        for number, s in enumerate(series)
    ]
    before, after = (fit(s, drift_cutoff=60.0).coefficients for s in (series, drifting))
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_recordings_of_one_subject_are_held_out_together(rng):
    """A copy of a subject under the same name must not vouch for it."""
    first, second, last = planted(rng, subjects=3, gain=0.0, noise=1.0, windows=30)
    twins = [first, second, Series(first.subject, first.power, first.scores)]
    strangers = [*twins[:2], Series("sub-8", first.power, first.scores)]
    honest, fooled = (fit([*series, last], penalties=(0.1,)).gains.mean() for series in (twins, strangers))
    assert honest < fooled - 0.2


def test_a_dead_channel_gets_no_weight(rng):
    series = [Series(s.subject, s.power.astype(np.float32), s.scores) for s in planted(rng)]
    for s in series:
        s.power[2] = np.log(1e-12)
    coefficients = fit(series).coefficients.reshape(CHANNELS, -1)
    assert np.isfinite(coefficients).all()
    assert coefficients[1].any()
    assert not coefficients[2].any()
