"""BOLD volumes: regridding by DCT, recording statistics, standardisation and its inverse.

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


def regrid(volumes: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    """Resample volumes by truncating or zero-padding their orthonormal 3-D DCT-II coefficients.

    The amplitude is rescaled by ``sqrt(prod(grid) / prod(shape))``, so that a constant volume
    keeps its value. Volumes already on `grid` are returned as they are.

    Parameters
    ----------
    volumes : (volumes, x, y, z).
    grid : target shape.

    Returns
    -------
    (volumes, *grid) float32.
    """
    shape = volumes.shape[1:]
    if shape == tuple(grid):
        return volumes.astype(np.float32, copy=False)
    kept = tuple(slice(0, min(old, new)) for old, new in zip(shape, grid, strict=True))
    gain = np.sqrt(np.prod(grid) / np.prod(shape))
    out = np.empty((len(volumes), *grid), np.float32)
    for index, volume in enumerate(volumes):
        coefficients = fft.dctn(volume.astype(np.float64), norm="ortho")
        padded = np.zeros(grid)
        padded[kept] = coefficients[kept]
        out[index] = fft.idctn(padded, norm="ortho") * gain
    return out


def without_drift(series: np.ndarray, tr: float, cutoff: float) -> np.ndarray:
    """Take the mean and the cosines slower than `cutoff` out of series over time.

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
    """The constant and the cosines slower than `cutoff` (s) over n volumes, orthonormal columns (n, q)."""
    return fft.idct(np.eye(n, int(2 * n * tr / cutoff) + 1), axis=0, norm="ortho")


def recording_statistics(volumes: np.ndarray, mask: np.ndarray, *, iqr: bool) -> BoldStatistics:
    """Statistics of one recording.

    Parameters
    ----------
    volumes : (volumes, x, y, z).
    mask : (x, y, z) bool.
    iqr : leave values outside [Q1 - 1.5 IQR, Q3 + 1.5 IQR] of the recording out of `mean` and
        `sd` (Tukey 1977); the values themselves are not changed.
    """
    values = volumes
    if iqr:
        first, third = np.quantile(volumes, (0.25, 0.75))
        reach = 1.5 * (third - first)
        values = volumes[(volumes >= first - reach) & (volumes <= third + reach)]
    return BoldStatistics(
        mean=float(values.mean(dtype=np.float64)),
        sd=float(values.std(dtype=np.float64)),
        voxel_mean=volumes.mean(axis=0, dtype=np.float64).astype(np.float32),
        voxel_sd=volumes.std(axis=0, dtype=np.float64).astype(np.float32),
        mask=mask,
    )


def standardise(volumes: np.ndarray, kind: str, statistics: BoldStatistics) -> np.ndarray:
    """Standardise the volumes of one recording by its own statistics.

    Parameters
    ----------
    volumes : (volumes, x, y, z).
    kind : ``"recording"``, one mean and deviation (the reference's); ``"volume"``, those of each
        volume; ``"voxel"``, those of each voxel over time; ``"psc"``, percent signal change from
        the voxel's mean, 0 outside the mask.
    statistics : of the recording the volumes belong to.
    """
    if kind == "recording":
        return ((volumes - statistics.mean) / statistics.sd).astype(np.float32)
    if kind == "volume":
        axes = (1, 2, 3)
        return (volumes - volumes.mean(axes, keepdims=True)) / volumes.std(axes, keepdims=True)
    scale = statistics.voxel_sd if kind == "voxel" else statistics.voxel_mean / 100
    valid = (scale > 0) & (statistics.mask if kind == "psc" else True)
    change = volumes - statistics.voxel_mean
    return np.divide(change, scale, out=np.zeros_like(change), where=np.broadcast_to(valid, change.shape))


def restore(volumes: np.ndarray, kind: str, statistics: BoldStatistics) -> np.ndarray:
    """Undo `standardise` on synthesised volumes, by the statistics of the training set.

    Nothing of the unseen subject's BOLD is known when a volume is synthesised, so its intensities
    come out on the training recordings' average scale.
    """
    if kind in ("recording", "volume"):
        return volumes * np.float32(statistics.sd) + np.float32(statistics.mean)
    if kind == "voxel":
        return volumes * statistics.voxel_sd + statistics.voxel_mean
    change = volumes * statistics.voxel_mean / 100
    return np.where(statistics.mask, change, 0).astype(np.float32) + statistics.voxel_mean
