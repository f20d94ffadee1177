"""The `linear` family: distributed-lag ridge regression from log band power to BOLD.

n windows, C channels, F frequencies, B bands, T context, P = C·B·T features, K components, V voxels.
features: (n, P), log power of every channel, band and lag.  targets: (n, V), standardised volumes.

The regression is fitted on what varies *within* each recording (its own mean is taken out of
features and targets), so differences of anatomy and electrode gain between subjects earn nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from eeg2fmri.errors import SpecError

# Hz, lower edge included: the clinical bands (IFCN; Babiloni et al. 2020).
BANDS = {"delta": (0.1, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 80.0)}
FLOOR = 1e-12  # µV²: keeps the log of a flat channel finite


@dataclass(frozen=True)
class LinearNetwork:
    """A fitted regression.

    frequencies: (F,) Hz.  feature_mean, feature_sd: (C, B).  coefficients: (P, K).
    components: (K, V), orthonormal.  intercept: (V,), mean training volume.  grid: (3,).
    """

    frequencies: np.ndarray
    feature_mean: np.ndarray
    feature_sd: np.ndarray
    coefficients: np.ndarray
    components: np.ndarray
    intercept: np.ndarray
    grid: np.ndarray

    def predict(self, eeg: np.ndarray) -> np.ndarray:
        """Volumes (n, x, y, z) in standardised units from EEG windows (n, C, F, T) in µV."""
        power = (log_band_power(eeg, self.frequencies) - self.feature_mean[..., None]) / self.feature_sd[..., None]
        scores = power.reshape(len(eeg), -1) @ self.coefficients
        volumes = scores @ self.components + self.intercept
        return volumes.reshape(len(eeg), *map(int, self.grid)).astype(np.float32, copy=False)


def log_band_power(eeg: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Natural log of the power in each band that has a bin, (n, C, B, T).

    Parameters
    ----------
    eeg : (n, C, F, T) magnitudes in µV.
    frequencies : (F,) Hz.

    Raises
    ------
    SpecError
        If no bin falls into any band.
    """
    bins = [np.flatnonzero((frequencies >= low) & (frequencies < high)) for low, high in BANDS.values()]
    bins = [b for b in bins if len(b)]
    if not bins:
        raise SpecError(f"no frequency of {frequencies[0]:g} to {frequencies[-1]:g} Hz lies in a band of {BANDS}")
    power = [np.square(eeg[:, :, b]).sum(axis=2) for b in bins]
    return np.log(np.stack(power, axis=2) + FLOOR)


def fit_path(
    power: np.ndarray,
    targets: np.ndarray,
    owner: np.ndarray,
    frequencies: np.ndarray,
    *,
    grid: Sequence[int],
    components: int,
    penalties: Sequence[float],
) -> list[LinearNetwork]:
    """Fit one regression per penalty, all from the same two eigendecompositions.

    Ridge in its dual form (Hoerl & Kennard 1970): with features X and component scores S,
    coefficients = Xᵀ (X Xᵀ + λ I)⁻¹ S.

    Parameters
    ----------
    power : (n, C, B, T) from `log_band_power`.
    targets : (n, V) float32; **overwritten** (centred within recordings), as it may be gigabytes.
    owner : (n,) recording of each window.
    frequencies : (F,) Hz.
    grid : shape of a volume.
    components : principal components kept, at most n - 1.
    penalties : λ values.

    Returns
    -------
    One network per penalty, in order.
    """
    mean = power.mean(axis=(0, 3))
    centred = _centre(power, owner)
    sd = centred.std(axis=(0, 3))
    sd = np.where(sd > 0, sd, 1).astype(np.float32)
    features = (centred / sd[..., None]).reshape(len(power), -1)
    intercept = targets.mean(axis=0)
    basis, scores = _principal_components(_centre(targets, owner), min(components, len(targets) - 1))
    values, vectors = linalg.eigh((features @ features.T).astype(np.float64))
    rotated = vectors.T @ scores
    networks = []
    for penalty in penalties:
        dual = vectors @ (rotated / (np.maximum(values, 0) + penalty)[:, None])
        coefficients = features.T @ dual.astype(np.float32)
        networks.append(
            LinearNetwork(frequencies, mean, sd, coefficients, basis, intercept, np.asarray(grid, np.int64))
        )
    return networks


def _principal_components(targets: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal basis (K, V) and scores (n, K) of centred targets, through their Gram matrix."""
    n = len(targets)
    values, vectors = linalg.eigh((targets @ targets.T).astype(np.float64), subset_by_index=[n - count, n - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    # Components without variance (fewer independent volumes than asked for) have no direction.
    kept = values > values[0] * 1e-7
    length = np.sqrt(values[kept])
    basis = (vectors[:, kept] / length).T.astype(np.float32) @ targets
    return basis, vectors[:, kept] * length


def _centre(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Take each recording's mean out, in place."""
    for recording in np.unique(owner):
        rows = owner == recording
        values[rows] -= values[rows].mean(axis=0)
    return values
