"""The shuffled-EEG control: scores of a model with real EEG of the wrong time.

measured, synthesised: (n, x, y, z).  mask: (x, y, z) bool.  n windows of one recording, in time order.
waves: (n, q), the drifts that are taken out of both series: a shift cuts a drift in two, so a chance agreement
of drifts would look like more than chance.

The windows of a recording are permuted by a circular shift. Rhythms and BOLD both change slowly. A
free permutation turns a slow prediction into a fast one, so it is too easy a null: at no coupling a
slow prediction scores better half of the time. A shift keeps the slowness of the prediction and
removes only its timing (Theiler et al. 1992, Physica D 58:77, on surrogates that keep the autocorrelation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation._series import Floats, Mask, centred_planes, check_temporal


def shuffled_order(n: int, margin: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a circular shift of the windows of one recording.

    Parameters
    ----------
    n : windows of the recording.
    margin : every window moves by at least this many places either way; with the context's length,
        a window shares no EEG with the one it replaces.
    rng : seeded by the caller.

    Returns
    -------
    (n,) int, the window that takes each place.

    Raises
    ------
    EvaluationError
        If the recording is too short for such a shift.
    """
    _check_length(n, margin)
    return np.roll(np.arange(n), int(rng.integers(margin, n - margin, endpoint=True)))


def r2_of_shifts(measured: Floats, synthesised: Floats, mask: Mask, waves: Floats | None = None) -> np.ndarray:
    """Return `r2_temporal` of the synthesised series under every circular shift, (n,).

    Element s is the score after ``np.roll(synthesised, s, axis=0)`` of the series without `waves`; element 0 the
    model's own. All come from one (n, n) matrix of inner products between volumes.
    """
    check_temporal(measured, synthesised, mask, waves)
    n = len(measured)
    products, variance, predicted = np.zeros((n, n)), 0.0, 0.0
    for m, s in centred_planes(measured, synthesised, mask, waves):
        products += m @ s.T
        variance += float(np.square(m).sum())
        predicted += float(np.square(s).sum())
    if variance == 0:
        raise EvaluationError("no measured voxel of the mask varies over time: r2_temporal needs one.")
    places = np.arange(n)
    covariance = np.array([products[places, (places - shift) % n].sum() for shift in places])
    return (2 * covariance - predicted) / variance


@dataclass(frozen=True)
class Null:
    """A score in its distribution under shuffled EEG.

    observed: the model's own.  draws: (permutations,) scores with shuffled EEG, in the order drawn.
    by_recording: (recordings,) mean of each recording's own scores over the draws.
    smallest_p: the least that the test set and the number of draws can give, see `smallest_p`.
    """

    observed: float
    draws: np.ndarray
    by_recording: np.ndarray
    smallest_p: float

    @property
    def p_value(self) -> float:
        """Chance that shuffled EEG scores at least what the model scores.

        ``(1 + draws that score at least as much) / (1 + draws)``, and not below `smallest_p`.

        References
        ----------
        Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39.
        """
        drawn = (1 + np.count_nonzero(self.draws >= self.observed)) / (1 + len(self.draws))
        return float(max(drawn, self.smallest_p))

    @property
    def effect_size(self) -> float | None:
        """``(observed - mean of the draws) / their standard deviation``; ``None`` if they are all alike."""
        spread = float(self.draws.std())
        return float((self.observed - self.draws.mean()) / spread) if spread else None


def subject_weights(groups: Sequence[str]) -> np.ndarray:
    """Return weights (recordings,) that make a sum over recordings the mean over subjects.

    Parameters
    ----------
    groups : the subject of every recording.
    """
    return np.array([1 / (groups.count(g) * len(set(groups))) for g in groups])


def shuffled_null(
    shifts: Sequence[np.ndarray], groups: Sequence[str], margin: int, permutations: int, rng: np.random.Generator
) -> Null:
    """Draw scores with shuffled EEG; each draw shifts every recording on its own.

    Parameters
    ----------
    shifts : `r2_of_shifts` of every recording.
    groups : the subject of every recording; the score is the mean over subjects.
    margin : smallest shift, see `shuffled_order`.
    permutations : draws.
    rng : seeded by the caller.
    """
    weights = subject_weights(groups)
    drawn = np.empty((len(shifts), permutations))
    for row, values in zip(drawn, shifts, strict=True):
        _check_length(len(values), margin)
        row[:] = values[rng.integers(margin, len(values) - margin, permutations, endpoint=True)]
    observed = sum(float(values[0]) * weight for values, weight in zip(shifts, weights, strict=True))
    least = smallest_p([len(values) for values in shifts], margin, permutations)
    return Null(observed, (weights[:, None] * drawn).sum(0), drawn.mean(1), least)


def pooled_null(nulls: Sequence[Null], subjects: Sequence[int], rng: np.random.Generator) -> Null:
    """Return the null of the mean over the subjects of several test sets, each scored by a model of its own.

    Draws of a test set are put in a new order first: each was drawn from the same seed, so draws of one number have
    the same shifts in all of them.

    Parameters
    ----------
    nulls : of the test sets, with equally many draws.
    subjects : of each test set.
    rng : seeded by the caller.
    """
    weights = np.asarray(subjects, float) / sum(subjects)
    draws = np.stack([rng.permutation(null.draws) for null in nulls])
    distinct = math.prod(1 / null.smallest_p - 1 for null in nulls)
    return Null(
        observed=float(weights @ [null.observed for null in nulls]),
        draws=weights @ draws,
        by_recording=np.concatenate([null.by_recording for null in nulls]),
        smallest_p=max(1 / (1 + distinct), 1 / (1 + draws.shape[1])),
    )


def smallest_p(windows: Sequence[int], margin: int, permutations: int) -> float:
    """Return the least p-value of a test set: that of a score above all others.

    Parameters
    ----------
    windows : of every recording.
    margin : smallest shift, see `shuffled_order`.
    permutations : draws.

    Returns
    -------
    1 / (1 + distinct shuffles) or 1 / (1 + permutations), the larger one.
    """
    distinct = math.prod(float(max(n - 2 * margin + 1, 0)) for n in windows)
    return max(1 / (1 + distinct), 1 / (1 + permutations))


def p_text(p_value: float, smallest_p: float) -> str:
    """Return a p-value in words, which say where it could not have been smaller."""
    shown = f"p = {p_number(p_value)}"
    return f"{shown}, the smallest this test set can reach" if p_value <= smallest_p else shown


def p_number(p_value: float) -> str:
    """Return digits of a p-value, as many as say something."""
    return f"{p_value:.{4 if p_value < 0.01 else 3}f}"


def _check_length(n: int, margin: int) -> None:
    if n < 2 * margin + 1:
        raise EvaluationError(
            f"n={n} windows cannot be shifted by {margin} or more: at least {2 * margin + 1} are needed; "
            f"use longer recordings or a shorter context."
        )
