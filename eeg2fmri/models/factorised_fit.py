"""Where the `factorised` family starts: sources of band power in closed form.

n instances of a recording, P = C·B features (log power per channel and band, through the canonical
response), K components, R sources, M members.

BOLD follows a few sources, so the regression of component scores on band power has a low rank. Its
sources are found by reduced-rank ridge regression on scores in units of their deviation, freed of
physiological noise; their weights on the scores by ridge regression with held-out subjects, as in the
`linear` family. A member is this fit without some of the training subjects.

References
----------
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


def fit_sources(moments: Mapping[str, Moments], config: FactorisedConfig) -> Sources:
    """Sources and loadings of one member.

    Parameters
    ----------
    moments : of each of its subjects: features (P, standardised) against the K scores followed by
        the K scores without noise.
    config : sources, penalties.
    """
    total = reduce(add, moments.values())
    n_components = total.cross.shape[1] // 2
    clean = slice(n_components, None)
    deviation = np.sqrt(total.targets[clean])
    in_units = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    ridge = Ridge(_part(total, clean))
    regression = ridge.coefficients(config.penalty * np.trace(total.features) / len(total.features)) * in_units
    _, directions = linalg.eigh(regression.T @ total.features @ regression)
    weights = regression @ directions[:, ::-1][:, : config.sources]
    power = np.sqrt(np.diag(weights.T @ total.features @ weights) / total.freedom)
    weights = weights / np.where(power > 0, power, np.inf)
    return Sources(weights.astype(np.float32), _loadings(moments, weights, slice(n_components), config))


def _loadings(
    moments: Mapping[str, Moments], weights: np.ndarray, scores: slice, config: FactorisedConfig
) -> np.ndarray:
    """Regression of the measured scores on the sources, each score's penalty by held-out subjects, (R, K)."""
    each = [_through(_part(own, scores), weights) for own in moments.values()]
    ridge = Ridge(reduce(add, each))
    penalties = np.asarray(config.loading_penalties) * np.trace(ridge.moments.features) / len(ridge.moments.features)
    if len(each) == 1:
        return ridge.coefficients(float(penalties[-1])).astype(np.float32)
    gains = gains_held_out(ridge, each, (), penalties)
    chosen = np.where(gains.max(axis=0) > 0, penalties[gains.argmax(axis=0)], np.inf)
    return ridge.coefficients(chosen).astype(np.float32)


def _part(moments: Moments, targets: slice) -> Moments:
    return Moments(moments.features, moments.cross[:, targets], moments.targets[targets], moments.freedom)


def _through(moments: Moments, weights: np.ndarray) -> Moments:
    """Moments of the sources, X · weights."""
    return Moments(weights.T @ moments.features @ weights, weights.T @ moments.cross, moments.targets, moments.freedom)
