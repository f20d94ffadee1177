"""Scores against hand-computed values, and the contracts that make them believable."""

import numpy as np
import pytest
from scipy import stats

from eeg2fmri.errors import Eeg2FmriError, EvaluationError
from eeg2fmri.evaluation import (
    mae,
    psnr,
    r2_temporal,
    r2_temporal_no_global,
    rmse,
    score_recording,
    skill,
    temporal_correlation,
)
from eeg2fmri.signals import drift_waves, without_drift

VOLUMES, GRID = 6, (12, 13, 5)
CUTOFF = 8.0  # s, at one volume a second: the mean and one cosine
WAVES = drift_waves(VOLUMES, 1.0, CUTOFF)
NAMES = {"rmse", "mae", "psnr", "ssim", "temporal_correlation", "skill"}
NAMES |= {"r2_temporal", "r2_temporal_no_global", "r2_temporal_raw"}


@pytest.fixture
def recording():
    """Measured, synthesised, mean volume and mask, all in float32 and reproducible."""
    rng = np.random.default_rng(7)
    anatomy = rng.uniform(0.5, 3.0, GRID)
    dynamics = rng.standard_normal((VOLUMES, *GRID))
    measured = (anatomy + dynamics).astype(np.float32)
    synthesised = (anatomy + 0.5 * dynamics + 0.2 * rng.standard_normal(measured.shape)).astype(np.float32)
    mask = np.zeros(GRID, bool)
    mask[2:6, 1:7, 1:4] = True
    return measured, synthesised, anatomy.astype(np.float32), mask


def series(*rows):
    """A recording of 1 x 1 x k voxels from k time series."""
    return np.array(rows, np.float32).T[:, None, None, :]


def test_errors_by_hand():
    measured, synthesised = series([0, 2], [4, 6]), series([1, 2], [4, 3])
    assert rmse(measured, synthesised) == pytest.approx(np.sqrt((1 + 9) / 4))
    assert mae(measured, synthesised) == pytest.approx((1 + 3) / 4)
    assert psnr(measured, synthesised) == pytest.approx(10 * np.log10(6**2 / 2.5))


def test_temporal_scores_by_hand():
    measured = series([0, 1, 2], [1, 1, 4], [3, 0, 3])
    synthesised = series([5, 6, 7], [2, 4, 3], [9, 9, 9])  # in step; unrelated; constant
    mask = np.ones((1, 1, 3), bool)
    assert temporal_correlation(measured, synthesised, mask) == pytest.approx((1 + 0.0 + 0) / 3)
    # centred: [-1 0 1], [-1 -1 2], [1 -2 1] against [-1 0 1], [-1 1 0], [0 0 0]
    assert r2_temporal(measured, synthesised, mask) == pytest.approx(1 - (0 + (0 + 4 + 4) + 6) / (2 + 6 + 6))


def test_skill_by_hand():
    measured, synthesised = series([0, 2], [4, 6]), series([1, 2], [4, 3])
    mean_volume = np.array([[[1, 5]]], np.float32)  # squared errors 1, 1, 1, 1
    assert skill(measured, synthesised, mean_volume) == pytest.approx(1 - (10 / 4) / 1)


def test_temporal_correlation_is_the_mean_of_pearsons_r(recording):
    measured, synthesised, _, mask = recording
    pairs = zip(measured[:, mask].T, synthesised[:, mask].T, strict=True)
    expected = np.mean([stats.pearsonr(a, b).statistic for a, b in pairs])
    assert temporal_correlation(measured, synthesised, mask) == pytest.approx(expected, abs=1e-6)


def test_r2_temporal_by_an_independent_formula(recording):
    measured, synthesised, _, mask = recording
    m, s = (np.float64(a[:, mask]) for a in (measured, synthesised))
    expected = 1 - (m - s).var(axis=0).sum() / m.var(axis=0).sum()
    assert r2_temporal(measured, synthesised, mask) == pytest.approx(expected)


