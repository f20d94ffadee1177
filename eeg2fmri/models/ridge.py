"""Ridge regression from sums of products, so that no more than one recording's rows are in memory.

n rows, P features, K targets (each with a penalty of its own), L penalties.

References
----------
Hoerl & Kennard 1970, Technometrics 12:55.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from scipy import linalg


@dataclass(frozen=True)
class Moments:
    """Sums of products over centred rows X (n, P) and S (n, K); those of several recordings add up.

    features: XᵀX, (P, P).  cross: XᵀS, (P, K).  targets: diagonal of SᵀS, (K,).  freedom: n, less the number of means
    and drifts that were removed.  All float64.
    """

    features: np.ndarray
    cross: np.ndarray
    targets: np.ndarray
    freedom: float

    @classmethod
    def of(cls, features: np.ndarray, targets: np.ndarray, freedom: float) -> Moments:
        """Sum over the rows of `features` (n, P) and `targets` (n, K)."""
        x, s = features.astype(np.float64), targets.astype(np.float64)
        return cls(x.T @ x, x.T @ s, np.square(s).sum(axis=0), freedom)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.features + other.features,
            self.cross + other.cross,
            self.targets + other.targets,
            self.freedom + other.freedom,
        )

    def __sub__(self, other: Moments) -> Moments:
        """Return the sums without `other`, which must be part of them."""
        return Moments(
            self.features - other.features,
            self.cross - other.cross,
            self.targets - other.targets,
            self.freedom - other.freedom,
        )

    def scaled(self, scale: np.ndarray) -> Moments:
        """Return the moments of X · diag(scale), scale (P,)."""
        return Moments(self.features * scale * scale[:, None], self.cross * scale[:, None], self.targets, self.freedom)


@dataclass(frozen=True)
class Ridge:
    """The ridge regressions of all penalties on the same moments, from one eigendecomposition."""

    moments: Moments

    @cached_property
    def _eigen(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values, vectors = linalg.eigh(self.moments.features)
        return np.maximum(values, 0), vectors, vectors.T @ self.moments.cross

    def coefficients(self, penalties: float | np.ndarray) -> np.ndarray:
        """Compute (XᵀX + λ I)⁻¹ XᵀS, (P, K), with one penalty for all targets or one for each, (K,).

        An infinite penalty gives zeros.
        """
        values, vectors, rotated = self._eigen
        return vectors @ (rotated / (values[:, None] + penalties))

    def saved(self, penalty: float, held_out: Moments) -> np.ndarray:
        """Compute the squared error (K,) that the regression saves on held-out rows, compared with zeros."""
        coefficients = self.coefficients(penalty)
        predicted = (coefficients * (held_out.features @ coefficients)).sum(axis=0)
        return 2 * (coefficients * held_out.cross).sum(axis=0) - predicted


def gains_held_out(
    everyone: Ridge, train: Iterable[Moments], unseen: Iterable[Moments], penalties: Sequence[float]
) -> np.ndarray:
    """Compute the share of squared error that each penalty saves on held-out subjects, (L, K).

    Parameters
    ----------
    everyone : the regression on all training subjects.
    train : moments of each training subject, predicted from the others.
    unseen : moments of each validation subject, predicted from all training subjects.
    penalties : (L,).
    """
    total = everyone.moments
    saved, variance = np.zeros((len(penalties), len(total.targets))), np.zeros(len(total.targets))
    for ridge, held_out in chain(((Ridge(total - own), own) for own in train), ((everyone, own) for own in unseen)):
        variance += held_out.targets
        saved += [ridge.saved(penalty, held_out) for penalty in penalties]
    return np.divide(saved, variance, out=np.zeros_like(saved), where=variance > 0)
