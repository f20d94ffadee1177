"""The `linear` family: distributed-lag ridge regression from log band power to BOLD.

n windows, C channels, F frequencies, B bands, T lags (the context), H lag shapes, P = C·B·H features,
K components, V voxels.  targets: (n, V), standardised volumes.

The regression is fitted on what varies *within* each recording, faster than a scanner drifts: each
recording's mean and slow waves are taken out of features and targets. So neither differences of
anatomy and electrode gain between subjects nor drifts that coincide earn anything.

References
----------
Hoerl & Kennard 1970, Technometrics 12:55 (ridge). Glover 1999, NeuroImage 9:416 and Friston et al.
1998, NeuroImage 7:30 (double-gamma response and its derivative). Friston et al. 2000, NeuroImage
12:196 (cosine set up to 1/128 Hz).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from eeg2fmri.config import LinearConfig
from eeg2fmri.errors import SpecError
from eeg2fmri.signals import without_drift

# Hz, lower edge included: the clinical bands (IFCN; Babiloni et al. 2020).
BANDS = {"delta": (0.1, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 80.0)}
FLOOR = 1e-12  # µV²: keeps the log of a flat channel finite


@dataclass(frozen=True)
class LinearNetwork:
    """A fitted regression.

    frequencies: (F,) Hz.  power_mean: (C, B), mean log power.  lag_shapes: (T, H).
    coefficients: (P, K).  components: (K, V), orthonormal.  intercept: (V,), mean training volume.
    grid: (3,).
    """

    frequencies: np.ndarray
    power_mean: np.ndarray
    lag_shapes: np.ndarray
    coefficients: np.ndarray
    components: np.ndarray
    intercept: np.ndarray
    grid: np.ndarray

    def predict(self, eeg: np.ndarray) -> np.ndarray:
        """Volumes (n, x, y, z) in standardised units from EEG windows (n, C, F, T) in µV."""
        power = log_band_power(eeg, self.frequencies) - self.power_mean[..., None]
        scores = (power @ self.lag_shapes).reshape(len(eeg), -1) @ self.coefficients
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


@dataclass(frozen=True)
class LinearFit:
    """A fitted network and how its penalties were chosen.

    gains: (penalties, K), squared error that each penalty saves on held-out recordings, as a share of
    the components' variance there.  chosen: (K,) penalties; infinite where none saved anything, and
    the component is then not predicted.
    """

    network: LinearNetwork
    gains: np.ndarray
    chosen: np.ndarray


def lag_shapes(kind: str, context: int, tr: float) -> np.ndarray:
    """Weights of the lags, (T, H), columns of unit length.

    ``"free"``: one column per lag. ``"haemodynamic"``: the canonical response at the lags from each
    window's middle to the volume, and the difference that a latency of one second more or less makes.
    """
    if kind == "free":
        return np.eye(context, dtype=np.float32)
    seconds = (context - np.arange(context) - 0.5) * tr

    def response(latency: float) -> np.ndarray:
        return stats.gamma.pdf(seconds, 6 + latency) - stats.gamma.pdf(seconds, 16 + latency) / 6

    shapes = np.stack([response(0.0), response(1.0) - response(-1.0)], axis=1)
    return (shapes / np.linalg.norm(shapes, axis=0)).astype(np.float32)


def fit_linear(
    power: np.ndarray,
    targets: np.ndarray,
    owner: np.ndarray,
    subject: np.ndarray,
    validating: np.ndarray,
    frequencies: np.ndarray,
    config: LinearConfig,
    grid: Sequence[int],
) -> LinearFit:
    """Fit the regression, each component's penalty chosen by how it predicts unseen subjects.

    Every training subject is predicted from the other training subjects and every validation subject
    from all training subjects; the penalty that saves most squared error over these folds wins. The
    final coefficients come from the training subjects alone.

    Parameters
    ----------
    power : (n, C, B, T) from `log_band_power`.
    targets : (n, V) float32; **overwritten** (drifts are taken out), as it may be gigabytes.
    owner : (n,) recording of each window, in time order within a recording.
    subject : (n,) subject of each window, any integers.
    validating : (n,) bool, windows of validation subjects.
    frequencies : (F,) Hz, multiples of 1/TR.
    config : components, penalties, lags, drift cutoff.
    grid : shape of a volume.
    """
    tr, train = 1 / float(frequencies[0]), ~validating
    shapes = lag_shapes(config.lags, power.shape[-1], tr)
    intercept = targets[train].mean(axis=0)
    features = _without_drift((power @ shapes).reshape(len(power), -1), owner, tr, config.drift_cutoff)
    sd = features[train].std(axis=0) * np.sqrt(features.shape[1])
    scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 0)
    features *= scale
    targets = _without_drift(targets, owner, tr, config.drift_cutoff)
    basis = _principal_components(targets[train], min(config.components, int(train.sum()) - 1))
    scores = targets @ basis.T
    gains = _held_out_gains(features, scores, subject, train, config.penalties)
    coefficients = np.stack(_ridge(features[train], scores[train], config.penalties))
    best = gains.argmax(axis=0)
    useful = gains.max(axis=0) > 0
    final = coefficients[best, :, np.arange(len(basis))].T * useful * scale[:, None]
    network = LinearNetwork(
        frequencies=frequencies.astype(np.float32),
        power_mean=power[train].mean(axis=(0, 3)),
        lag_shapes=shapes,
        coefficients=final.astype(np.float32),
        components=basis,
        intercept=intercept,
        grid=np.asarray(grid, np.int64),
    )
    return LinearFit(network, gains, np.where(useful, np.asarray(config.penalties)[best], np.inf))


def _held_out_gains(
    features: np.ndarray, scores: np.ndarray, subject: np.ndarray, train: np.ndarray, penalties: Sequence[float]
) -> np.ndarray:
    """Share of variance saved per penalty and component, (penalties, K), summed over the folds."""
    saved = np.zeros((len(penalties), scores.shape[1]))
    total = np.zeros(scores.shape[1])
    for held in np.unique(subject):
        rows, others = subject == held, train & (subject != held)
        if not others.any():
            continue  # a single training subject can only be judged by the validation subjects
        total += np.square(scores[rows]).sum(axis=0)
        for number, coefficients in enumerate(_ridge(features[others], scores[others], penalties)):
            predicted = features[rows] @ coefficients
            saved[number] += 2 * (predicted * scores[rows]).sum(axis=0) - np.square(predicted).sum(axis=0)
    return np.divide(saved, total, out=np.zeros_like(saved), where=total > 0)


def _ridge(features: np.ndarray, scores: np.ndarray, penalties: Sequence[float]) -> list[np.ndarray]:
    """Coefficients (P, K) per penalty, in the dual form Xᵀ (X Xᵀ + λ I)⁻¹ S with one eigendecomposition."""
    values, vectors = linalg.eigh((features @ features.T).astype(np.float64))
    rotated = vectors.T @ scores
    duals = [vectors @ (rotated / (np.maximum(values, 0) + penalty)[:, None]) for penalty in penalties]
    return [features.T @ dual.astype(np.float32) for dual in duals]


def _principal_components(targets: np.ndarray, count: int) -> np.ndarray:
    """Orthonormal basis (K, V) of centred targets (n, V), through their Gram matrix."""
    n = len(targets)
    values, vectors = linalg.eigh((targets @ targets.T).astype(np.float64), subset_by_index=[n - count, n - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    # Components without variance (fewer independent volumes than asked for) have no direction.
    kept = values > values[0] * 1e-7
    return (vectors[:, kept] / np.sqrt(values[kept])).T.astype(np.float32) @ targets


def _without_drift(values: np.ndarray, owner: np.ndarray, tr: float, cutoff: float) -> np.ndarray:
    """Take each recording's mean and drifts out, in place."""
    for recording in np.unique(owner):
        rows = owner == recording
        values[rows] = without_drift(values[rows], tr, cutoff)
    return values
