"""Predicted labels of subjects: each set of features beside chance and beside the EEG alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from eeg2fmri.classification.features import EEG, Kinds
from eeg2fmri.config import Config
from eeg2fmri.evaluation import Classified, classify, paired_p, smallest_label_p
from eeg2fmri.scoring import SEED

COLUMNS = ("features", "balanced accuracy", "accuracy", "permuted labels", "p", "least p")


@dataclass(frozen=True)
class Beside:
    """A set of features beside the EEG alone.

    won: subjects whose label only the set predicts.  lost: only the EEG.  difference: balanced accuracy of the set
    minus that of the EEG.  p_value: the larger one of `paired_p` and of p of the better one against permuted labels
    (Berger 1982, Technometrics 24:295). Without a difference between labels a set may be worse than chance by chance;
    a set that is better only than this says nothing.
    """

    won: int
    lost: int
    difference: float
    p_value: float


@dataclass(frozen=True)
class Classification:
    """Results by set of features, and each set compared with EEG alone by who is right about a subject."""

    subjects: tuple[str, ...]
    labels: tuple[str, ...]
    found: Mapping[str, Classified]
    smallest_p: float

    @property
    def chance(self) -> float:
        """Balanced accuracy of the most frequent label for everybody."""
        return 1 / len(set(self.labels))

    @property
    def majority(self) -> float:
        """Accuracy of the most frequent label for everybody."""
        return max(Counter(self.labels).values()) / len(self.labels)

    @property
    def table(self) -> pd.DataFrame:
        """One row per set of features, and one of the most frequent label.

        The columns are features, balanced accuracy, accuracy, permuted labels (the mean balanced accuracy of the
        permutations), p, and least p, which so many permutations can give.
        """
        rows = [("most frequent label", self.chance, self.majority, self.chance, 1.0, 1.0)]
        for name, each in self.found.items():
            rows.append((name, each.score, each.accuracy, float(each.draws.mean()), each.p_value, self.smallest_p))
        return pd.DataFrame(rows, columns=[*COLUMNS])

    @property
    def by_subject(self) -> pd.DataFrame:
        """One row per subject: its label, and the probability that each set of features gives to it."""
        columns = {f"{name}_probability": each.probability for name, each in self.found.items()}
        return pd.DataFrame({"subject": self.subjects, "label": self.labels, **columns})

    @property
    def beside_eeg(self) -> dict[str, Beside]:
        """Every other set, compared with the EEG alone."""
        return {name: _beside(each, self.found[EEG]) for name, each in self.found.items() if name != EEG}


def _beside(one: Classified, eeg: Classified) -> Beside:
    """Compare a set of features with the EEG alone."""
    difference = one.score - eeg.score
    better = one if difference > 0 else eeg
    won, lost = (int(each.sum()) for each in (one.correct & ~eeg.correct, eeg.correct & ~one.correct))
    return Beside(won, lost, difference, max(paired_p(one, eeg), better.p_value))


def classify_subjects(
    features: Mapping[str, Kinds],
    labels: Mapping[str, str],
    config: Config,
    on_permutation: Callable[[], None] = lambda: None,
) -> Classification:
    """Classify subjects by each set of features; see `eeg2fmri.evaluation.classify`.

    Parameters
    ----------
    features : of `subject_features`, in the order of `labels`.
    labels : of the subjects.
    config : its section ``classify``.
    on_permutation : called after each permutation of each set.
    """
    settings, own = config.classify, [*labels.values()]

    def one(kinds: Kinds) -> Classified:
        listed: Sequence[np.ndarray] = [kind for kind in kinds.values() if kind.shape[1]]
        return classify(listed, own, folds=settings.folds, penalties=settings.penalties, seed=SEED,
                        permutations=settings.permutations, on_permutation=on_permutation)  # fmt: skip

    found = {name: one(kinds) for name, kinds in features.items()}
    return Classification(tuple(labels), tuple(own), found, smallest_label_p(own, settings.permutations))
