import numpy as np
import pytest

from eeg2fmri.errors import ConfigError
from eeg2fmri.signals import EegStatistics, standardise_eeg


@pytest.fixture
def x(rng):
    """(windows, channels, frequencies, context)."""
    return rng.gamma(2, 3, (6, 5, 4, 3)).astype(np.float32)


@pytest.fixture
def statistics(rng):
    return EegStatistics(mean=rng.normal(5, 1, (5, 4)).astype(np.float32), sd=rng.uniform(1, 2, (5, 4)).astype("f4"))


def test_channels_is_a_z_score_across_channels(x, statistics):
    found = standardise_eeg(x, "channels", statistics)
    assert found[1, 2, 3, 0] == pytest.approx((x[1, 2, 3, 0] - x[1, :, 3, 0].mean()) / x[1, :, 3, 0].std(), rel=1e-4)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=1), 1, rtol=1e-4)


def test_training_uses_the_given_statistics_per_channel_and_frequency(x, statistics):
    found = standardise_eeg(x, "training", statistics)
    expected = (x[4, 1, 2] - statistics.mean[1, 2]) / statistics.sd[1, 2]
    np.testing.assert_allclose(found[4, 1, 2], expected, rtol=1e-5)
    assert found.shape == x.shape
    assert found.dtype == np.float32


def test_training_does_not_look_at_the_other_windows(x, statistics):
    alone = standardise_eeg(x[2:3], "training", statistics)
    np.testing.assert_array_equal(alone, standardise_eeg(x, "training", statistics)[2:3])


def test_none_leaves_the_magnitudes(x, statistics):
    np.testing.assert_array_equal(standardise_eeg(x, "none", statistics), x)


def test_what_does_not_vary_becomes_0(x, statistics):
    flat = x.copy()
    flat[2, :, 1, 0] = 4
    assert not standardise_eeg(flat, "channels", statistics)[2, :, 1, 0].any()
    statistics.sd[3, 2] = 0
    found = standardise_eeg(x, "training", statistics)
    assert not found[:, 3, 2].any()
    assert np.isfinite(found).all()


def test_the_input_is_not_changed(x, statistics):
    before = x.copy()
    for kind in ("channels", "training", "none"):
        standardise_eeg(x, kind, statistics)
    np.testing.assert_array_equal(x, before)


def test_one_channel_cannot_be_scaled_across_channels(x, statistics, refuses):
    with refuses(ConfigError, "at least 2 channels, found 1; use 'training'"):
        standardise_eeg(x[:, :1], "channels", statistics)
