import numpy as np
import pytest
from scipy import signal

from eeg2fmri.config import CleaningConfig
from eeg2fmri.errors import AlignmentError, ConfigError, DatasetError
from eeg2fmri.signals import Marks, clean_eeg, cleaning

NAMES = ("Fp1", "Fp2", "Cz", "Pz", "Oz", "ECG")
TYPES = ("eeg",) * 5 + ("ecg",)
RATE = 500.0
MARKERS = 350 + 200.0 * np.arange(60)


@pytest.fixture
def eeg(rng):
    """(6, 13000) µV: coloured noise, and an ECG."""
    band = signal.butter(2, (1, 40), "bandpass", fs=RATE, output="sos")
    noise = signal.sosfilt(band, rng.normal(0, 40, (6, 13_000)), axis=1)
    t = np.arange(13_000) / RATE
    noise[-1] = sum(1000 * np.exp(-(((t - beat) / 0.012) ** 2)) for beat in np.arange(0.4, 26, 0.88))
    return noise.astype(np.float32)


class Reader:
    """Gives channels of an array, and remembers how many were asked for at once."""

    def __init__(self, data):
        self.data, self.asked = data, []

    def __call__(self, picks):
        self.asked.append(list(picks))
        return self.data[picks]


def cleaned(data, *, bads=(), markers=MARKERS, types=TYPES, names=NAMES, r_peaks=(), **settings):
    marks = Marks(markers, np.asarray(r_peaks, float))
    return clean_eeg(Reader(data), data.shape[1], RATE, names, types, bads, marks, CleaningConfig(**settings))


def with_gradient(eeg):
    t = np.arange(eeg.shape[1])
    running = (t >= MARKERS[0]) & (t < MARKERS[-1] + 200)
    artefact = running * sum(900 * np.sin(2 * np.pi * k * (t - MARKERS[0]) / 200 + k) for k in (4, 8, 31))
    return eeg + np.arange(1, 7)[:, None] * artefact.astype(np.float32)


def test_by_default_the_eeg_is_read_and_nothing_else(eeg):
    found = cleaned(eeg, markers=np.empty(0))
    np.testing.assert_array_equal(found.data, eeg)
    assert (found.sampling_rate, found.factor, found.channels, found.types) == (RATE, 1.0, NAMES, TYPES)
    assert found.spectrum_after is found.spectrum_before
    assert found.r_peaks.shape == (0,)
    assert found.interpolated == ()


def test_spectra_are_densities_up_to_70_hz(eeg):
    found = cleaned(eeg)
    np.testing.assert_allclose(found.spectrum_frequencies, np.arange(281) / 4)
    expected = signal.welch(eeg, RATE, nperseg=2000, noverlap=0)[1][:, :281]
    np.testing.assert_allclose(found.spectrum_before, expected, rtol=1e-3)


def test_everything_together(eeg):
    raw = with_gradient(eeg)
    found = cleaned(raw, gradient=True, sampling_rate=125.0, bads=["Cz"], average_reference=True)
    assert found.data.shape == (6, 3250)
    assert found.data.dtype == np.float32
    assert (found.sampling_rate, found.factor) == (125.0, 4.0)
    assert found.interpolated == ("Cz",)
    np.testing.assert_allclose(found.data[:5].mean(axis=0), 0, atol=1e-3)
    assert found.spectrum_before.shape == found.spectrum_after.shape == (6, len(found.spectrum_frequencies))
    at = np.searchsorted(found.spectrum_frequencies, 10.0)  # 4 cycles in a TR of 0.4 s
    assert (found.spectrum_before[:, at] > 1e4 * found.spectrum_after[:, at]).all()


def test_a_sample_of_the_file_keeps_its_time(eeg):
    spike = np.zeros_like(eeg)
    spike[:, 6000:6020] = 100
    found = cleaned(spike, sampling_rate=125.0)
    middle = (found.data[0] * np.arange(3250)).sum() / found.data[0].sum()
    assert middle == pytest.approx(6009.5 / found.factor, abs=0.01)


