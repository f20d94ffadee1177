"""BOLD volumes: drifts, recording statistics.

volumes: (volumes, x, y, z), scanner intensity.  mask: (x, y, z) bool, True in the brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft


@dataclass(frozen=True)
class BoldStatistics:
    """Intensity statistics of one recording, or their average over the training recordings.

    mean, sd: over all voxels and volumes.  voxel_mean, voxel_sd: (x, y, z), over time.
    mask: (x, y, z) bool.
    """

    mean: float
    sd: float
    voxel_mean: np.ndarray
    voxel_sd: np.ndarray
    mask: np.ndarray


def without_drift(series: np.ndarray, tr: float, cutoff: float) -> np.ndarray:
    """Remove the mean, and cosines slower than `cutoff`, from series over time.

    Parameters
    ----------
    series : (time, ...) of one recording.
    tr : seconds between its elements.
    cutoff : seconds; the discrete cosine set of Friston et al. 2000, NeuroImage 12:196.

    Returns
    -------
    A new array of the same shape and type.
    """
    flat = series.reshape(len(series), -1)
    waves = drift_waves(len(series), tr, cutoff).astype(flat.dtype)
    return (flat - waves @ (waves.T @ flat)).reshape(series.shape)


def drift_waves(n: int, tr: float, cutoff: float) -> np.ndarray:
    """Return the constant and the cosines slower than `cutoff` (s) over n volumes, orthonormal columns (n, q)."""
    return fft.idct(np.eye(n, int(2 * n * tr / cutoff) + 1), axis=0, norm="ortho")


def recording_statistics(volumes: np.ndarray, mask: np.ndarray | None = None, *, iqr: bool) -> BoldStatistics:
    """Compute the statistics of one recording.

    Parameters
    ----------
    volumes : (volumes, x, y, z).
    mask : (x, y, z) bool; without it, every voxel counts.
    iqr : leave values outside [Q1 - 1.5 IQR, Q3 + 1.5 IQR] of the recording out of `mean` and
        `sd` (Tukey 1977); the values themselves are not changed.

    Notes
    -----
    One pass over the volumes in float32, with sums of the differences from the first volume in
    float64 (Chan, Golub & LeVeque 1983, Am. Stat. 37:242): no array of their size is made.
    """
    centre = volumes[0].astype(np.float32)
    total, squares = (np.zeros_like(centre, np.float64) for _ in range(2))
    for volume in volumes:
        difference = volume - centre
        total += difference
        squares += np.square(difference, dtype=np.float64)
    voxel_mean = centre + total / len(volumes)
    variance = np.maximum(squares / len(volumes) - np.square(total / len(volumes)), 0)
    if iqr:
        mean, sd = _without_outliers(volumes)
    else:
        spread = voxel_mean - voxel_mean.flat[0]
        mean, sd = float(voxel_mean.flat[0] + spread.mean()), float(np.sqrt(variance.mean() + spread.var()))
    return BoldStatistics(
        mean=mean,
        sd=sd,
        voxel_mean=voxel_mean.astype(np.float32, order="C"),
        voxel_sd=np.sqrt(variance).astype(np.float32, order="C"),
        mask=np.ones(centre.shape, bool) if mask is None else mask,
    )


def quartiles(volumes: np.ndarray) -> tuple[float, float]:
    """Return first and third quartile of all values, as `numpy.quantile` does, without a copy of them.

    The order of float32 values is the order of their bits, after the bits of negative values are inverted. So two
    counts of 16 bits each find an order statistic exactly.
    """
    place = 0.25 * (volumes.size - 1), 0.75 * (volumes.size - 1)
    ranks = sorted({int(p) for p in place} | {min(int(p) + 1, volumes.size - 1) for p in place})
    high = np.zeros(1 << 16, np.int64)
    for volume in volumes:
        high += np.bincount(_ordered(volume) >> 16, minlength=1 << 16)
    upper = np.cumsum(high)
    bins = {rank: int(np.searchsorted(upper, rank, side="right")) for rank in ranks}
    low = {b: np.zeros(1 << 16, np.int64) for b in bins.values()}
    for volume in volumes:
        bits = _ordered(volume)
        top = bits >> 16
        for b, counts in low.items():
            counts += np.bincount(bits[top == b] & 0xFFFF, minlength=1 << 16)
    values = {}
    for rank, b in bins.items():
        rest = int(np.searchsorted(np.cumsum(low[b]), rank - (upper[b] - high[b]), side="right"))
        values[rank] = _unordered((b << 16) | rest)
    first, third = (_between(values, p) for p in place)
    return first, third


def _between(values: dict[int, float], place: float) -> float:
    below = values[int(place)]
    above = values.get(int(place) + 1, below)
    return below + (place - int(place)) * (above - below)


def _ordered(volume: np.ndarray) -> np.ndarray:
    """Map values to whole numbers from 0 to 2³² - 1 in the same order, flat."""
    bits = volume.astype(np.float32).ravel(order="K").view(np.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64) + (1 << 31)


def _unordered(number: int) -> float:
    bits = np.array(number - (1 << 31), np.int64).astype(np.int32)
    return float((bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).view(np.float32))


def _without_outliers(volumes: np.ndarray) -> tuple[float, float]:
    """Return mean and deviation of the values within 1.5 IQR of the quartiles."""
    first, third = quartiles(volumes)
    reach = 1.5 * (third - first)
    count, total, squares = 0, 0.0, 0.0
    for volume in volumes:
        inside = volume[(volume >= first - reach) & (volume <= third + reach)] - first
        count += inside.size
        total += inside.sum(dtype=np.float64)
        squares += np.square(inside, dtype=np.float64).sum()
    shift = total / count
    return first + shift, float(np.sqrt(max(squares / count - shift**2, 0.0)))
