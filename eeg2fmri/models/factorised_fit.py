"""Start of the `factorised` family: sources of band power in closed form.

n instances of a recording, P = C·B features (log power per channel and band, through the canonical
response), K components, R sources, M members.

BOLD follows a few sources, so the regression of component scores on band power has a low rank. Its sources are found by
reduced-rank ridge regression on whitened scores without physiological noise; their loadings on the scores by ridge
regression. Held-out subjects choose all penalties. A member is this fit without some of the training subjects.

BOLD also follows few of the features. So each feature has a gate: the square root of the strength with which it
predicts all components together in the ridge regression before. With the gates the ridge penalty becomes that of
a group lasso over the components (adaptive ridge), and weak features fade.

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
CLOSED = 1e-3  # of the mean squared strength: no gate closes completely
LOADING_PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)  # ridge, of unit sources; one for each component
FAINT = 1e-2  # of the largest deviation of a score: weaker ones get no more weight than that


@dataclass(frozen=True)
class Sources:
    """A member's sources: weights (P, R) on standardised features, loadings (R, K) on the scores."""

    weights: np.ndarray
    loadings: np.ndarray


@dataclass(frozen=True)
class Penalties:
    """Of the ridge regressions, in units of the mean variance of a feature: of the sources, and of each score's
    loadings (K,), infinite if no source predicts a score.
    """

    sources: float
    loadings: np.ndarray


