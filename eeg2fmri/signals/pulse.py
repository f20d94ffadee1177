"""Pulse artefact (ballistocardiogram): R peaks of the ECG and optimal basis sets.

Symbols: n samples at `rate` Hz, in µV.

References
----------
Niazy et al. 2005, NeuroImage 28:720: mean beat and principal components, fitted beat by beat.
Allen et al. 1998, NeuroImage 8:229: the artefact follows the R peak by 0.21 s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import signal

from eeg2fmri.errors import DatasetError

DELAY_S = 0.21
HIGH_PASS_HZ = 0.5  # slower EEG would look like the artefact, and a heart never beats so slowly
HEART_RATES = (40.0, 160.0)  # beats per minute that a resting person can have
ECG_STRETCH_S = 300.0
ECG_BAND_HZ = (5.0, 35.0)  # the band of MNE's detector
TYPICAL = 0.75  # quantile of seconds, by their highest sample: below are pauses between slow beats, above movements
HIGHEST = 3.0  # times a beat; higher is movement
LOWEST_BEAT = 0.2  # of the beats of other stretches
BLOCK_BEATS = 300  # about five minutes: many beats for a few components, and memory does not grow with the recording
NEIGHBOURS = 2  # beats of the next block, so that the last beat of a block ends as any other
MARGIN_S = 10.0  # after it nothing is left of the high-pass filter's start


@dataclass(frozen=True)
class PulseBlock:
    """Beats that share a mean and components. All samples are of the recording.

    start, stop: samples that the block cleans.  first, last: samples that it needs.  r_peaks: of its beats, and of a
    few beyond.
    """

    start: int
    stop: int
    first: int
    last: int
    r_peaks: np.ndarray


def plausible(peaks: np.ndarray, rate: float) -> bool:
    """Return whether R peaks, in samples, follow each other as those of a resting person."""
    if len(peaks) < 3:
        return False
    per_minute = 60 * rate / float(np.median(np.diff(np.sort(peaks))))
    return HEART_RATES[0] <= per_minute <= HEART_RATES[1]


def find_r_peaks(read: Callable[[int, int], np.ndarray], n_samples: int, rate: float) -> np.ndarray:
    """Find R peaks of an ECG channel, in stretches of about five minutes, each by a threshold of its own.

    Parameters
    ----------
    read : gives samples (start, stop) of the channel, in µV.
    n_samples, rate : of the channel.

    Returns
    -------
    (beats,) samples.

    Raises
    ------
    DatasetError
        If no plausible heart beat is found.
    """
    minutes, margin = n_samples / rate / 60, round(MARGIN_S * rate)
    edges = np.linspace(0, n_samples, max(1, round(60 * minutes / ECG_STRETCH_S)) + 1).astype(int)
    found, heights = [], []
    for start, stop in pairwise(edges.tolist()):
        first = max(start - margin, 0)
        peaks, height = _peaks(read(first, min(stop + margin, n_samples)), rate)
        peaks += first
        found.append(peaks[(start <= peaks) & (peaks < stop)])
        heights.append(height)
    # Where the electrode is off, the detector takes noise for beats.
    lowest = LOWEST_BEAT * np.median(heights)
    beats = np.concatenate([peaks for peaks, height in zip(found, heights, strict=True) if height >= lowest])
    if len(beats) < 3 or not HEART_RATES[0] <= len(beats) / minutes <= HEART_RATES[1]:
        raise DatasetError(
            f"{len(beats)} heart beats found in {minutes:.1f} min of ECG, {HEART_RATES[0]:g} to {HEART_RATES[1]:g} per "
            f"minute are expected; check the ECG channel or set data.cleaning.pulse=false"
        )
    return beats


def _peaks(ecg: np.ndarray, rate: float) -> tuple[np.ndarray, float]:
    """Find the R peaks of a stretch (n,) in µV, in samples, and the height of a beat in the band of the detector."""
    import mne

    try:
        fast = mne.filter.filter_data(ecg.astype(np.float64) - np.median(ecg), rate, *ECG_BAND_HZ, verbose="error")
        seconds = np.abs(fast[: len(fast) // round(rate) * round(rate)].reshape(-1, round(rate)))
        highest = seconds.max(axis=1)
        # The detector sets its threshold by the first three seconds. A movement or a pause there must not count.
        typical = np.argsort(highest)[round(TYPICAL * (len(highest) - 1))]
        before = np.tile(fast[typical * round(rate) : (typical + 1) * round(rate)], 3)
        height = float(highest[typical])
        course = np.clip(np.concatenate([before, fast]), -HIGHEST * height, HIGHEST * height)
        raw = mne.io.RawArray(course[None] * 1e-6, mne.create_info(["ECG"], rate, "ecg"), verbose="error")
        events = mne.preprocessing.find_ecg_events(raw, ch_name="ECG", verbose="error")[0][:, 0]
    except (ValueError, RuntimeError, IndexError):  # a flat or very short channel
        return np.empty(0), 0.0
    peaks = events.astype(float) - len(before)
    return peaks[peaks >= 0], height


def pulse_blocks(r_peaks: np.ndarray, rate: float, n_samples: int) -> tuple[PulseBlock, ...]:
    """Divide the beats of a recording into blocks of about 300, which end between two beats.

    Parameters
    ----------
    r_peaks : samples.
    rate, n_samples : of the recording.
    """
    delay, margin = DELAY_S * rate, round(MARGIN_S * rate)
    r_peaks = np.sort(r_peaks)[: np.count_nonzero(r_peaks + delay < n_samples)]
    count = max(1, round(len(r_peaks) / BLOCK_BEATS))
    ends = [round(number * len(r_peaks) / count) for number in range(count + 1)]
    between = [(r_peaks[end - 1] + r_peaks[end]) / 2 + delay for end in ends[1:-1]]
    limits = np.array([r_peaks[0] - margin, *between, r_peaks[-1] + delay + margin])
    edges = np.clip(np.rint(limits), 0, n_samples).astype(int).tolist()
    blocks = []
    for number, (start, stop) in enumerate(pairwise(edges)):
        beats = slice(max(ends[number] - NEIGHBOURS, 0), ends[number + 1] + NEIGHBOURS)
        blocks.append(PulseBlock(start, stop, max(start - margin, 0), min(stop + margin, n_samples), r_peaks[beats]))
    return tuple(blocks)


def pulse_artefact(eeg: np.ndarray, rate: float, block: PulseBlock, n_components: int) -> np.ndarray:
    """Find the pulse artefact of a block of beats.

    Mean and components of the beats are found and fitted above 0.5 Hz, so slower EEG is no part of it.

    Parameters
    ----------
    eeg : (channels, last - first) in µV, the samples that the block needs.
    rate : Hz.
    block : from `pulse_blocks`.
    n_components : principal components beside the mean beat.

    Returns
    -------
    (channels, stop - start) of the type of `eeg`.
    """
    import mne

    high_pass = signal.butter(2, HIGH_PASS_HZ, "highpass", fs=rate, output="sos")
    info = mne.create_info(["EEG"], rate, "eeg")
    at = np.rint(block.r_peaks + DELAY_S * rate) - block.first
    # Beats that are not whole: at the ends of a recording, and where the heart pauses at the edge of a block.
    half = round(float(np.median(np.diff(at))) / 2)
    at = at[(at >= half) & (at + half < eeg.shape[1])]
    times = (at + 0.5) / rate  # MNE rounds down, so half a sample more keeps the sample
    found = np.empty((len(eeg), block.stop - block.start), eeg.dtype)
    for row, course in enumerate(eeg):
        fast = signal.sosfiltfilt(high_pass, course.astype(np.float64))
        raw = mne.io.RawArray(fast[None].copy(), info, verbose="error")
        mne.preprocessing.apply_pca_obs(
            raw, picks=["EEG"], qrs_times=times, n_components=n_components, copy=False, verbose="error"
        )
        early = fast - fast.mean() - raw.get_data()[0]
        artefact = np.append(0.0, early[:-1])  # MNE 1.13 subtracts what it fits one sample too early
        found[row] = artefact[block.start - block.first : block.stop - block.first]
    return found


def remove_pulse(eeg: np.ndarray, rate: float, r_peaks: np.ndarray, n_components: int) -> np.ndarray:
    """Subtract the pulse artefact from EEG channels, block by block of beats.

    Parameters
    ----------
    eeg : (channels, n) in µV, which is changed in place.
    rate, n_components : as `pulse_artefact`.
    r_peaks : samples.

    Returns
    -------
    `eeg`.
    """
    blocks = pulse_blocks(r_peaks, rate, eeg.shape[1])
    for channel in eeg:
        before = channel.copy()  # a block needs samples of the one before it
        for block in blocks:
            needed = before[None, block.first : block.last]
            channel[block.start : block.stop] -= pulse_artefact(needed, rate, block, n_components)[0]
    return eeg
