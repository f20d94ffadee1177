"""Cleaning of EEG from the scanner, up to the EEG that a spectrogram uses.

In this order: gradient artefact at the full rate, low-pass and decimation, pulse artefact, bad channels,
average reference. Symbols: C channels, n samples of the file, m samples afterwards, F frequencies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Protocol

import numpy as np
from scipy import fft, signal

from eeg2fmri.config import CleaningConfig
from eeg2fmri.errors import DatasetError
from eeg2fmri.signals.bads import interpolate_bads
from eeg2fmri.signals.gradient import Epochs, Gaps, remove_gradient, scan_epochs, scanned_around
from eeg2fmri.signals.pulse import find_r_peaks, plausible, remove_pulse
from eeg2fmri.signals.resample_eeg import resample, resampling_ratio

BLOCK = 1 << 25  # samples of a block of channels at the full rate: 128 MiB
SPECTRUM_S, HIGHEST_HZ = 4.0, 70.0


class Read(Protocol):
    """Reads all samples of the channels `picks`, float32 in µV."""

    def __call__(self, picks: list[int]) -> np.ndarray: ...


@dataclass(frozen=True)
class Marks:
    """Samples of a recording that the cleaning uses.

    volumes: onsets (fractional) at which the scanner starts each volume, equally far apart; `gradient` needs
    them.  r_peaks: heart beats that the file marks; without them they are found in the ECG.
    gaps: (start, stop) within which there is no EEG.
    """

    volumes: np.ndarray = field(default_factory=lambda: np.empty(0))
    r_peaks: np.ndarray = field(default_factory=lambda: np.empty(0))
    gaps: Gaps = ()


@dataclass(frozen=True)
class CleanEeg:
    """Cleaned EEG, and data for its quality control.

    data: (C, m) float32 in µV.  sampling_rate: Hz.  factor: sample s of the file is ``s / factor`` here.
    spectrum_frequencies: (F,) Hz, up to 70.  spectrum_before, spectrum_after: (C, F) power spectral
    density in µV²/Hz; the same array if nothing was done.  r_peaks: samples of `data` within the scan,
    none without `pulse`.  interpolated: names of the channels that were rebuilt.
    """

    data: np.ndarray
    sampling_rate: float
    channels: tuple[str, ...]
    types: tuple[str, ...]
    factor: float
    spectrum_frequencies: np.ndarray
    spectrum_before: np.ndarray
    spectrum_after: np.ndarray
    r_peaks: np.ndarray
    interpolated: tuple[str, ...]


def clean_eeg(
    read: Read,
    n_samples: int,
    sampling_rate: float,
    channels: Sequence[str],
    types: Sequence[str],
    bads: Sequence[str],
    marks: Marks,
    config: CleaningConfig,
) -> CleanEeg:
    """Read the channels of a recording and clean them, a block of channels at a time.

    Parameters
    ----------
    read : gives samples of channels; a pick is an index into `channels`.
    n_samples : n.
    sampling_rate : of the file, Hz.
    channels, types : name and type in lower case (``"eeg"``, ``"ecg"``, …) of each channel.
    bads : names of bad channels; others than EEG channels are left as they are.
    marks : volumes, heart beats and gaps. Volumes that the scanner took without markers, before the first and
        after the last, are found by their artefact.
    config : the cleaning steps and their settings.

    Raises
    ------
    AlignmentError
        If `gradient` is on and the markers do not give the volumes.
    DatasetError
        If samples are not finite, `pulse` is on without a good ECG channel, or a bad channel has no position.
    ConfigError
        If the EEG cannot be brought to the rate asked for.
    """
    ratio = check_cleaning(n_samples, sampling_rate, channels, types, bads, marks, config)
    given = plausible(marks.r_peaks, sampling_rate)
    ecg = ecg_row(channels, types, bads) if config.pulse and not given else 0
    epochs: Epochs | None = None
    rate = sampling_rate * float(ratio)
    frequencies = _frequencies(n_samples / sampling_rate, rate)
    data = np.empty((len(channels), -(-n_samples * ratio.numerator // ratio.denominator)), np.float32)
    before = np.empty((len(channels), len(frequencies)), np.float32)
    size = max(1, BLOCK // n_samples)
    for first in range(0, len(channels), size):
        rows = slice(first, min(first + size, len(channels)))
        block = np.asarray(read(list(range(rows.start, rows.stop))), np.float32)
        check_finite(block, channels[rows])
        before[rows] = _spectrum(block, sampling_rate, frequencies)
        if config.gradient:
            if epochs is None:
                epochs = find_epochs(partial(_samples, block[0]), n_samples, marks, config)
            block = remove_gradient(block.copy(), epochs)
        data[rows] = resample(block, ratio)
    r_peaks = np.empty(0)
    if config.pulse:
        if given:
            r_peaks = marks.r_peaks * float(ratio)
        else:
            start, stop = scanned(marks, n_samples, ratio)
            r_peaks = start + find_r_peaks(partial(_samples, data[ecg, start:stop]), stop - start, rate)
        scalp = eeg_rows(types)
        data[scalp] = remove_pulse(data[scalp], rate, r_peaks, config.pulse_components)
    interpolated = finish(data, channels, types, bads, config)
    cleaned = bool(config.gradient or ratio != 1 or config.pulse or interpolated or config.average_reference)
    return CleanEeg(
        data=data,
        sampling_rate=rate,
        channels=tuple(channels),
        types=tuple(types),
        factor=float(1 / ratio),
        spectrum_frequencies=frequencies,
        spectrum_before=before,
        spectrum_after=_spectrum(data, rate, frequencies) if cleaned else before,
        r_peaks=r_peaks,
        interpolated=interpolated,
    )


def _samples(course: np.ndarray, start: int, stop: int) -> np.ndarray:
    return course[start:stop]


def find_epochs(read: Callable[[int, int], np.ndarray], n_samples: int, marks: Marks, config: CleaningConfig) -> Epochs:
    """Return the volumes of the scanner, with those that have no marker.

    Parameters
    ----------
    read : gives samples (start, stop) of the first channel, float32 in µV.
    n_samples, marks, config : as `clean_eeg`.

    Raises
    ------
    AlignmentError
        If the markers do not give the volumes.
    """
    scanned = scanned_around(read, n_samples, marks.volumes)
    return scan_epochs(scanned, n_samples, config.template, marks.gaps)


def check_cleaning(
    n_samples: int,
    sampling_rate: float,
    channels: Sequence[str],
    types: Sequence[str],
    bads: Sequence[str],
    marks: Marks,
    config: CleaningConfig,
) -> Fraction:
    """Refuse what `clean_eeg` would refuse, before it reads a sample; parameters and errors as there.

    Returns
    -------
    New rate over old rate.
    """
    if config.pulse and not plausible(marks.r_peaks, sampling_rate):
        ecg_row(channels, types, bads)
    if config.gradient:
        scan_epochs(marks.volumes, n_samples, config.template, marks.gaps)
    if config.interpolate_bads:
        names = [name for name, kind in zip(channels, types, strict=True) if kind == "eeg"]
        interpolate_bads(np.zeros((len(names), 1)), names, [name for name in names if name in bads])
    return resampling_ratio(sampling_rate, config.sampling_rate)


def scanned(marks: Marks, n_samples: int, ratio: Fraction) -> tuple[int, int]:
    """Return first sample of the scan and that after its last, at the new rate.

    Heart beats are looked for there: artefacts that are left outside it would hide them.
    """
    volumes = marks.volumes
    start, stop = (volumes[0], 2 * volumes[-1] - volumes[-2]) if len(volumes) > 1 else (0, n_samples)
    total = -(-n_samples * ratio.numerator // ratio.denominator)
    return int(max(start, 0) * ratio), min(int(stop * ratio) + 1, total)


def eeg_rows(types: Sequence[str]) -> list[int]:
    """Return the rows of the EEG channels."""
    return [row for row, kind in enumerate(types) if kind == "eeg"]


def finish(
    data: np.ndarray, channels: Sequence[str], types: Sequence[str], bads: Sequence[str], config: CleaningConfig
) -> tuple[str, ...]:
    """Apply the last steps, bad channels and reference, to `data`, in place; return the names of the rebuilt ones."""
    rows = eeg_rows(types)
    names = [channels[row] for row in rows]
    marked = tuple(name for name in names if name in bads)
    interpolated = marked if config.interpolate_bads else ()
    if not (interpolated or config.average_reference):
        return ()
    eeg = data[rows]
    interpolate_bads(eeg, names, interpolated)
    if config.average_reference:
        good = [row for row, name in enumerate(names) if name in interpolated or name not in marked]
        eeg -= eeg[good].mean(axis=0)
    data[rows] = eeg
    return interpolated


def ecg_row(channels: Sequence[str], types: Sequence[str], bads: Sequence[str]) -> int:
    """Return the row of the first good ECG channel."""
    good = [
        row for row, (name, kind) in enumerate(zip(channels, types, strict=True)) if kind == "ecg" and name not in bads
    ]
    if not good:
        raise DatasetError(
            f"data.cleaning.pulse needs a good ECG channel, found the types {', '.join(sorted(set(types)))}; "
            f"name it in channels.tsv with type ECG or set data.cleaning.pulse=false"
        )
    return good[0]


def check_finite(block: np.ndarray, names: Sequence[str]) -> None:
    """Refuse channels, (channels, samples) with their names, that hold a sample that is not finite."""
    if not np.isfinite(block).all():
        bad = [name for name, row in zip(names, block, strict=True) if not np.isfinite(row).all()]
        raise DatasetError(f"NaN or infinite samples in {', '.join(bad[:4])}; repair or drop these channels")


def _frequencies(seconds: float, rate: float) -> np.ndarray:
    """Return the frequencies (F,) that the spectra before and after share, at any two rates."""
    step = 1 / min(SPECTRUM_S, seconds)
    return np.arange(int(min(HIGHEST_HZ, rate / 2) / step) + 1) * step


def _spectrum(eeg: np.ndarray, rate: float, frequencies: np.ndarray) -> np.ndarray:
    """Compute power spectral density (C, F) in µV²/Hz by Welch's method, with adjacent Hann windows.

    The result is that of `scipy.signal.welch` with ``noverlap=0``, which would take a tenth of the time of
    preprocessing a recording.
    """
    length = round(rate / frequencies[1])
    window = signal.get_window("hann", length).astype(np.float32)
    power = np.empty((len(eeg), len(frequencies)), np.float32)
    for channel, course in enumerate(eeg):
        parts = course[: len(course) // length * length].reshape(-1, length)
        spectrum = fft.rfft((parts - parts.mean(axis=1, keepdims=True)) * window)[:, : len(frequencies)]
        power[channel] = (np.square(spectrum.real) + np.square(spectrum.imag)).mean(axis=0)
    power *= 2 / (rate * np.square(window).sum())
    power[:, 0] /= 2  # the constant has no negative frequency
    if 2 * (len(frequencies) - 1) == length:
        power[:, -1] /= 2
    return power
