import numpy as np
import pytest
from scipy.signal import stft

from eeg2fmri.errors import AlignmentError, ConfigError
from eeg2fmri.signals import frequencies, spectrogram
from eeg2fmri.signals.spectrogram import window_length


@pytest.mark.parametrize(("rate", "tr", "length", "bins"), [(250.0, 2.16, 540, 134), (100.0, 0.5, 50, 25)])
def test_values_are_those_of_scipy(rate, tr, length, bins, rng):
    eeg = rng.normal(0, 30, (3, 4 * length))
    found = spectrogram(eeg, rate, tr, onset=0, n_windows=4, n_frequencies=bins)
    _, _, expected = stft(
        eeg, rate, "boxcar", length, noverlap=0, boundary=None, padded=False, scaling="spectrum", detrend=False
    )
    assert found.shape == (4, 3, bins)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.abs(expected[:, 1 : bins + 1]).transpose(2, 0, 1), rtol=1e-5, atol=1e-5)


def test_a_sine_shows_half_its_amplitude_at_its_frequency():
    time = np.arange(540) / 250
    eeg = 10 * np.sin(2 * np.pi * 12 / 2.16 * time)[None]
    found = spectrogram(eeg, 250, 2.16, onset=0, n_windows=1, n_frequencies=134)[0, 0]
    assert found[11] == pytest.approx(5.0, rel=1e-5)
    assert np.delete(found, 11).max() < 1e-4
    assert frequencies(250, 2.16, 134)[11] == pytest.approx(12 / 2.16)


@pytest.mark.parametrize(
    ("rate", "tr", "length"), [(250, 2.16, 540), (100, 0.29, 29), (5000, 1.28, 6400), (100, 0.5047, 50)]
)
def test_a_window_has_the_whole_samples_of_one_tr(rate, tr, length):
    assert window_length(rate, tr) == length


def test_frequencies_start_after_dc_and_are_multiples_of_1_over_tr():
    found = frequencies(250, 2.16, 134)
    np.testing.assert_allclose(found, np.arange(1, 135) / 2.16)
    assert found[-1] == pytest.approx(62.04, abs=0.01)


def test_the_level_of_a_window_is_not_in_it(rng):
    eeg, steps = rng.normal(0, 30, (3, 4 * 50)), np.repeat(rng.normal(0, 100, (3, 4)), 50, axis=1)
    found, stepped = (spectrogram(x, 100, 0.5, onset=0, n_windows=4, n_frequencies=25) for x in (eeg, eeg + steps))
    np.testing.assert_allclose(stepped, found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("onset", "first"), [(37, 37), (37.4, 37), (36.6, 37)])
def test_windows_start_at_the_onset(onset, first):
    eeg = np.zeros((2, 300))
    start = first + 3 * 50
    eeg[1, start : start + 50] = np.sin(2 * np.pi * 10 * np.arange(50) / 100)
    found = spectrogram(eeg, 100, 0.5, onset=onset, n_windows=5, n_frequencies=7)
    assert found[3, 1, 4] == pytest.approx(0.5, rel=1e-5)
    assert np.delete(found[:, 1], 3, axis=0).max() == 0
    assert found[:, 0].max() == 0


def test_rounding_does_not_accumulate():
    tr, rate, n = 0.5047, 100, 60
    eeg = np.zeros((1, 3200))
    ideal = 13.3 + 50.47 * np.arange(n)
    starts = np.rint(ideal).astype(int)
    eeg[0, starts] = 1.0
    eeg[0, starts + 49] = -1.0
    found = spectrogram(eeg, rate, tr, onset=13.3, n_windows=n, n_frequencies=25)
    # first and last sample of every window: the same spectrum throughout, however late the window
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-6)
    assert found[0].max() > 0.03


def test_a_later_first_window_is_the_same_window(rng):
    """Windows that start halfway between two samples, 130 + 50.3 w, too."""
    eeg = rng.normal(size=(2, 1600))
    whole = spectrogram(eeg, 100, 0.503, onset=130, n_windows=20, n_frequencies=7)
    later = spectrogram(eeg, 100, 0.503, onset=130, n_windows=18, n_frequencies=7, first=2)
    np.testing.assert_array_equal(later, whole[2:])


def test_too_many_bins_are_refused_with_the_number_there_is(refuses):
    with refuses(ConfigError, r"^data\.frequencies: 26 bins asked for.*50 samples\) has 25; set data\.frequencies=25"):
        spectrogram(np.zeros((2, 500)), 100, 0.5, onset=0, n_windows=2, n_frequencies=26)


def test_every_bin_up_to_nyquist_can_be_kept():
    assert frequencies(100, 0.5, 25)[-1] == 50


@pytest.mark.parametrize(
    ("n_samples", "onset", "needed"), [(549, 50, "50 to 550"), (550, 51, "51 to 551"), (900, -3, "-3 to 497")]
)
def test_eeg_that_does_not_cover_the_volumes_is_refused(n_samples, onset, needed, refuses):
    with refuses(AlignmentError, rf"samples 0 to {n_samples}, but 10 volumes need {needed}.*cut short"):
        spectrogram(np.zeros((1, n_samples)), 100, 0.5, onset=onset, n_windows=10, n_frequencies=5)


def test_eeg_that_ends_with_the_last_volume_is_enough():
    assert spectrogram(np.zeros((1, 550)), 100, 0.5, onset=50, n_windows=10, n_frequencies=5).shape == (10, 1, 5)
