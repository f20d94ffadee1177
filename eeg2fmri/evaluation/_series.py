"""Pairs of recordings: their checks, and passes over them in float64 without a full copy.

measured, synthesised  (n_volumes, x, y, z)
mask                   (x, y, z) bool
waves                  (n_volumes, q) orthonormal columns, the drifts; see `signals.drift_waves`
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


def check_temporal(measured: Floats, synthesised: Floats, mask: Mask, waves: Floats | None = None) -> None:
    """Refuse what `check_pair` does, a single volume, and a mask or waves that do not fit."""
    check_pair(measured, synthesised)
    if len(measured) < 2:
        raise EvaluationError("a single volume has no temporal variance: score two or more.")
    if mask.shape != measured.shape[1:] or mask.dtype != np.bool_:
        raise EvaluationError(
            f"mask is {mask.dtype} of shape {mask.shape}: expected bool of shape {measured.shape[1:]}."
        )
    if not mask.any():
        raise EvaluationError("mask is empty: it must hold at least one voxel of the brain.")
    if waves is not None and len(waves) != len(measured):
        raise EvaluationError(f"waves have {len(waves)} volumes, measured {len(measured)}: they must be equal.")


def differences(measured: Floats, synthesised: Floats) -> Iterator[NDArray[np.float64]]:
    """Yield measured - synthesised of each volume, in float64."""
    for volume, guess in zip(measured, synthesised, strict=True):
        yield np.subtract(volume, guess, dtype=np.float64)


def mean_squared_error(measured: Floats, synthesised: Floats) -> float:
    """Compute the mean of the squared differences over everything."""
    total = sum(float(np.square(difference).sum()) for difference in differences(measured, synthesised))
    return total / measured.size


def centred_planes(
    measured: Floats, synthesised: Floats, mask: Mask, waves: Floats | None = None
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the mask's series of each sagittal plane, (n_volumes, n_voxels), without means and without `waves`."""
    for x, inside in enumerate(mask):
        if inside.any():
            yield centred(measured[:, x, inside], waves), centred(synthesised[:, x, inside], waves)


def centred(series: Floats, waves: Floats | None = None) -> NDArray[np.float64]:
    """Return series minus their mean over time and `waves`; a constant one becomes exactly 0."""
    from_first = np.subtract(series, series[:1], dtype=np.float64)
    without_mean = from_first - from_first.mean(0)
    return without_mean if waves is None else without_mean - waves @ (waves.T @ without_mean)
