"""Quality of a recording, in numbers.

C channels, S frequencies of a power spectral density in µV²/Hz, M volume markers, V volumes;
W windows and F frequencies of a spectrogram.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2, norm

LINE_HZ = (50.0, 60.0)
LINE_HALF_WIDTH_HZ, SIDE_HZ = 0.5, (2.0, 5.0)  # of the mains' peak, and of the bands beside it
SILENT_DB = -20.0
LOUD_SD, LEAST_DB = 5.0, 6.0  # robust deviations, and the smallest difference that counts
BAND_HZ, LOW_HZ, HIGH_HZ = (1.0, 45.0), (1.0, 30.0), (30.0, 45.0)
BRIDGE_HZ, BRIDGE_SHARE, BRIDGE_WINDOWS = (1.0, 13.0), 0.04, 100
OUTLIER_P, OUTLIER_SHARE, LEAST_VOLUMES = 0.05, 0.05, 10
_NORMAL = 1.4826  # standard deviation of a normal distribution per median absolute deviation


def temporal_snr(voxel_mean: np.ndarray, voxel_sd: np.ndarray) -> np.ndarray:
    """Compute mean over time by standard deviation over time of each voxel, drifts included.

    Parameters
    ----------
    voxel_mean, voxel_sd : (x, y, z), scanner intensity.

    Returns
    -------
    (x, y, z) float32, 0 if a voxel never changes.
    """
    out = np.zeros(voxel_mean.shape, np.float32)
    return np.divide(voxel_mean, voxel_sd, out=out, where=voxel_sd > 0)


def marker_deviation(intervals: np.ndarray, tr: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute how far the intervals of volume markers are from a multiple of the TR.

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
    """Compute power at the mains frequency over the power beside it, in dB: the median channel's, 50 or 60 Hz.

    Parameters
    ----------
    frequencies : (S,) Hz.
    spectrum : (C, S).

    Returns
    -------
    About 0 without line noise; the higher of the two frequencies. NaN if the spectrum reaches
    neither, or every channel is flat.
    """
    spectrum = spectrum[spectrum.any(axis=1)]
    found = []
    for peak, side in _mains(frequencies) if len(spectrum) else []:
        ratio = _decibels(spectrum[:, peak].mean(axis=1)) - _decibels(spectrum[:, side].mean(axis=1))
        found.append(float(np.median(ratio)))
    return max(found, default=float("nan"))


def broken_channels(frequencies: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """Name the fault of each channel, from its power spectrum beside those of the other channels.

    A channel is compared with the median channel frequency by frequency, in dB; the median over a band
    of these differences is its level. A rhythm that fills less than half of the band (alpha and its
    harmonic, a residue of the heartbeat) does not change it. A channel is

    - ``flat`` if it holds nothing, or its level in 1-45 Hz is below a hundredth of the others' power;
      a quiet channel beside the reference electrode is not;
    - ``loud`` if that level is more than 5 robust standard deviations above theirs;
    - ``noisy`` if the same is true of its level in 30-45 Hz, relative to that in 1-30 Hz;
    - ``mains`` if the same is true of the peak at 50 or 60 Hz, relative to the power beside it, and the peak
      holds more power than the whole band.

    Differences below 6 dB, twice the amplitude, never count.

    Parameters
    ----------
    frequencies : (S,) Hz.
    spectrum : (C, S).

    Returns
    -------
    (C,) str, empty for a good channel.

    References
    ----------
    Bigdely-Shamlo et al. 2015, Front. Neuroinform. 9:16 (the PREP pipeline): flat channels, and the
    criteria of deviation and of high-frequency noise with their threshold of 5. They use amplitudes
    over time, which a strong rhythm raises.
    """
    band, low, high = (_within(frequencies, *limits) for limits in (BAND_HZ, LOW_HZ, HIGH_HZ))
    alive = np.any(spectrum[:, band] > 0, axis=1)
    reasons = np.where(alive, "", "flat").astype(object)
    if not alive.any():
        return reasons
    excess = _decibels(spectrum)
    excess = excess - np.median(excess[alive], axis=0)
    level = np.median(excess[:, band], axis=1)
    found = {"loud": _stands_out(level, alive)}
    if high.any():
        steepness = np.median(excess[:, high], axis=1) - np.median(excess[:, low], axis=1)
        found["noisy"] = _stands_out(steepness, alive)
    for peak, side in _mains(frequencies):
        height = _decibels(spectrum[:, peak].mean(axis=1)) - _decibels(spectrum[:, side].mean(axis=1))
        most = spectrum[:, peak].sum(axis=1) > spectrum[:, band].sum(axis=1)
        found["mains"] = found.get("mains", False) | (_stands_out(height, alive) & most)
    found["flat"] = level < SILENT_DB
    for reason, which in found.items():
        reasons[which & (reasons == "")] = reason
    return reasons


def bridged_channels(frequencies: np.ndarray, spectrogram: np.ndarray) -> np.ndarray:
    """Mark channels that carry the same signal as another one, because gel joins their electrodes.

    Their magnitudes in 1-13 Hz, in about 100 windows, differ by less than 4 % in the median. Those of
    neighbours on a cap of 64, with a correlation of 0.95, differ by about 15 %.

    Parameters
    ----------
    frequencies : (F,) Hz.
    spectrogram : (W, C, F) magnitude.

    Returns
    -------
    (C,) bool.

    References
    ----------
    Tenke & Kayser 2001, Clin. Neurophysiol. 112:545: at a bridge the difference of two channels
    vanishes. Magnitudes do not give the phase, so the bound is narrow.
    """
    magnitude = spectrogram[:: max(1, len(spectrogram) // BRIDGE_WINDOWS), :, _within(frequencies, *BRIDGE_HZ)]
    bridged = np.zeros(spectrogram.shape[1], bool)
    for first in range(len(bridged)):
        one, others = magnitude[:, [first]], magnitude[:, first + 1 :]
        total = (one + others).swapaxes(0, 1)
        apart = np.abs(one - others).swapaxes(0, 1)
        if not total.size:
            continue
        ratio = np.divide(2 * apart, total, out=np.ones_like(total), where=total > 0)
        same = np.median(ratio.reshape(len(ratio), -1), axis=1) < BRIDGE_SHARE
        bridged[first] |= same.any()
        bridged[first + 1 :] |= same
    return bridged


def outlier_volumes(dvars: np.ndarray, voxel_sd: np.ndarray) -> np.ndarray:
    """Mark volumes that differ from the one before by more than the noise of the run explains.

    The squares of DVARS follow a scaled chi-squared distribution. Its mean is their median, and its
    variance comes from the lower half of their interquartile range after a cube root. An outlier has a
    probability below 0.05, shared among the volumes (Bonferroni), and more than 5 % of the variance of
    the run above the median: statistical and practical significance.

    Parameters
    ----------
    dvars : (V - 1,) root mean square over the brain of the difference from the volume before.
    voxel_sd : standard deviations over time of the voxels of the brain, in the same unit.

    Returns
    -------
    (V - 1,) bool, from the second volume on.

    References
    ----------
    Afyouni & Nichols 2018, NeuroImage 172:291 (the test by chi-squared, and the bound of 5 % on ΔD-var).
    """
    power = np.square(dvars.astype(np.float64))
    if len(power) < LEAST_VOLUMES or not (middle := float(np.median(power))):
        return np.zeros(len(power), bool)
    root = np.cbrt(power)
    half = (np.median(root) - np.percentile(root, 25)) / norm.ppf(0.75)
    spread = 3 * np.median(root) ** 2 * half
    if not spread:
        return np.zeros(len(power), bool)
    freedom = 2 * middle**2 / spread**2
    rare = chi2.sf(2 * middle / spread**2 * power, freedom) < OUTLIER_P / len(power)
    variance = float(np.mean(np.square(voxel_sd.astype(np.float64))))
    return rare & ((power - middle) / 4 > OUTLIER_SHARE * variance)


def relative_dvars(dvars: np.ndarray) -> np.ndarray:
    """Divide DVARS by its typical value, the root of the median of its squares: 1 for a volume like the others.

    References
    ----------
    Nichols 2013, Notes on creating a standardized version of DVARS; the typical value as in Afyouni & Nichols 2018.
    """
    typical = float(np.median(dvars)) if len(dvars) else 0.0
    return dvars / typical if typical else np.zeros_like(dvars)


def _stands_out(values: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Mark values (dB) more than 5 robust standard deviations, and 6 dB, above the median of the living."""
    distance = values - np.median(values[alive])
    spread = _NORMAL * float(np.median(np.abs(distance[alive])))
    return alive & (distance > max(LOUD_SD * spread, LEAST_DB))


def _within(frequencies: np.ndarray, low: float, high: float) -> np.ndarray:
    return (frequencies >= low) & (frequencies <= high)


def _mains(frequencies: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the bins of the mains' peak and those beside it, for each of its frequencies that is reached."""
    found = []
    for line in LINE_HZ:
        distance = np.abs(frequencies - line)
        peak, side = distance <= LINE_HALF_WIDTH_HZ, (distance >= SIDE_HZ[0]) & (distance <= SIDE_HZ[1])
        if frequencies[-1] >= line + SIDE_HZ[0]:
            found.append((peak, side))
    return found


def _decibels(power: np.ndarray) -> np.ndarray:
    """Convert power to dB; zero power becomes finite and far below anything measured."""
    return 10 * np.log10(np.maximum(power, np.finfo(np.float32).tiny))
