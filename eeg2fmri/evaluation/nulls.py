"""Nulls that a model has to beat besides the mean training volume."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eeg2fmri.errors import EvaluationError


def shuffled_order(n: int, rng: np.random.Generator) -> NDArray[np.signedinteger[Any]]:
    """Draw an order for the EEG windows of one recording in which none keeps its place.

    The same model fed ``windows[shuffled_order(n, rng)]`` sees real EEG of the same subject at the
    wrong time. What it still scores does not come from the EEG's moment-to-moment content.

    The order is one cycle through all windows, drawn uniformly from the (n - 1)! there are (the
    distribution of Sattolo's algorithm). Neighbouring windows overlap in nearly all of their
    context, so a window moved by few places keeps some information: with the hundred and more
    windows of a recording this is rare.

    Parameters
    ----------
    n
        Windows of the recording, at least 2.
    rng
        Seeded by the caller; the same state gives the same order.

    Returns
    -------
    ndarray of int, (n,)
        A permutation of 0 … n - 1 without fixed points.

    Raises
    ------
    EvaluationError
        If ``n < 2``: a single window has nowhere to go.

    References
    ----------
    Sattolo (1986), An algorithm to generate a random cyclic permutation, Information Processing
    Letters 22(6).
    """
    if n < 2:
        raise EvaluationError(f"n={n} windows cannot be shuffled: a recording needs at least 2.")
    cycle = rng.permutation(n)
    order = np.empty_like(cycle)
    order[cycle] = np.roll(cycle, -1)
    return order