def test_scores_are_named_finite_and_the_single_ones(recording):
    measured, synthesised, mean_volume, mask = recording
    scores = score_recording(*recording, WAVES)
    assert scores.keys() == NAMES
    assert np.isfinite(list(scores.values())).all()
    assert all(type(value) is float for value in scores.values())
    assert scores["skill"] == skill(measured, synthesised, mean_volume)
    assert scores["psnr"] == psnr(measured, synthesised)
    assert scores["r2_temporal_raw"] == pytest.approx(r2_temporal(measured, synthesised, mask), rel=1e-12)
    own = measured, synthesised, mask, WAVES
    assert scores["r2_temporal"] == pytest.approx(r2_temporal(*own), rel=1e-12)
    assert scores["r2_temporal_no_global"] == pytest.approx(r2_temporal_no_global(*own), rel=1e-12)
    assert scores["temporal_correlation"] == pytest.approx(temporal_correlation(*own), rel=1e-12)
    steady = [without_drift(series.astype(float), 1.0, CUTOFF) for series in (measured, synthesised)]
    assert scores["r2_temporal"] == pytest.approx(r2_temporal(*steady, mask))
    assert scores["temporal_correlation"] == pytest.approx(temporal_correlation(*steady, mask))


def test_the_deciding_score_does_not_count_drifts(recording):
    measured, _, mean_volume, mask = recording
    drift = np.cos(np.pi * (np.arange(len(measured)) + 0.5) / len(measured))[:, None, None, None]
    scores = score_recording(measured + 9 * drift, mean_volume + 9 * drift, mean_volume, mask, WAVES)
    assert scores["r2_temporal_raw"] > 0.3
    assert scores["r2_temporal"] == pytest.approx(0, abs=1e-6)


def test_without_the_global_signal_it_is_the_score_of_the_residuals_of_a_regression(recording):
    measured, synthesised, _, mask = recording
    steady = [without_drift(series.astype(float), 1.0, CUTOFF)[:, mask] for series in (measured, synthesised)]
    course = steady[0].mean(axis=1, keepdims=True)
    left = [series - course @ np.linalg.lstsq(course, series)[0] for series in steady]
    expected = 1 - np.square(left[0] - left[1]).sum() / np.square(left[0]).sum()
    found = r2_temporal_no_global(measured, synthesised, mask, WAVES)
    assert found == pytest.approx(expected)
    assert score_recording(*recording, WAVES)["r2_temporal_no_global"] == found


def test_a_synthesis_of_the_global_signal_alone_scores_nothing_without_it(recording):
    measured, _, mean_volume, mask = recording
    both = measured + 2 * np.array([1, -1, 1, 1, -1, -1])[:, None, None, None]
    course = without_drift(both[:, mask].mean(axis=1, dtype=float), 1.0, CUTOFF)[:, None, None, None]
    synthesised = mean_volume + course * np.ones(GRID)
    assert r2_temporal(both, synthesised, mask, WAVES) > 0.5
    assert r2_temporal_no_global(both, synthesised, mask, WAVES) == pytest.approx(0, abs=1e-9)
    alike = course * np.ones(GRID)  # nothing else is measured
    assert r2_temporal_no_global(alike, measured, mask, WAVES) == 0


def test_there_is_no_ssim_where_its_window_does_not_fit(recording):
    measured, synthesised, mean_volume, mask = recording
    small = (measured[:, :10], synthesised[:, :10], mean_volume[:10], mask[:10])
    assert score_recording(*small, WAVES).keys() == NAMES - {"ssim"}


