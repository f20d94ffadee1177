"""Dynamics: where and how measured and synthesised series go together over time.

measured     (n_volumes, x, y, z)  BOLD of one recording
synthesised  (n_volumes, x, y, z)  what the model made of its EEG
mask         (x, y, z) bool        voxels inside the brain
waves        (n_volumes, q)        drifts that are taken out of both series, as `signals.drift_waves` gives them
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2fmri.evaluation._series import Floats, Mask, centred, centred_planes, check_temporal

REGION_SHARE = 0.02  # of the brain's voxels


def correlation_map(
    measured: Floats, synthesised: Floats, mask: Mask, waves: Floats | None = None
) -> NDArray[np.float64]:
    """Return Pearson's r over time between the two series of each voxel of the mask.

    ``r = Σ m̃ s̃ / sqrt(Σ m̃² Σ s̃²)``, m̃ and s̃ without their mean over time and without `waves`.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z), at least two volumes
    mask
        (x, y, z) bool
    waves
        (n_volumes, q); by default only each voxel's mean is taken out

    Returns
    -------
    ndarray, (x, y, z)
        0 outside the mask, and where either series is constant.
    """
    check_temporal(measured, synthesised, mask, waves)
    found = np.zeros(mask.shape)
    planes = [x for x, inside in enumerate(mask) if inside.any()]
    for x, (m, s) in zip(planes, centred_planes(measured, synthesised, mask, waves), strict=True):
        found[x, mask[x]] = correlations(m, s)
    return found


def correlations(measured: NDArray[np.float64], synthesised: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Pearson's r of centred series (n_volumes, voxels), (voxels,); 0 where either is constant."""
    scale = np.sqrt(np.square(measured).sum(0)) * np.sqrt(np.square(synthesised).sum(0))
    product = (measured * synthesised).sum(0)
    return np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)


@dataclass(frozen=True)
class Dynamics:
    """Dynamics: where a model follows measured BOLD over time, and how it does so in one region.

    correlation: (x, y, z), see `correlation_map`.  background: (x, y, z), mean measured volume.  mask: (x, y, z) bool.
    region: (x, y, z) bool, or ``None``.  courses: (2, n_volumes), mean over the region of the measured and of the
    synthesised series without drifts; ``None`` without a region.  subject: whose courses they are.
    """

    correlation: NDArray[np.floating]
    background: NDArray[np.floating]
    mask: Mask
    region: Mask | None
    courses: NDArray[np.floating] | None
    subject: str


def dynamics_of(
    measured: Floats, synthesised: Floats, mask: Mask, waves: Floats, region: Mask | None, subject: str
) -> Dynamics:
    """Map and courses of one recording; the voxels of `region` must be chosen without looking at it.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z), at least two volumes
    mask
        (x, y, z) bool
    waves
        (n_volumes, q)
    region
        (x, y, z) bool; those of its voxels that lie in the mask count
    subject
        name
    """
    inside = None if region is None or not (region & mask).any() else region & mask
    courses = None
    if inside is not None:
        courses = np.stack([centred(series[:, inside], waves).mean(1) for series in (measured, synthesised)])
    correlation = correlation_map(measured, synthesised, mask, waves)
    return Dynamics(correlation, measured.mean(0), mask, inside, courses, subject)


def best_voxels(values: NDArray[np.floating], mask: Mask, share: float = REGION_SHARE) -> Mask | None:
    """Return the voxels of the mask with the highest values, or ``None`` if no value is above 0.

    Parameters
    ----------
    values
        (x, y, z)
    mask
        (x, y, z) bool
    share
        of the mask's voxels; at least one is taken
    """
    inside = np.where(mask, values, -np.inf)
    count = max(1, round(share * int(mask.sum())))
    threshold = np.partition(inside.ravel(), -count)[-count]
    found = (inside >= threshold) & (inside > 0)
    return found if found.any() else None


def pearson(measured: NDArray[np.floating], synthesised: NDArray[np.floating]) -> float:
    """Return Pearson's r of two courses (n,) without their means, as `Dynamics` holds them; 0 if one is constant."""
    scale = float(np.linalg.norm(measured) * np.linalg.norm(synthesised))
    return float(measured @ synthesised) / scale if scale else 0.0
