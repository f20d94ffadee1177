"""Pairs of recordings: their checks, and passes over them in float64 without a full copy.

measured, synthesised  (n_volumes, x, y, z)
mask                   (x, y, z) bool
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eeg2fmri.errors import EvaluationError

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]


def check_pair(measured: Floats, synthesised: Floats) -> None:
    """Refuse recordings that are empty, of different shapes, or not finite."""
    if measured.ndim != 4 or not measured.size:
        raise EvaluationError(f"measured has shape {measured.shape}: expected (n_volumes, x, y, z), none 0.")
    if synthesised.shape != measured.shape:
        raise EvaluationError(
            f"synthesised has shape {synthesised.shape}, measured {measured.shape}: they must be equal."
        )
    for name, series in (("measured", measured), ("synthesised", synthesised)):
        if not np.isfinite(series.sum(dtype=np.float64)):
            raise EvaluationError(f"{name} holds NaN or infinite values: only finite ones can be scored.")


def check_temporal(measured: Floats, synthesised: Floats, mask: Mask) -> None:
    """Refuse what `check_pair` refuses, a single volume, and a mask that does not fit."""
    check_pair(measured, synthesised)
    if len(measured) < 2:
        raise EvaluationError("a single volume has no temporal variance: score two or more.")
    if mask.shape != measured.shape[1:] or mask.dtype != np.bool_:
        raise EvaluationError(
            f"mask is {mask.dtype} of shape {mask.shape}: expected bool of shape {measured.shape[1:]}."
        )
    if not mask.any():
        raise EvaluationError("mask is empty: it must hold at least one voxel of the brain.")


def differences(measured: Floats, synthesised: Floats) -> Iterator[NDArray[np.float64]]:
    """Yield measured - synthesised of each volume, in float64."""
    for volume, guess in zip(measured, synthesised, strict=True):
        yield np.subtract(volume, guess, dtype=np.float64)


def mean_squared_error(measured: Floats, synthesised: Floats) -> float:
    """Compute the mean of the squared differences over everything."""
    total = sum(float(np.square(difference).sum()) for difference in differences(measured, synthesised))
    return total / measured.size


def centred_planes(
    measured: Floats, synthesised: Floats, mask: Mask
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the mask's series of each sagittal plane, (n_volumes, n_voxels), without their means."""
    for x, inside in enumerate(mask):
        if inside.any():
            yield _centred(measured[:, x, inside]), _centred(synthesised[:, x, inside])


def _centred(series: Floats) -> NDArray[np.float64]:
    """Subtract their mean over time from series; a constant series becomes exactly 0."""
    from_first = np.subtract(series, series[:1], dtype=np.float64)
    return from_first - from_first.mean(0)