def test_channels_are_read_once_and_a_block_at_a_time(eeg, monkeypatch):
    raw = with_gradient(eeg)
    whole = cleaned(raw, gradient=True, sampling_rate=125.0)
    monkeypatch.setattr(cleaning, "BLOCK", 30_000)
    read = Reader(raw)
    config = CleaningConfig(gradient=True, sampling_rate=125.0)
    found = clean_eeg(read, raw.shape[1], RATE, NAMES, TYPES, [], Marks(MARKERS), config)
    assert read.asked == [[0, 1], [2, 3], [4, 5]]
    np.testing.assert_allclose(found.data, whole.data, atol=1e-4)
    np.testing.assert_array_equal(found.spectrum_before, whole.spectrum_before)


def test_what_was_read_is_not_changed(eeg):
    raw = with_gradient(eeg)
    before = raw.copy()
    clean_eeg(
        lambda picks: raw,
        13_000,
        RATE,
        NAMES,
        TYPES,
        [],
        Marks(MARKERS),
        CleaningConfig(gradient=True),
    )
    np.testing.assert_array_equal(raw, before)


def test_pulse_is_taken_from_the_eeg_only_and_r_peaks_are_samples_of_the_result(eeg):
    found = cleaned(eeg, pulse=True, sampling_rate=125.0)
    plain = cleaned(eeg, sampling_rate=125.0)
    np.testing.assert_array_equal(found.data[-1], plain.data[-1])
    assert not np.allclose(found.data[0], plain.data[0])
    seconds = found.r_peaks / 125.0
    off = (seconds - 0.4 + 0.44) % 0.88 - 0.44
    assert np.abs(off).max() < 0.02
    assert seconds.min() > MARKERS[0] / RATE
    assert len(seconds) >= 25


def test_marked_heart_beats_are_taken_without_an_ecg(eeg):
    beats = np.arange(0.4, 26, 0.88) * RATE
    types = ("eeg",) * 6
    found = cleaned(eeg, types=types, names=(*NAMES[:5], "Fz"), r_peaks=beats, pulse=True, sampling_rate=125.0)
    np.testing.assert_allclose(found.r_peaks, beats / 4)
    with pytest.raises(DatasetError, match="needs a good ECG channel"):  # every tenth of a second is no heart
        cleaned(eeg, types=types, r_peaks=np.arange(0, 13_000, 50.0), pulse=True)


def test_a_bad_channel_may_stay_and_takes_no_part_in_the_reference(eeg):
    eeg[1] = 1e6
    found = cleaned(eeg, bads=["Fp2"], interpolate_bads=False, average_reference=True)
    assert found.interpolated == ()
    np.testing.assert_allclose(found.data[0], eeg[0] - eeg[[0, 2, 3, 4]].mean(axis=0), atol=1e-3)


def test_a_bad_ecg_is_not_interpolated(eeg):
    assert cleaned(eeg, bads=["ECG"]).interpolated == ()


def test_a_recording_shorter_than_a_spectrum_window(eeg):
    found = cleaned(eeg[:, :700])
    assert found.spectrum_before.shape == (6, len(found.spectrum_frequencies))
    assert found.spectrum_frequencies[1] == pytest.approx(500 / 700)


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        ({"gradient": True, "markers": np.empty(0)}, AlignmentError, "needs the volume markers.*gradient=false"),
        ({"sampling_rate": 1000.0}, ConfigError, "1000 Hz is above the EEG's 500 Hz"),
        ({"pulse": True, "types": ("eeg",) * 6}, DatasetError, "needs a good ECG channel, found the types eeg"),
        ({"pulse": True, "bads": ["ECG"]}, DatasetError, "needs a good ECG channel"),
        ({"bads": ["X9"], "names": ("X9", *NAMES[1:])}, DatasetError, "channel X9 is marked bad"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(eeg, change, kind, match, refuses):
    with refuses(kind, match):
        cleaned(eeg, **change)


def test_samples_that_are_no_numbers_are_refused(eeg, refuses):
    eeg[3, 77] = np.nan
    with refuses(DatasetError, "NaN or infinite samples in Pz"):
        cleaned(eeg)


def test_the_template_must_have_a_middle():
    with pytest.raises(ValueError, match="must be odd"):
        CleaningConfig(template=20)
