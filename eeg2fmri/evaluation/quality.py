"""How good a recording is, in numbers.

C channels, S frequencies of a power spectral density in µV²/Hz, M volume markers.
"""

from __future__ import annotations

import numpy as np

LINE_HZ = (50.0, 60.0)
LINE_HALF_WIDTH_HZ, SIDE_HZ = 0.5, (2.0, 5.0)  # of the mains' peak, and where the power beside it is taken
SILENT_DB = -20.0
LOUD_SD = 5.0  # robust deviations; Bigdely-Shamlo et al. 2015, Front. Neuroinform. 9:16
BAND_HZ = (1.0, 45.0)
_NORMAL = 1.4826  # standard deviation of a normal distribution per median absolute deviation
_LEAST_SD = 0.5  # dB: channels as alike as that are not told apart


def temporal_snr(voxel_mean: np.ndarray, voxel_sd: np.ndarray) -> np.ndarray:
    """Mean over time by standard deviation over time of each voxel, drifts included.

    Parameters
    ----------
    voxel_mean, voxel_sd : (x, y, z), scanner intensity.

    Returns
    -------
    (x, y, z) float32, 0 where a voxel never changes.
    """
    out = np.zeros(voxel_mean.shape, np.float32)
    return np.divide(voxel_mean, voxel_sd, out=out, where=voxel_sd > 0)


def marker_deviation(intervals: np.ndarray, tr: float) -> tuple[np.ndarray, np.ndarray]:
    """How far volume markers are from a multiple of the TR apart.

    Parameters
    ----------
    intervals : (M - 1,) seconds between successive markers.
    tr : seconds between volumes.

    Returns
    -------
    deviation, (M - 1,) in ms, and the volumes that each interval spans, (M - 1,); 2 if one marker is missing.
    """
    spanned = np.maximum(np.rint(np.asarray(intervals) / tr), 1).astype(int)
    return (intervals - spanned * tr) * 1000, spanned


def line_noise(frequencies: np.ndarray, spectrum: np.ndarray) -> float:
    """Power at the mains frequency over the power beside it, in dB: the median channel's, 50 or 60 Hz.

    Parameters
    ----------
    frequencies : (S,) Hz.
    spectrum : (C, S).

    Returns
    -------
    About 0 without line noise; the higher of the two frequencies. NaN where the spectrum reaches
    neither, or every channel is flat.
    """
    spectrum = spectrum[spectrum.any(axis=1)]
    found = []
    for line in LINE_HZ:
        distance = np.abs(frequencies - line)
        peak, side = distance <= LINE_HALF_WIDTH_HZ, (distance >= SIDE_HZ[0]) & (distance <= SIDE_HZ[1])
        if frequencies[-1] >= line + SIDE_HZ[0] and len(spectrum):
            ratio = _decibels(spectrum[:, peak].mean(axis=1)) - _decibels(spectrum[:, side].mean(axis=1))
            found.append(float(np.median(ratio)))
    return max(found, default=float("nan"))


def broken_channels(frequencies: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """Which channels are far louder than the others between 1 and 45 Hz, or next to silent.

    Louder is five robust standard deviations of the log power above the median channel (the deviation
    criterion of the PREP pipeline, which takes the amplitude); silent is below a hundredth of its
    power. Quiet channels beside the reference electrode are neither.

    Parameters
    ----------
    frequencies : (S,) Hz.
    spectrum : (C, S).

    Returns
    -------
    (C,) bool.
    """
    band = (frequencies >= BAND_HZ[0]) & (frequencies <= BAND_HZ[1])
    power = spectrum[:, band].mean(axis=1)
    if not power.any():
        return np.ones(len(power), bool)
    level = _decibels(power)
    distance = level - np.median(level[power > 0])
    spread = max(_NORMAL * float(np.median(np.abs(distance[power > 0]))), _LEAST_SD)
    return (distance > LOUD_SD * spread) | (distance < SILENT_DB)


def _decibels(power: np.ndarray) -> np.ndarray:
    """Power in dB; that of nothing at all is finite and far below anything measured."""
    return 10 * np.log10(np.maximum(power, np.finfo(np.float32).tiny))
