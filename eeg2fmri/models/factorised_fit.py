"""Start of the `factorised` family in closed form: sources of band power, then their loadings on BOLD.

n instances of a recording, P = C·B features (standardised log power per channel and band), K components, R sources.

BOLD follows only what passes the haemodynamic response, which is slow. The amplitude of a rhythm is slow; the
sampling noise of its power in one window is not. So the sources are those combinations of features of which the
response leaves the largest share of variance, and they come from the EEG alone: the noise of BOLD, which is twenty
times what EEG explains, cannot mislead their thousands of weights. BOLD chooses only the R loadings of each component,
by ridge regression. Held-out subjects choose its penalties.

References
----------
de Cheveigné & Parra 2014, NeuroImage 98:487 (joint decorrelation: the ratio of power after and before a filter).
Hoerl & Kennard 1970, Technometrics 12:55 (ridge regression).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from scipy import linalg

from eeg2fmri.models.ridge import Moments, Ridge, gains_held_out

WEAK = 0.3  # of the mean variance of a feature: directions that are weaker count for little


@dataclass(frozen=True)
class Sources:
    """Sources: weights (P, R) on standardised features, loadings (R, K) on the scores.

    penalties: (K,), of the loadings' regressions, in units of a source's variance; infinite if no source predicts a
    score.
    """

    weights: np.ndarray
    loadings: np.ndarray
    penalties: np.ndarray


def find_sources(answered: np.ndarray, plain: np.ndarray, count: int) -> np.ndarray:
    """Find the combinations of features of which the response leaves the largest share of variance.

    Parameters
    ----------
    answered, plain : (P, P) covariance of the features with and without the response.
    count : sources wanted.

    Returns
    -------
    (P, R) weights of the sources, the largest share first, each of unit variance after the response; 0 for one
    without any. R is below `count` if there are fewer features.
    """
    features = len(plain)
    weak = WEAK * np.trace(plain) / features * np.eye(features)
    first = max(features - count, 0)
    _, directions = linalg.eigh(answered, plain + weak, subset_by_index=[first, features - 1])
    weights = directions[:, ::-1]
    power = np.sqrt(np.maximum(np.einsum("pr,pq,qr->r", weights, answered, weights), 0))
    return weights / np.where(power > 0, power, np.inf)


def fit_loadings(each: Sequence[Moments], penalties: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Fit loadings of sources on scores by ridge regression; each score has the penalty that saves most error.

    Parameters
    ----------
    each : moments of every subject: sources (R) against the K scores.
    penalties : to choose from, in units of a source's variance. With a single subject it is the largest one.

    Returns
    -------
    Loadings (R, K), and the penalties that were chosen, (K,); infinite where none saves error in held-out subjects.
    """
    ridge = Ridge(reduce(add, each))
    grid = np.asarray(penalties)
    unit = np.trace(ridge.moments.features) / len(ridge.moments.features)
    if len(each) == 1:
        chosen = np.full(len(ridge.moments.targets), grid.max())
    else:
        gains = gains_held_out(ridge, each, (), (grid * unit).tolist())
        chosen = np.where(gains.max(axis=0) > 0, grid[gains.argmax(axis=0)], np.inf)
    return ridge.coefficients(chosen * unit), chosen
