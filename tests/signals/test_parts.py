import itertools

import numpy as np
import pytest
from scipy import signal

from eeg2fmri.config import CleaningConfig
from eeg2fmri.errors import DatasetError
from eeg2fmri.signals import CleanedParts, Marks, clean_eeg, pulse

NAMES = ("Fp1", "Fp2", "Cz", "Pz", "Oz", "ECG")
TYPES = ("eeg",) * 5 + ("ecg",)
RATE, SAMPLES = 500.0, 40_000
VOLUMES = 350 + 200.0 * np.arange(190)
BEATS = np.arange(0.4, SAMPLES / RATE, 0.88)


@pytest.fixture
def eeg(rng):
    """(6, 40000) µV: noise with both artefacts, and an ECG with that of the gradients."""
    t = np.arange(SAMPLES) / RATE
    band = signal.butter(2, (1, 40), "bandpass", fs=RATE, output="sos")
    data = signal.sosfilt(band, rng.normal(0, 40, (6, SAMPLES)), axis=1)
    data[-1] = sum(1000 * np.exp(-(((t - beat) / 0.012) ** 2)) for beat in BEATS)
    data[:-1] += 50 * sum(rng.uniform(0.8, 1.2) * np.exp(-(((t - beat - 0.21) / 0.07) ** 2)) for beat in BEATS)
    running = (t * RATE >= VOLUMES[0]) & (t * RATE < VOLUMES[-1] + 200)
    data += running * sum(900 * np.sin(2 * np.pi * k * (t * RATE - VOLUMES[0]) / 200 + k) for k in (4, 8, 31))
    return data.astype(np.float32)


class Reader:
    """Gives parts of an array, and remembers how long they were."""

    def __init__(self, data):
        self.data, self.longest = data, 0

    def __call__(self, picks, start, stop):
        self.longest = max(self.longest, stop - start)
        return self.data[picks, start:stop].copy()


def both(data, r_peaks=(), bads=(), **settings):
    """Return parts and whole of the same recording."""
    marks, config, reader = Marks(VOLUMES, np.asarray(r_peaks, float)), CleaningConfig(**settings), Reader(data)
    about = (data.shape[1], RATE, NAMES, TYPES, bads, marks, config)
    return CleanedParts(reader, *about), clean_eeg(lambda picks: data[picks].copy(), *about), reader


ALL = {"gradient": True, "template": 9, "pulse": True, "sampling_rate": 125.0, "average_reference": True}
CASES = {
    "pulse": ({"pulse": True}, ()),
    "pulse, R peaks given": ({"pulse": True, "sampling_rate": 125.0}, BEATS * RATE),
    "all steps": (ALL, ()),
}


@pytest.mark.parametrize("beats", [7, 30, 1000])
@pytest.mark.parametrize("case", CASES)
def test_parts_are_those_of_the_whole(eeg, monkeypatch, case, beats):
    monkeypatch.setattr(pulse, "BLOCK_BEATS", beats)
    settings, r_peaks = CASES[case]
    if not settings.get("gradient"):
        eeg[-1] = 1000 * (np.arange(SAMPLES) % 440 < 8)  # an ECG without the artefact of the gradients
    parts, whole, _ = both(eeg, r_peaks, ("Cz",), **settings)
    assert (parts.n_samples, parts.sampling_rate, parts.factor) == (
        whole.data.shape[1], whole.sampling_rate, whole.factor,
    )  # fmt: skip
    ends = [0, 1, 900, 2017, 2018, 7000, parts.n_samples]
    found = np.concatenate([parts.read(*pair) for pair in itertools.pairwise(ends)], axis=1)
    np.testing.assert_allclose(found, whole.data, atol=2e-3)
    assert np.abs(whole.data - both(eeg, r_peaks, ("Cz",), **settings | {"pulse": False})[1].data).max() > 10


def test_what_is_read_at_once_does_not_grow(eeg, monkeypatch):
    monkeypatch.setattr(pulse, "BLOCK_BEATS", 30)
    read = []
    for repeats in (1, 3):
        parts, _, reader = both(np.tile(eeg, repeats), **ALL)
        for start in range(0, parts.n_samples, 2000):
            parts.read(start, min(start + 2000, parts.n_samples))
        read.append(reader.longest)
    assert read[0] == read[1] < SAMPLES


def test_samples_that_are_no_numbers_are_refused(eeg, refuses):
    eeg[3, 20_000] = np.nan
    marks = Marks(r_peaks=BEATS * RATE)
    parts = CleanedParts(Reader(eeg), SAMPLES, RATE, NAMES, TYPES, (), marks, CleaningConfig(pulse=True))
    with refuses(DatasetError, "NaN or infinite samples in Pz"):
        parts.read(0, 100)  # its block of beats holds the sample
