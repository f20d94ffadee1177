"""Physiological noise, estimated from a BOLD recording itself.

n volumes of one recording, V voxels, N components.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

NOISIEST = 0.02  # share of voxels, as published


def noise_components(volumes: np.ndarray, mean: np.ndarray, count: int) -> np.ndarray:
    """Find courses of physiological noise: principal components of the voxels that vary most.

    Behzadi et al. 2007, NeuroImage 37:90 (tCompCor). Here the deviation is relative to the voxel's mean, so that
    fluid and vessels are chosen and not only bright tissue.

    Parameters
    ----------
    volumes : (n, V), brain voxels, without their means and drifts.
    mean : (V,), their means over time.
    count : components wanted.

    Returns
    -------
    (n, N) orthonormal columns, the one of largest variance first; N is below `count` if there are
    fewer noisy voxels or volumes.
    """
    deviation = volumes.std(axis=0)
    relative = np.divide(deviation, mean, out=np.zeros_like(deviation), where=mean > 0)
    noisiest = np.argsort(relative, kind="stable")[-max(int(NOISIEST * len(relative)), 1) :]
    noisiest = noisiest[deviation[noisiest] > 0]
    series = (volumes[:, noisiest] / deviation[noisiest]).astype(np.float64)
    courses, _, _ = linalg.svd(series, full_matrices=False)
    return courses[:, :count]
