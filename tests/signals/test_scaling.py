from typing import get_args

import numpy as np
import pytest

from eeg2fmri.config import BoldScaling, EegScaling
from eeg2fmri.errors import ConfigError
from eeg2fmri.signals import EegStatistics, bold_scaling, eeg_scaling, recording_statistics
from eeg2fmri.signals.scaling import BOLD_SCALINGS, EEG_SCALINGS


@pytest.fixture
def x(rng):
    """(windows, channels, frequencies, context)."""
    return rng.gamma(2, 3, (6, 5, 4, 3)).astype(np.float32)


@pytest.fixture
def statistics(rng):
    return EegStatistics(mean=rng.normal(5, 1, (5, 4)).astype(np.float32), sd=rng.uniform(1, 2, (5, 4)).astype("f4"))


def test_channels_is_a_z_score_across_channels(x, statistics):
    found = eeg_scaling("channels").standardise(x, statistics)
    assert found[1, 2, 3, 0] == pytest.approx((x[1, 2, 3, 0] - x[1, :, 3, 0].mean()) / x[1, :, 3, 0].std(), rel=1e-4)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=1), 1, rtol=1e-4)


def test_training_uses_the_given_statistics_per_channel_and_frequency(x, statistics):
    found = eeg_scaling("training").standardise(x, statistics)
    expected = (x[4, 1, 2] - statistics.mean[1, 2]) / statistics.sd[1, 2]
    np.testing.assert_allclose(found[4, 1, 2], expected, rtol=1e-5)
    assert found.shape == x.shape
    assert found.dtype == np.float32


def test_training_does_not_look_at_the_other_windows(x, statistics):
    alone = eeg_scaling("training").standardise(x[2:3], statistics)
    np.testing.assert_array_equal(alone, eeg_scaling("training").standardise(x, statistics)[2:3])


def test_none_leaves_the_magnitudes(x, statistics):
    np.testing.assert_array_equal(eeg_scaling("none").standardise(x, statistics), x)


def test_what_does_not_vary_becomes_0(x, statistics):
    flat = x.copy()
    flat[2, :, 1, 0] = 4
    assert not eeg_scaling("channels").standardise(flat, statistics)[2, :, 1, 0].any()
    statistics.sd[3, 2] = 0
    found = eeg_scaling("training").standardise(x, statistics)
    assert not found[:, 3, 2].any()
    assert np.isfinite(found).all()


def test_the_input_is_not_changed(x, statistics):
    before = x.copy()
    for kind in ("channels", "training", "none"):
        eeg_scaling(kind).standardise(x, statistics)
    np.testing.assert_array_equal(x, before)


def test_one_channel_cannot_be_scaled_across_channels(x, statistics, refuses):
    with refuses(ConfigError, "at least 2 channels, found 1; use 'training'"):
        eeg_scaling("channels").standardise(x[:, :1], statistics)


@pytest.mark.parametrize(
    ("find", "name", "nearest"), [(eeg_scaling, "chanels", "channels"), (bold_scaling, "voxels", "voxel")]
)
def test_a_scaling_that_is_not_known_is_refused_with_the_nearest(find, name, nearest, refuses):
    with refuses(ConfigError, rf"'{name}' is not known; expected one of .*did you mean '{nearest}'\?"):
        find(name)


def test_settings_name_the_scalings_that_there_are():
    assert set(get_args(EegScaling)) == EEG_SCALINGS.keys()
    assert set(get_args(BoldScaling)) == BOLD_SCALINGS.keys()


@pytest.mark.parametrize("name", BOLD_SCALINGS)
def test_the_unit_of_the_mean_is_that_of_the_fluctuations(name, rng):
    """A voxel's mean over the deviation of its volumes is the same in every unit but that of single volumes."""
    volumes = (500 + 10 * rng.standard_normal((30, 3, 4, 2))).astype(np.float32)
    statistics = recording_statistics(volumes, np.ones((3, 4, 2), bool), iqr=False)
    deviation = bold_scaling(name).standardise(volumes, statistics).std(axis=0)
    found = bold_scaling(name).mean(statistics) / deviation
    expected = volumes.mean(axis=0) / volumes.std(axis=0)
    np.testing.assert_allclose(found, expected, rtol=0.5 if name == "volume" else 1e-4)
