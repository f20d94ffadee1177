"""Numbers on the quality of a recording."""

import numpy as np
import pytest

from eeg2fmri.evaluation import broken_channels, line_noise, marker_deviation, temporal_snr

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


def test_loud_flat_and_silent_channels_are_broken(rng):
    power = spectrum(rng)
    power[2] *= 1e3
    power[5] = 0
    power[7] *= 1e-3
    assert list(np.flatnonzero(broken_channels(HZ, power))) == [2, 5, 7]


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
