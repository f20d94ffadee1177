"""Numbers on the quality of a recording."""

import numpy as np
import pytest

from eeg2fmri.evaluation import (
    bridged_channels,
    broken_channels,
    line_noise,
    marker_deviation,
    outlier_volumes,
    relative_dvars,
    temporal_snr,
)

HZ = np.arange(0, 70.25, 0.25)


def spectrum(rng, channels=12):
    """Noise with a 1/f level, the channels up to 3 dB apart."""
    level = 10 ** rng.uniform(-0.15, 0.15, (channels, 1)) / (1 + HZ)
    return level * rng.gamma(40, 1 / 40, (channels, len(HZ)))


def test_temporal_snr_is_mean_by_deviation_and_0_where_nothing_changes():
    mean, sd = np.array([[[100.0, 90.0, 5.0]]]), np.array([[[2.0, 0.5, 0.0]]])
    np.testing.assert_allclose(temporal_snr(mean, sd), [[[50, 180, 0]]])


def test_marker_deviation_is_from_whole_trs():
    deviation, spanned = marker_deviation(np.array([2.0, 2.003, 3.999, 6.0]), 2.0)
    np.testing.assert_allclose(deviation, [0, 3, -1, 0], atol=1e-9)
    np.testing.assert_array_equal(spanned, [1, 1, 2, 3])


def test_markers_close_together_span_one_volume():
    deviation, spanned = marker_deviation(np.array([0.5]), 2.0)
    assert (deviation[0], spanned[0]) == (-1500, 1)


def test_no_markers_have_no_deviation():
    deviation, spanned = marker_deviation(np.empty(0), 2.0)
    assert deviation.shape == spanned.shape == (0,)


@pytest.mark.parametrize("line", [50, 60])
def test_line_noise_is_found_at_either_frequency(rng, line):
    power = spectrum(rng)
    assert abs(line_noise(HZ, power)) < 0.5
    power[:, np.abs(HZ - line) <= 0.5] *= 100
    assert line_noise(HZ, power) == pytest.approx(20, abs=0.5)


def test_line_noise_of_one_channel_is_not_the_recordings(rng):
    power = spectrum(rng)
    power[3, np.abs(HZ - 50) <= 0.5] *= 1e4
    assert abs(line_noise(HZ, power)) < 0.5


def test_line_noise_is_not_known_below_its_frequency_or_of_flat_channels(rng):
    low = HZ <= 40
    assert np.isnan(line_noise(HZ[low], spectrum(rng)[:, low]))
    assert np.isnan(line_noise(HZ, np.zeros((3, len(HZ)))))


ALPHA = (HZ >= 8) & (HZ <= 13)
BETA = (HZ >= 16) & (HZ <= 26)


def test_each_kind_of_broken_channel_is_named(rng):
    power = spectrum(rng)
    power[1] += 10 * power.mean()  # an electrode that hardly touches the skin
    power[2] *= 1e3
    power[5] = 0
    power[7] *= 1e-3
    power[8, (HZ >= 30) & (HZ <= 45)] *= 30
    power[10, np.abs(HZ - 50) <= 0.5] += 20
    reasons = broken_channels(HZ, power)
    assert list(reasons) == ["", "loud", "loud", "", "", "flat", "", "flat", "noisy", "", "mains", ""]


@pytest.mark.parametrize("times", [10, 20, 100])
@pytest.mark.parametrize("spread", [0.02, 0.15])
def test_a_strong_alpha_rhythm_breaks_no_channel(rng, times, spread):
    level = 10 ** rng.uniform(-spread, spread, (32, 1)) / (1 + HZ)
    power = level * rng.gamma(40, 1 / 40, (32, len(HZ)))
    power[20, ALPHA] *= times
    power[20, BETA] *= np.sqrt(times)  # its harmonic
    assert not broken_channels(HZ, power).any()
    power[3] = 0
    assert list(np.flatnonzero(broken_channels(HZ, power))) == [3]


