"""Where the `factorised` family starts: sources of band power in closed form.

n instances of a recording, P = C·B features (log power per channel and band, through the canonical
response), K components, R sources, M members.

BOLD follows a few sources, so the regression of component scores on band power has a low rank. Its
sources are found by reduced-rank ridge regression on whitened scores, freed of physiological noise;
their weights on the scores by ridge regression with held-out subjects, as in the `linear` family. A
member is this fit without some of the training subjects.

BOLD also follows few of the features. A gate on each, the square root of the strength with which it
predicts all components together in the ridge regression before, makes the ridge penalty that of a
group lasso over the components (adaptive ridge), and weak features fade.

References
----------
Grandvalet 1998, Proc. ICANN 201 (adaptive ridge). Obozinski, Taskar & Jordan 2010, Stat. Comput. 20:231
(a feature's coefficients for all targets as a group).
Izenman 1975, J. Multivariate Anal. 5:248 and Mukherjee & Zhu 2011, Stat. Anal. Data Min. 4:612
(reduced-rank regression, with a ridge penalty). Breiman 1996, Machine Learning 24:123 (averaging of fits on parts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from scipy import linalg

from eeg2fmri.config import FactorisedConfig
from eeg2fmri.errors import ConfigError
from eeg2fmri.models.ridge import Moments, Ridge, gains_held_out

WEAK = 0.1  # of the mean variance: directions weaker than this count for little
CLOSED = 1e-3  # of the mean squared strength: no gate closes for good
FAINT = 1e-2  # of the largest deviation of a score: fainter ones count no more than that


@dataclass(frozen=True)
class Sources:
    """A member's sources: weights (P, R) on standardised features, loadings (R, K) on the scores."""

    weights: np.ndarray
    loadings: np.ndarray


def members(subjects: Sequence[str], count: int) -> list[tuple[str, ...]]:
    """Subjects of each member: of `count` members, every subject is left out by one; a single one has all.

    Raises
    ------
    ConfigError
        If there are fewer than two subjects for a member.
    """
    subjects = sorted(set(subjects))
    if count == 1:
        return [tuple(subjects)]
    if len(subjects) < max(count, 3):
        raise ConfigError(
            f"members: {count} of {len(subjects)} training subjects, at least {max(count, 3)} are needed; "
            f"set members=1 or add subjects"
        )
    return [tuple(s for i, s in enumerate(subjects) if i % count != member) for member in range(count)]


def choose_gates(moments: Mapping[str, Moments], config: FactorisedConfig) -> np.ndarray:
    """Gates of the features, (P,), of mean square about 1; all 1 without rounds, or where nothing predicts anything.

    Parameters as of `fit_sources`.
    """
    n_components = next(iter(moments.values())).cross.shape[1] // 2
    each = [_part(own, slice(n_components)) for own in moments.values()]
    total = reduce(add, each)
    unit = np.sqrt(total.targets / total.freedom)
    unit = np.maximum(unit, FAINT * unit.max())
    gates = np.ones(len(total.features))
    for _ in range(config.gate_rounds):
        coefficients = gates[:, None] * _ridge([own.scaled(gates) for own in each], config.penalties)
        if not coefficients.any():
            return np.ones(len(gates))
        squared = np.square(coefficients / unit).sum(axis=1)
        gates = (squared / squared.mean() + CLOSED) ** 0.25
    return gates


def choose_penalty(
    moments: Mapping[str, Moments], products: Mapping[str, np.ndarray], config: FactorisedConfig
) -> float:
    """The penalty whose sources save most squared error on subjects they were not fitted on.

    The largest one if there is a single subject. Parameters as of `fit_sources`.
    """
    if len(moments) == 1:
        return max(config.penalties)

    def saved(penalty: float) -> float:
        total = 0.0
        for held_out, own in moments.items():
            others = [subject for subject in moments if subject != held_out]
            fitted = fit_sources({s: moments[s] for s in others}, {s: products[s] for s in others}, config, penalty)
            coefficients = fitted.weights.astype(np.float64) @ fitted.loadings
            cross = own.cross[:, : coefficients.shape[1]]
            total += float((coefficients * (2 * cross - own.features @ coefficients)).sum())
        return total

    return max(config.penalties, key=saved)


def fit_sources(
    moments: Mapping[str, Moments], products: Mapping[str, np.ndarray], config: FactorisedConfig, penalty: float
) -> Sources:
    """Sources and loadings of one member.

    Parameters
    ----------
    moments : of each of its subjects: features (P, standardised) against the K scores followed by
        the K scores without noise.
    products : of each of its subjects: SᵀS of the scores without noise, (K, K).
    config : sources, penalties of the loadings.
    penalty : of the sources.
    """
    total = reduce(add, moments.values())
    n_components = total.cross.shape[1] // 2
    ridge = Ridge(_part(total, slice(n_components, None)))
    regression = ridge.coefficients(penalty * np.trace(total.features) / len(total.features))
    regression = regression @ _whitening(reduce(add, products.values()))
    _, directions = linalg.eigh(regression.T @ total.features @ regression)
    weights = regression @ directions[:, ::-1][:, : config.sources]
    power = np.sqrt(np.diag(weights.T @ total.features @ weights) / total.freedom)
    weights = weights / np.where(power > 0, power, np.inf)
    return Sources(weights.astype(np.float32), _loadings(moments, weights, slice(n_components), config))


def _whitening(products: np.ndarray) -> np.ndarray:
    """Symmetric matrix (K, K) that gives scores equal variance, the weakest of them less."""
    values, vectors = linalg.eigh(products)
    return (vectors / np.sqrt(np.maximum(values, 0) + WEAK * values.mean())) @ vectors.T


def _loadings(
    moments: Mapping[str, Moments], weights: np.ndarray, scores: slice, config: FactorisedConfig
) -> np.ndarray:
    """Regression of the measured scores on the sources, each score's penalty by held-out subjects, (R, K)."""
    each = [_through(_part(own, scores), weights) for own in moments.values()]
    return _ridge(each, config.loading_penalties).astype(np.float32)


def _ridge(each: Sequence[Moments], penalties: Sequence[float]) -> np.ndarray:
    """Coefficients (P, K), each target's penalty, of the mean variance of a feature, by held-out subjects.

    The largest one if there is a single subject.
    """
    ridge = Ridge(reduce(add, each))
    scaled = np.asarray(penalties) * np.trace(ridge.moments.features) / len(ridge.moments.features)
    if len(each) == 1:
        return ridge.coefficients(float(scaled.max()))
    gains = gains_held_out(ridge, each, (), scaled)
    return ridge.coefficients(np.where(gains.max(axis=0) > 0, scaled[gains.argmax(axis=0)], np.inf))


def _part(moments: Moments, targets: slice) -> Moments:
    return Moments(moments.features, moments.cross[:, targets], moments.targets[targets], moments.freedom)


def _through(moments: Moments, weights: np.ndarray) -> Moments:
    """Moments of the sources, X · weights."""
    return Moments(weights.T @ moments.features @ weights, weights.T @ moments.cross, moments.targets, moments.freedom)