def test_a_perfect_synthesis_scores_best_and_finite(recording):
    measured, _, mean_volume, mask = recording
    scores = score_recording(measured, measured, mean_volume, mask, WAVES)
    cap = 20 * np.log10(2**23)
    best = {"rmse": 0, "mae": 0, "psnr": cap, "ssim": 1, "temporal_correlation": 1, "skill": 1}
    assert scores == pytest.approx(best | dict.fromkeys(("r2_temporal", "r2_temporal_no_global", "r2_temporal_raw"), 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_volume_earns_exactly_nothing(recording, dtype):
    measured, _, mean_volume, mask = (a.astype(a.dtype if a.dtype == bool else dtype) for a in recording)
    mean_volume = mean_volume + dtype(0.1)  # 0.1 + 0.1 + 0.1 is not 3 × 0.1 in binary
    constant = np.broadcast_to(mean_volume, measured.shape)
    scores = score_recording(measured, constant, mean_volume, mask, WAVES)
    assert scores["r2_temporal"] == scores["temporal_correlation"] == scores["skill"] == 0.0
    assert scores["r2_temporal_raw"] == 0.0


def test_anatomy_does_not_change_r2_temporal(recording):
    measured, synthesised, _, mask = recording
    other = np.random.default_rng(8).uniform(-5, 5, GRID).astype(np.float32)
    moved = r2_temporal(measured, synthesised + other, mask)
    assert moved == pytest.approx(r2_temporal(measured, synthesised, mask), abs=1e-5)


@pytest.mark.parametrize("score", [r2_temporal, temporal_correlation])
def test_temporal_scores_do_not_see_outside_the_mask(recording, score):
    measured, synthesised, _, mask = recording
    changed = np.where(mask, synthesised, np.float32(99))
    assert score(measured, changed, mask) == score(measured, synthesised, mask)


def test_doubled_dynamics_correlate_and_explain_nothing():
    measured, mask = series([0, 1, 2], [5, 4, 6]), np.ones((1, 1, 2), bool)
    assert temporal_correlation(measured, 2 * measured, mask) == pytest.approx(1)
    assert r2_temporal(measured, 2 * measured, mask) == pytest.approx(0)
    assert r2_temporal(measured, -measured, mask) == pytest.approx(-3)


def nan_in(array):
    spoilt = array.copy()
    spoilt.flat[11] = np.nan
    return spoilt


@pytest.mark.parametrize(
    ("which", "spoil", "message"),
    [
        (0, lambda a: a[0], "measured has shape"),
        (0, lambda a: a[:0], "measured has shape"),
        (0, nan_in, "measured holds NaN"),
        (1, lambda a: a[:-1], "synthesised has shape"),
        (1, nan_in, "synthesised holds NaN"),
        (2, lambda a: a[..., 0], "mean_volume has shape"),
        (2, nan_in, "mean_volume holds NaN"),
        (3, lambda a: a[1:], "mask is bool of shape"),
        (3, lambda a: a.astype(int), "mask is int64"),
        (3, np.zeros_like, "mask is empty"),
    ],
)
def test_score_recording_refuses(recording, which, spoil, message):
    arguments = list(recording)
    arguments[which] = spoil(arguments[which])
    with pytest.raises(EvaluationError, match=message):
        score_recording(*arguments, WAVES)


@pytest.mark.parametrize("score", [r2_temporal, temporal_correlation])
def test_a_single_volume_has_no_temporal_score(recording, score):
    measured, synthesised, _, mask = recording
    with pytest.raises(EvaluationError, match="single volume"):
        score(measured[:1], synthesised[:1], mask)


def test_undefined_scores_are_refused():
    constant, mask = np.full((4, 5, 6, 3), 2.0, np.float32), np.ones((5, 6, 3), bool)
    with pytest.raises(EvaluationError, match="varies over time"):
        r2_temporal(constant, constant, mask)
    with pytest.raises(EvaluationError, match="PSNR"):
        psnr(constant, constant)
    with pytest.raises(EvaluationError, match="mean_volume equals"):
        skill(constant, constant, constant[0])


def test_evaluation_errors_are_the_packages_and_value_errors():
    assert issubclass(EvaluationError, Eeg2FmriError)
    assert issubclass(EvaluationError, ValueError)