def test_a_rhythm_of_most_channels_does_not_make_the_others_flat(rng):
    power = spectrum(rng)
    power[:9, ALPHA] *= 1000
    assert not broken_channels(HZ, power).any()


def test_a_channel_of_amplifier_noise_is_broken(rng):
    power = spectrum(rng)
    power[4] = rng.gamma(40, 1 / 40, len(HZ)) * power[0, HZ == 45] / 100
    assert broken_channels(HZ, power)[4] == "flat"


def test_mains_on_all_channels_break_none(rng):
    power = spectrum(rng)
    power[:, np.abs(HZ - 50) <= 0.5] += 20
    assert not broken_channels(HZ, power).any()


def test_spectra_that_end_below_30_hz_are_judged(rng):
    low = HZ <= 25
    power = spectrum(rng)[:, low]
    power[2] *= 1e3
    assert list(np.flatnonzero(broken_channels(HZ[low], power))) == [2]


def test_channels_that_differ_as_channels_do_are_whole(rng):
    power = spectrum(rng)
    power[4] /= 30  # beside the reference electrode
    assert not broken_channels(HZ, power).any()


def test_equal_channels_are_whole_and_an_eeg_of_nothing_is_broken():
    assert not broken_channels(HZ, np.ones((5, len(HZ)))).any()
    assert broken_channels(HZ, np.zeros((5, len(HZ)))).all()


def test_drifts_below_1_hz_break_no_channel(rng):
    power = spectrum(rng)
    power[1, HZ < 1] *= 1e6
    assert not broken_channels(HZ, power).any()


def cap(rng, correlation, noise):
    """(W, C, F) magnitudes of five channels; 1 and 3 share a signal, and differ by noise."""
    signal = rng.standard_normal((5, 60, 40)) + 1j * rng.standard_normal((5, 60, 40))
    signal = np.sqrt(correlation) * signal[:1] + np.sqrt(1 - correlation) * signal
    signal[3] = signal[1] + noise * (rng.standard_normal((60, 40)) + 1j * rng.standard_normal((60, 40)))
    signal[4] = 0
    return np.abs(signal).transpose(1, 0, 2)


def test_bridged_channels_are_found_and_neighbours_are_not(rng):
    hz = np.arange(1, 41) / 2
    assert list(np.flatnonzero(bridged_channels(hz, cap(rng, 0.95, 0.02)))) == [1, 3]
    assert not bridged_channels(hz, cap(rng, 0.95, 0.3)).any()


def test_a_jump_of_the_head_is_an_outlier_of_dvars(rng):
    dvars = 10 * np.sqrt(rng.chisquare(200, 199) / 200)
    sd = np.full(500, 10.0)
    assert not outlier_volumes(dvars, sd).any()
    dvars[[60, 61]] = 25, 22
    assert list(np.flatnonzero(outlier_volumes(dvars, sd))) == [60, 61]


def test_a_change_that_is_small_beside_the_run_is_no_outlier(rng):
    dvars = 10 * np.sqrt(rng.chisquare(1e6, 199) / 1e6)
    dvars[60] = 10.5  # certain, and 2.6 % of the variance
    assert not outlier_volumes(dvars, np.full(500, 10.0)).any()
    assert list(np.flatnonzero(outlier_volumes(dvars, np.full(500, 5.0)))) == [60]


def test_dvars_that_never_change_or_are_few_have_no_outliers():
    assert not outlier_volumes(np.ones(50), np.ones(5)).any()
    assert not outlier_volumes(np.zeros(50), np.zeros(5)).any()
    assert not outlier_volumes(np.array([1.0, 1, 9]), np.ones(5)).any()


def test_relative_dvars_are_1_for_the_typical_volume():
    np.testing.assert_allclose(relative_dvars(np.array([2.0, 4, 4, 12, 4])), [0.5, 1, 1, 3, 1])
    np.testing.assert_array_equal(relative_dvars(np.zeros(3)), 0)
