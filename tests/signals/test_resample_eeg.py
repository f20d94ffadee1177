from fractions import Fraction

import numpy as np
import pytest

from eeg2fmri.errors import ConfigError
from eeg2fmri.signals.resample_eeg import resample, resampling_ratio


def wave(frequency, rate, n):
    return np.sin(2 * np.pi * frequency * np.arange(n) / rate + 0.3)[None]


@pytest.mark.parametrize(("rate", "target"), [(5000.0, 250.0), (1000.0, 250.0), (512.0, 200.0), (5000.0, 200.0)])
def test_output_k_lies_at_the_time_of_input_k_times_the_factor(rate, target):
    ratio = resampling_ratio(rate, target)
    n = int(4 * rate) + 3
    found = resample(wave(17.0, rate, n), ratio)
    assert found.shape == (1, -(-n * ratio.numerator // ratio.denominator))
    expected = wave(17.0, target, found.shape[1])
    middle = slice(int(target), -int(target))
    np.testing.assert_allclose(found[:, middle], expected[:, middle], atol=2e-3)


def test_a_pulse_between_output_samples_keeps_its_time():
    x = np.exp(-(((np.arange(20_000) - 7013.0) / 120) ** 2))[None]
    found = resample(x, Fraction(1, 20))[0]
    centre = (found * np.arange(len(found))).sum() / found.sum()
    assert centre * 20 == pytest.approx(7013.0, abs=0.01)


def test_what_the_new_rate_cannot_hold_is_gone_and_the_rest_stays():
    ratio = Fraction(1, 20)
    for frequency, low, high in (
        (60, 0.998, 1.002),
        (98, 0.995, 1.005),
        (126, 0, 2e-3),
        (260, 0, 1e-3),
        (1000, 0, 1e-3),
    ):
        middle = resample(wave(frequency, 5000.0, 40_000), ratio)[0, 500:-500]
        assert low <= np.sqrt(2) * middle.std() <= high


def test_the_ends_do_not_ring_after_an_offset():
    x = np.full((2, 3000), 4000, np.float32)
    found = resample(x, Fraction(1, 4))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 4000, rtol=1e-3)


def test_without_a_target_nothing_happens():
    x = np.ones((1, 7))
    assert resampling_ratio(250.0, None) == resampling_ratio(250.0, 250.0) == 1
    assert resample(x, Fraction(1)) is x


@pytest.mark.parametrize(
    ("target", "match"),
    [(300.0, "300 Hz is above the EEG's 250 Hz"), (100 * np.pi / 3, "no ratio of whole numbers"), (0.01, "no ratio")],
)
def test_impossible_rates_are_refused(target, match, refuses):
    with refuses(ConfigError, match):
        resampling_ratio(250.0, target)
