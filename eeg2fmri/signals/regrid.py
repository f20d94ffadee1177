"""BOLD volumes on another grid: linear interpolation, or the DCT of the published code."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import fft, ndimage


def regrid(volumes: np.ndarray, grid: tuple[int, int, int], method: Literal["linear", "dct"] = "linear") -> np.ndarray:
    """Resample volumes over the same field of view; the outer faces of the outer voxels stay in place.

    A constant volume keeps its value. Volumes already on `grid` are returned unchanged, in their own type.

    Parameters
    ----------
    volumes : (volumes, x, y, z).
    grid : target shape.
    method : ``"linear"``, interpolation between voxel centres, which stays in the range of the values (cubic splines do
        not at an edge); ``"dct"``, the reference's truncation or zero-padding of the
        orthonormal 3-D DCT-II coefficients, the amplitude rescaled by ``sqrt(prod(grid) / prod(shape))``.

    Returns
    -------
    (volumes, x, y, z) float32 on `grid`, or the same array as given.
    """
    if volumes.shape[1:] == tuple(grid):
        return volumes
    resample = _linear if method == "linear" else _dct
    out = np.empty((len(volumes), *grid), np.float32)
    for index, volume in enumerate(volumes):
        out[index] = resample(volume, grid)
    return out


def _linear(volume: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    zoom = [new / old for new, old in zip(grid, volume.shape, strict=True)]
    return ndimage.zoom(volume.astype(np.float32), zoom, order=1, mode="nearest", grid_mode=True)


def _dct(volume: np.ndarray, grid: tuple[int, int, int]) -> np.ndarray:
    kept = tuple(slice(0, min(old, new)) for old, new in zip(volume.shape, grid, strict=True))
    padded = np.zeros(grid)
    padded[kept] = fft.dctn(volume.astype(np.float64), norm="ortho")[kept]
    return fft.idctn(padded, norm="ortho") * np.sqrt(np.prod(grid) / volume.size)
