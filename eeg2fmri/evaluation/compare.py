"""The paired comparison of two models over subjects.

A subject is the unit: recordings and windows of one person say the same thing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eeg2fmri.errors import EvaluationError


@dataclass(frozen=True)
class Comparison:
    """Two models on the same subjects; differences are the first's score minus the second's.

    won, lost: subjects on whom the first scores more, and less.  p_value: of `scipy.stats.wilcoxon`, two-sided.
    smallest_p: the least p that so many subjects can give.
    """

    subjects: int
    won: int
    lost: int
    median_difference: float
    p_value: float
    smallest_p: float


def compare(first: Mapping[str, float], second: Mapping[str, float]) -> Comparison:
    """Compare two models by the scores of the same subjects.

    Parameters
    ----------
    first, second : score of each subject.

    Raises
    ------
    EvaluationError
        If their subjects differ, or there are none.

    References
    ----------
    Wilcoxon (1945), Individual comparisons by ranking methods, Biometrics Bulletin 1:80.
    """
    if first.keys() != second.keys() or not first:
        odd = sorted(first.keys() ^ second.keys()) or ["none at all"]
        raise EvaluationError(f"subjects of one model only: {', '.join(odd)}; compare scores of the same subjects")
    differences = np.array([first[subject] - second[subject] for subject in sorted(first)])
    return Comparison(
        subjects=len(differences),
        won=int((differences > 0).sum()),
        lost=int((differences < 0).sum()),
        median_difference=float(np.median(differences)),
        p_value=_signed_rank(differences),
        smallest_p=float(min(1.0, 2.0 ** (1 - len(differences)))),
    )


def _signed_rank(differences: np.ndarray) -> float:
    """Return two-sided p of the signed ranks; 1 where no subject differs."""
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)
