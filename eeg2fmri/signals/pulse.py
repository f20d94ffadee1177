"""Pulse artefact (ballistocardiogram): R peaks of the ECG and optimal basis sets.

Symbols: n samples at `rate` Hz, in µV.

References
----------
Niazy et al. 2005, NeuroImage 28:720: mean beat and principal components, fitted beat by beat.
Allen et al. 1998, NeuroImage 8:229: the artefact follows the R peak by 0.21 s.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from eeg2fmri.errors import DatasetError

DELAY_S = 0.21
HIGH_PASS_HZ = 0.5  # slower EEG would look like the artefact, and a heart never beats so slowly
HEART_RATES = (40.0, 160.0)  # beats per minute that a resting person can have


def plausible(peaks: np.ndarray, rate: float) -> bool:
    """Return whether R peaks, in samples, follow each other as those of a resting person."""
    if len(peaks) < 3:
        return False
    per_minute = 60 * rate / float(np.median(np.diff(np.sort(peaks))))
    return HEART_RATES[0] <= per_minute <= HEART_RATES[1]


def find_r_peaks(ecg: np.ndarray, rate: float) -> np.ndarray:
    """Find R peaks of an ECG channel (n,), in samples.

    Raises
    ------
    DatasetError
        If no plausible heart beat is found.
    """
    import mne

    raw = mne.io.RawArray(ecg[None] * 1e-6, mne.create_info(["ECG"], rate, "ecg"), verbose="error")
    try:
        peaks = mne.preprocessing.find_ecg_events(raw, ch_name="ECG", verbose="error")[0][:, 0]
    except (ValueError, RuntimeError, IndexError):  # a flat or very short channel
        peaks = np.empty(0, int)
    minutes = len(ecg) / rate / 60
    if len(peaks) < 3 or not HEART_RATES[0] <= len(peaks) / minutes <= HEART_RATES[1]:
        raise DatasetError(
            f"{len(peaks)} heart beats found in {minutes:.1f} min of ECG, {HEART_RATES[0]:g} to {HEART_RATES[1]:g} per "
            f"minute are expected; check the ECG channel or set data.cleaning.pulse=false"
        )
    return peaks.astype(float)


def remove_pulse(eeg: np.ndarray, rate: float, r_peaks: np.ndarray, n_components: int) -> np.ndarray:
    """Subtract the pulse artefact from EEG channels.

    Mean and components of the beats are found and fitted above 0.5 Hz. The fit is subtracted, so
    slower EEG stays.

    Parameters
    ----------
    eeg : (channels, n), which is changed in place.
    rate : Hz.
    r_peaks : samples of the R peaks.
    n_components : principal components beside the mean beat.

    Returns
    -------
    `eeg`.
    """
    import mne

    high_pass = signal.butter(2, HIGH_PASS_HZ, "highpass", fs=rate, output="sos")
    info = mne.create_info(["EEG"], rate, "eeg")
    times = r_peaks / rate + DELAY_S
    times = times[times < eeg.shape[1] / rate]
    for channel in eeg:
        fast = signal.sosfiltfilt(high_pass, channel.astype(np.float64))
        raw = mne.io.RawArray(fast[None].copy(), info, verbose="error")
        mne.preprocessing.apply_pca_obs(
            raw, picks=["EEG"], qrs_times=times, n_components=n_components, copy=False, verbose="error"
        )
        channel -= (fast - fast.mean() - raw.get_data()[0]).astype(channel.dtype)
    return eeg
