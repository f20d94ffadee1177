"""Where a model follows BOLD over time: maps, the choice of a region, and its courses."""

import numpy as np
import pytest
from scipy import stats

from eeg2fmri.evaluation import best_voxels, correlation_map, dynamics_of, pearson, temporal_correlation
from eeg2fmri.signals import drift_waves, without_drift

GRID, VOLUMES, TR, CUTOFF = (7, 6, 5), 40, 2.0, 50.0
WAVES = drift_waves(VOLUMES, TR, CUTOFF)


@pytest.fixture
def series(rng):
    """Measured and synthesised noise with a drift of their own that all voxels share."""
    drift = np.linspace(0, 20, VOLUMES)[:, None, None, None]
    return rng.standard_normal((VOLUMES, *GRID)) + drift, rng.standard_normal((VOLUMES, *GRID)) + drift


def test_the_map_is_pearsons_r_of_series_without_drifts(series, rng):
    mask = rng.random(GRID) > 0.4
    found = correlation_map(*series, mask, WAVES)
    steady = [without_drift(each, TR, CUTOFF) for each in series]
    for x, y, z in zip(*np.nonzero(mask), strict=True):
        expected = stats.pearsonr(*(each[:, x, y, z] for each in steady)).statistic
        assert found[x, y, z] == pytest.approx(expected)
    assert not found[~mask].any()
    assert found[mask].mean() == pytest.approx(temporal_correlation(*series, mask, WAVES))
    assert correlation_map(*series, mask)[mask].mean() > 0.9 > 0.1 > abs(found[mask].mean())


def test_a_constant_series_follows_nothing(series):
    constant = np.broadcast_to(series[0][0], series[0].shape)
    mask = np.ones(GRID, bool)
    assert not correlation_map(series[0], constant, mask, WAVES).any()
    assert best_voxels(correlation_map(series[0], constant, mask, WAVES), mask) is None


def test_the_best_voxels_are_those_of_the_mask_with_the_highest_values(rng):
    values, mask = rng.random(GRID), np.ones(GRID, bool)
    mask[2, 2, 1] = False
    values[2, 2, 1] = 9.0
    found = best_voxels(values, mask, share=0.02)
    assert found.sum() == round(0.02 * mask.sum())
    assert not found[~mask].any()
    assert values[found].min() > values[mask & ~found].max()


def test_courses_are_means_over_the_region_without_drifts(series):
    region, mask = np.zeros(GRID, bool), np.ones(GRID, bool)
    region[2:4, 1:3, 1] = True
    mask[2, 1, 1] = False
    found = dynamics_of(*series, mask, WAVES, region, "sub-7")
    expected = [without_drift(each, TR, CUTOFF)[:, region & mask].mean(1) for each in series]
    np.testing.assert_allclose(found.courses, expected, atol=1e-12)
    assert pearson(*found.courses) == pytest.approx(stats.pearsonr(*expected).statistic)
    assert found.subject == "sub-7"
    np.testing.assert_allclose(found.background, series[0].mean(0))


@pytest.mark.parametrize("region", [None, np.zeros(GRID, bool)])
def test_no_region_has_no_courses(series, region):
    found = dynamics_of(*series, np.ones(GRID, bool), WAVES, region, "sub-7")
    assert found.courses is found.region is None


def test_a_constant_course_correlates_with_nothing():
    assert pearson(np.array([1.0, -1.0, 0.0]), np.zeros(3)) == 0
