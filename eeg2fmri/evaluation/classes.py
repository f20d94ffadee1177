"""Classification of subjects by features: held-out predictions, and the chance that labels without a meaning give.

n subjects, p features. A subject is the unit: one row, so that folds and permutations are over subjects.

References
----------
Ojala & Garriga 2010, J. Mach. Learn. Res. 11:1833 (permutation of labels). Varma & Simon 2006, BMC Bioinformatics 7:91
(a setting is chosen inside the training folds). Brodersen et al. 2010, ICPR (balanced accuracy). McNemar 1947,
Psychometrika 12:153, and Dietterich 1998, Neural Comput. 10:1895 (comparison of two classifiers).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from eeg2fmri.evaluation._series import Floats

INNER_FOLDS = 3
SWAPS = 9999  # of the predictions of subjects
ROUNDING = 1e-9  # sums of the same weights in another order may differ by less


@dataclass(frozen=True)
class Classified:
    """Predictions of each subject's label by classifiers that were trained without that subject.

    probability: (n,), given to the subject's own label.  correct: (n,) bool.  weight: (n,), of a subject: labels weigh
    alike, and all weights sum to 1.  draws: (permutations,), the score with permuted labels.
    """

    probability: Floats
    correct: NDArray[np.bool_]
    weight: Floats
    draws: Floats

    @property
    def score(self) -> float:
        """Balanced accuracy: the mean over labels of the share that is correct."""
        return float(self.weight @ self.correct)

    @property
    def p_value(self) -> float:
        """Share of the permutations that score at least as much; the labels themselves count as one of them."""
        return float((1 + (self.draws >= self.score - ROUNDING).sum()) / (1 + len(self.draws)))

    @property
    def accuracy(self) -> float:
        """Share of the subjects whose label is predicted."""
        return float(self.correct.mean())


def smallest_label_p(labels: Sequence[str], permutations: int) -> float:
    """Return the least p-value that so many permutations of these labels can give.

    Labels of which there are equally many may be swapped, which changes no accuracy; so not all arrangements differ.
    """
    counts = Counter(labels).values()
    arrangements = math.factorial(len(labels)) // math.prod(map(math.factorial, counts))
    alike = math.prod(math.factorial(n) for n in Counter(counts).values())
    return max(1 / (1 + permutations), alike / arrangements)


def least_of_a_label(folds: int | None) -> int:
    """Return the subjects of a label that so many folds need: one in each, and `INNER_FOLDS` that train it."""
    return next(n for n in count(folds or 2) if n - math.ceil(n / (folds or n)) >= INNER_FOLDS)


def classify(
    kinds: Sequence[Floats],
    labels: Sequence[str],
    *,
    folds: int | None,
    penalties: Sequence[float],
    permutations: int,
    seed: int,
    on_permutation: Callable[[], None] = lambda: None,
) -> Classified:
    """Predict the label of every subject by logistic regression, and repeat it with permuted labels.

    The regression has a quadratic penalty; labels weigh alike, however many subjects have them. Training subjects
    standardise the features and choose the penalty, by the log loss in inner folds.

    Parameters
    ----------
    kinds
        features (n, p) of each kind; kinds have the same total variance, so that a kind of many counts no more
    labels
        of the subjects; as many of each as `least_of_a_label` says
    folds
        that labels are spread evenly over; ``None`` leaves out one subject at a time
    penalties
        to choose from, for features of a total variance of 1
    permutations
        of the labels over subjects
    seed
        of folds and permutations, which are equal for equal seeds
    on_permutation
        called after each
    """
    from sklearn.model_selection import LeaveOneOut, StratifiedKFold, cross_val_predict

    features = np.hstack([np.asarray(kind, float) for kind in kinds])
    shares = [np.full(kind.shape[1], (kind.shape[1] * len(kinds)) ** -0.5) for kind in kinds]
    regression = _regression(np.concatenate(shares), penalties, seed)
    outer = LeaveOneOut() if folds is None else StratifiedKFold(folds, shuffle=True, random_state=seed)

    def held_out(own: NDArray[np.int64]) -> Floats:
        # Not `permutation_test_score`: it averages scores of folds, in which a label may have one subject.
        return cross_val_predict(regression, features, own, cv=outer, method="predict_proba")

    own = np.unique(np.asarray(labels), return_inverse=True)[1]
    probabilities = held_out(own)
    rng, draws = np.random.default_rng(seed), []
    for _ in range(permutations):
        permuted = rng.permutation(own)
        draws.append(float(_weights(permuted) @ (held_out(permuted).argmax(axis=1) == permuted)))
        on_permutation()
    correct = probabilities.argmax(axis=1) == own
    return Classified(probabilities[np.arange(len(own)), own], correct, _weights(own), np.array(draws))


def paired_p(one: Classified, other: Classified) -> float:
    """Return p of the difference of the scores, two-sided: two predictions of a subject are swapped at random.

    If two sets of features are equally good, it does not matter which of them is right about a subject. With as many
    subjects of each label it is McNemar's test. Probabilities are not compared, because a set whose classifiers have a
    weaker penalty has higher ones, also if it is right about the same subjects.

    Parameters
    ----------
    one, other
        predictions of the same subjects from two sets of features
    """
    apart = one.weight * (one.correct.astype(float) - other.correct)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(SWAPS, len(apart)))
    least = abs(apart.sum()) - ROUNDING
    return float((1 + (np.abs(signs @ apart) >= least).sum()) / (1 + SWAPS))


def _weights(own: NDArray[np.int64]) -> Floats:
    """Return the weight of each subject in the balanced accuracy, from its label (n,)."""
    _, label, counts = np.unique(own, return_inverse=True, return_counts=True)
    return 1 / (len(counts) * counts[label])


def _regression(weights: Floats, penalties: Sequence[float], seed: int) -> Any:
    """Make the regression: standardised features times `weights` (p,), rotated into as many as there are subjects.

    A quadratic penalty does not change by a rotation, and few features are quick.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return make_pipeline(
        StandardScaler(),
        FunctionTransformer(partial(mul, weights)),
        PCA(svd_solver="full"),
        LogisticRegressionCV(
            Cs=sorted(1 / penalty for penalty in penalties),
            l1_ratios=(0,),
            cv=StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed),
            scoring=_likelihood,
            solver="newton-cholesky",
            class_weight="balanced",
            use_legacy_attributes=False,
        ),
    )


def _likelihood(regression: Any, features: Floats, own: NDArray[np.int64]) -> float:
    """Return the mean log probability of labels, minus the log loss; scikit-learn's checks would take most of the time.

    It is that of `LogisticRegression.predict_log_proba`.
    """
    scores = features @ np.atleast_2d(regression.coef_).T + regression.intercept_
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    return float(log_softmax(scores, axis=1)[np.arange(len(own)), np.searchsorted(regression.classes_, own)].mean())