def members(subjects: Sequence[str], count: int) -> list[tuple[str, ...]]:
    """Return the subjects of each member: of `count` members, one leaves out each subject; a single one has all.

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
            f"members: {count} of {len(subjects)} training subjects, at least {max(count, 3)} subjects are needed; "
            f"set members=1 or add subjects"
        )
    return [tuple(s for i, s in enumerate(subjects) if i % count != member) for member in range(count)]


def choose_penalties(
    moments: Mapping[str, Moments], products: Mapping[str, np.ndarray], config: FactorisedConfig
) -> Penalties:
    """Choose the penalties that save most squared error on held-out subjects, with gates.

    With a single subject they are the largest ones. Parameters as of `fit_sources`.
    """
    grid = np.asarray(LOADING_PENALTIES)
    n_components = len(next(iter(products.values())))
    if len(moments) == 1:
        return Penalties(max(config.penalties), np.full(n_components, grid.max()))
    saved = np.zeros((len(config.penalties), len(grid), n_components))
    for held_out, own in moments.items():
        others = [subject for subject in moments if subject != held_out]
        fold = _Fit.of([moments[s] for s in others], [products[s] for s in others], config)
        for row, penalty in enumerate(config.penalties):
            weights = fold.weights(penalty)
            unseen = _through(_part(own, slice(n_components)), weights)
            ridge = fold.loadings(weights)
            saved[row] += [ridge.saved(each * _unit(ridge), unseen) for each in grid]
    gains = np.maximum(saved.max(axis=1), 0).sum(axis=1)
    _, sources, row = max(zip(gains, config.penalties, range(len(gains)), strict=True))  # of equals the larger penalty
    chosen = np.where(saved[row].max(axis=0) > 0, grid[saved[row].argmax(axis=0)], np.inf)
    return Penalties(sources, chosen)


def fit_sources(
    moments: Mapping[str, Moments],
    products: Mapping[str, np.ndarray],
    config: FactorisedConfig,
    penalties: Penalties,
) -> Sources:
    """Fit sources and loadings of one member.

    Parameters
    ----------
    moments : of each of its subjects: features (P, standardised) against the K scores followed by
        the K scores without noise.
    products : of each of its subjects: SᵀS of the scores without noise, (K, K).
    config : sources, rounds and penalties of the gates.
    penalties : from `choose_penalties`.
    """
    fitted = _Fit.of(list(moments.values()), list(products.values()), config)
    weights = fitted.weights(penalties.sources)
    ridge = fitted.loadings(weights)
    loadings = ridge.coefficients(penalties.loadings * _unit(ridge))
    return Sources(weights.astype(np.float32), loadings.astype(np.float32))


def choose_gates(each: Sequence[Moments], config: FactorisedConfig) -> np.ndarray:
    """Return gates of the features, (P,), with mean square about 1; all 1 without rounds or without any prediction.

    Parameters
    ----------
    each : moments of every subject: features (P) against the K scores.
    config : rounds, penalties.
    """
    total = reduce(add, each)
    unit = np.sqrt(total.targets / total.freedom)
    unit = np.maximum(unit, FAINT * unit.max())
    gates = np.ones(len(total.features))
    for _ in range(config.gate_rounds):
        coefficients = gates[:, None] * _regression([own.scaled(gates) for own in each], config.penalties)
        if not coefficients.any():
            return np.ones(len(gates))
        squared = np.square(coefficients / unit).sum(axis=1)
        gates = (squared / squared.mean() + CLOSED) ** 0.25
    return gates


@dataclass(frozen=True)
class _Fit:
    """Sums from which the sources of some subjects are made, for every penalty.

    gates: (P,).  measured: gated features against the scores.  clean: against those without noise.
    whitening: (K, K).  count: of sources.
    """

    gates: np.ndarray
    measured: Moments
    clean: Ridge
    whitening: np.ndarray
    count: int

    @classmethod
    def of(cls, moments: Sequence[Moments], products: Sequence[np.ndarray], config: FactorisedConfig) -> _Fit:
        k = len(products[0])
        gates = choose_gates([_part(own, slice(k)) for own in moments], config)
        total = reduce(add, moments).scaled(gates)
        clean = Ridge(_part(total, slice(k, None)))
        return cls(gates, _part(total, slice(k)), clean, _whitening(reduce(add, products)), config.sources)

    def weights(self, penalty: float) -> np.ndarray:
        """Return sources of unit deviation, the strongest first, (P, R), for features without gates."""
        features = self.measured.features
        regression = self.clean.coefficients(penalty * _unit(self.clean)) @ self.whitening
        _, directions = linalg.eigh(regression.T @ features @ regression)
        weights = regression @ directions[:, ::-1][:, : self.count]
        power = np.sqrt(np.diag(weights.T @ features @ weights) / self.measured.freedom)
        return self.gates[:, None] * weights / np.where(power > 0, power, np.inf)

    def loadings(self, weights: np.ndarray) -> Ridge:
        """Fit the regressions of the measured scores on the sources."""
        return Ridge(_through(self.measured, weights / self.gates[:, None]))


def _unit(ridge: Ridge) -> float:
    """Return the mean variance of a feature."""
    return float(np.trace(ridge.moments.features) / len(ridge.moments.features))


def _whitening(products: np.ndarray) -> np.ndarray:
    """Return a symmetric matrix (K, K) that gives scores equal variance, the weakest of them less."""
    values, vectors = linalg.eigh(products)
    return (vectors / np.sqrt(np.maximum(values, 0) + WEAK * values.mean())) @ vectors.T


def _regression(each: Sequence[Moments], penalties: Sequence[float]) -> np.ndarray:
    """Fit coefficients (P, K); held-out subjects choose each target's penalty, of the mean variance of a feature.

    With a single subject the penalty is the largest one.
    """
    ridge = Ridge(reduce(add, each))
    scaled = np.asarray(penalties) * _unit(ridge)
    if len(each) == 1:
        return ridge.coefficients(float(scaled.max()))
    gains = gains_held_out(ridge, each, (), scaled.tolist())
    return ridge.coefficients(np.where(gains.max(axis=0) > 0, scaled[gains.argmax(axis=0)], np.inf))


def _part(moments: Moments, targets: slice) -> Moments:
    return Moments(moments.features, moments.cross[:, targets], moments.targets[targets], moments.freedom)


def _through(moments: Moments, weights: np.ndarray) -> Moments:
    """Return moments of the sources, X · weights."""
    return Moments(weights.T @ moments.features @ weights, weights.T @ moments.cross, moments.targets, moments.freedom)
