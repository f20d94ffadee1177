"""Fit of the `linear` family, with one recording in memory at a time.

W windows of a recording, n = W - T instances of it, C channels, B bands, T lags (the context), H lag
shapes, P = C·B·H features, K components.

The regression is fitted on the variation *within* each recording that is faster than scanner drifts: each
recording's mean and slow waves are removed from features and targets. So differences of anatomy and electrode
gain between subjects do not raise the score, and coincident drifts do not either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from eeg2fmri.config import LinearConfig
from eeg2fmri.models.linear import lag_shapes
from eeg2fmri.models.ridge import Moments, Ridge, gains_held_out
from eeg2fmri.signals import without_drift

CONSTANT = 1e-4  # log power that varies less is rounding in a dead channel


@dataclass(frozen=True)
class Series:
    """One recording as input of the regression, drifts included.

    subject: label.  power: (C, B, W), log band power of every window that a context reads.  scores:
    (n, K), component scores of the volumes that follow the contexts: volumes T, T + 1, … W.
    """

    subject: str
    power: np.ndarray
    scores: np.ndarray

    def contexts(self) -> np.ndarray:
        """Return log power in the context of every instance, (n, C, B, T); a view."""
        return np.moveaxis(np.lib.stride_tricks.sliding_window_view(self.power, self.context, axis=2), 2, 0)

    @property
    def context(self) -> int:
        """Return T; the last volume follows the last window."""
        return self.power.shape[2] - len(self.scores) + 1


@dataclass(frozen=True)
class LinearFit:
    """A fitted regression, and the choice of its penalties.

    power_mean, power_sd: (C, B).  lag_shapes: (T, H).  coefficients: (P, K), in the order (C, B, H).
    gains: (penalties, K), share of the components' squared error that each penalty is estimated to
    save in unseen data.  chosen: (K,) penalties; infinite if none saved anything, and the component
    is then not predicted.
    """

    power_mean: np.ndarray
    power_sd: np.ndarray
    lag_shapes: np.ndarray
    coefficients: np.ndarray
    gains: np.ndarray
    chosen: np.ndarray


def fit_linear(train: Sequence[Series], validation: Sequence[Series], tr: float, config: LinearConfig) -> LinearFit:
    """Fit the regression from sums of products over recordings.

    Every training subject is predicted from the other training subjects and every validation subject
    from all training subjects; for each component, the penalty that saves most squared error over these folds is
    chosen. The coefficients come from the training subjects only.

    Parameters
    ----------
    train, validation : recordings of disjoint subjects.
    tr : seconds between windows.
    config : penalties, drift cutoff.
    """
    shapes = lag_shapes(train[0].context, tr)

    def subjects(series: Sequence[Series], scale: np.ndarray) -> Iterator[Moments]:
        """Yield moments of one subject after the other, computed on demand, as each may be 80 MB."""
        for subject in sorted({s.subject for s in series}):
            own = (_moments(s, shapes, tr, config.drift_cutoff) for s in series if s.subject == subject)
            yield reduce(add, own).scaled(scale)

    total = reduce(add, subjects(train, np.ones(1)))
    scale = _equal_weights(total, sum(len(s.scores) for s in train))
    ridge = Ridge(total.scaled(scale))
    # With a single training subject only the validation subjects choose.
    folds = subjects(train, scale) if len({s.subject for s in train}) > 1 else ()
    gains = gains_held_out(ridge, folds, subjects(validation, scale), config.penalties)
    chosen = np.where(gains.max(axis=0) > 0, np.asarray(config.penalties)[gains.argmax(axis=0)], np.inf)
    return LinearFit(
        power_mean=_mean_power(train),
        power_sd=_power_deviation(train, tr, config.drift_cutoff),
        lag_shapes=shapes,
        coefficients=(ridge.coefficients(chosen) * scale[:, None]).astype(np.float32),
        gains=gains,
        chosen=chosen,
    )


def _moments(series: Series, shapes: np.ndarray, tr: float, cutoff: float) -> Moments:
    n = len(series.scores)
    features = (series.contexts() @ shapes).reshape(n, -1)
    freedom = float(np.trace(without_drift(np.eye(n), tr, cutoff)))
    return Moments.of(without_drift(features, tr, cutoff), without_drift(series.scores, tr, cutoff), freedom)


def _equal_weights(total: Moments, rows: int) -> np.ndarray:
    """Return scales (P,) for equal variance and a sum `rows` of the products; 0 for a constant feature."""
    sd = np.sqrt(np.diag(total.features) / rows)
    return np.divide(1, sd * np.sqrt(len(sd)), out=np.zeros_like(sd), where=sd > CONSTANT)


def _mean_power(train: Sequence[Series]) -> np.ndarray:
    """Compute mean log power over all contexts, (C, B)."""
    each = [series.contexts() for series in train]
    windows = sum(len(c) * c.shape[3] for c in each)
    return (sum(c.sum(axis=(0, 3), dtype=np.float64) for c in each) / windows).astype(np.float32)


def _power_deviation(train: Sequence[Series], tr: float, cutoff: float) -> np.ndarray:
    """Compute the standard deviation of log power within recordings, without drifts, (C, B)."""
    each = [without_drift(np.moveaxis(series.power, 2, 0), tr, cutoff) for series in train]
    return np.sqrt(np.concatenate(each).var(axis=0, dtype=np.float64)).astype(np.float32)
