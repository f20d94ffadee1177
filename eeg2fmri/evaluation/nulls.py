"""The shuffled-EEG control: scores of a model with real EEG of the wrong time.

measured, synthesised: (n, x, y, z).  mask: (x, y, z) bool.  n windows of one recording, in time order.

The windows of a recording are permuted by a circular shift. Rhythms and BOLD both change slowly. A
free permutation turns a slow prediction into a fast one, so it is too easy a null: at no coupling a
slow prediction scores better half of the time. A shift keeps the slowness of the prediction and
removes only its timing (Theiler et al. 1992, Physica D 58:77, on surrogates that keep the autocorrelation).
"""

from __future__ import annotations

from collections.abc import Sequence

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


def r2_of_shifts(measured: Floats, synthesised: Floats, mask: Mask) -> np.ndarray:
    """Compute `r2_temporal` of the synthesised series under every circular shift, (n,).

    Element s is the score after ``np.roll(synthesised, s, axis=0)``; element 0 the model's own. All
    come from one (n, n) matrix of inner products between volumes.
    """
    check_temporal(measured, synthesised, mask)
    n = len(measured)
    products, variance, predicted = np.zeros((n, n)), 0.0, 0.0
    for m, s in centred_planes(measured, synthesised, mask):
        products += m @ s.T
        variance += float(np.square(m).sum())
        predicted += float(np.square(s).sum())
    if variance == 0:
        raise EvaluationError("no measured voxel of the mask varies over time: r2_temporal needs one.")
    places = np.arange(n)
    covariance = np.array([products[places, (places - shift) % n].sum() for shift in places])
    return (2 * covariance - predicted) / variance


def shuffled_p_value(
    shifts: Sequence[np.ndarray], groups: Sequence[str], margin: int, permutations: int, rng: np.random.Generator
) -> float:
    """Compute the chance that shuffled EEG scores at least as much as the model.

    Parameters
    ----------
    shifts : `r2_of_shifts` of every recording.
    groups : the subject of every recording; the score is the mean over subjects.
    margin : smallest shift, see `shuffled_order`.
    permutations : draws; each shifts every recording on its own.
    rng : seeded by the caller.

    Returns
    -------
    (1 + draws that score at least as much) / (1 + draws), Phipson & Smyth 2010, Stat. Appl. Genet.
    Mol. Biol. 9:39; never below 1 / (1 + distinct shuffles); short recordings have few of them.
    """
    distinct = 1.0
    weights = np.array([1 / (groups.count(g) * len(set(groups))) for g in groups])
    null = np.zeros(permutations)
    for values, weight in zip(shifts, weights, strict=True):
        _check_length(len(values), margin)
        distinct *= len(values) - 2 * margin + 1
        null += weight * values[rng.integers(margin, len(values) - margin, permutations, endpoint=True)]
    observed = sum(float(values[0]) * weight for values, weight in zip(shifts, weights, strict=True))
    drawn = (1 + np.count_nonzero(null >= observed)) / (1 + permutations)
    return float(max(drawn, 1 / (1 + distinct)))


def _check_length(n: int, margin: int) -> None:
    if n < 2 * margin + 1:
        raise EvaluationError(
            f"n={n} windows cannot be shifted by {margin} or more: at least {2 * margin + 1} are needed; "
            f"use longer recordings or a shorter context."
        )
