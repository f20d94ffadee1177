"""The result of a cross-validation, and its words."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from eeg2fmri.evaluation import Comparison, Null, compare, p_number
from eeg2fmri.pipeline.describe import DECIDING, paragraphs, table
from eeg2fmri.reporting import ceilings_text, paired
from eeg2fmri.scoring import NO_NULLS, subject_interval
from eeg2fmri.store import Split

SEEN = {  # what the models of a protocol have seen of those whom they are tested on
    "leave-one-subject-out": "Each subject is tested by models that never saw it.",
    "k-fold": "Each subject is tested by models that never saw it.",
    "leave-one-session-out": "Each session is tested by models that saw other sessions of the same people.",
}


@dataclass(frozen=True)
class Crossvalidation:
    """Scores of each model on every tested subject.

    scores: `r2_temporal` by model, condition and subject.  nulls: of the mean over all folds' subjects, by model.
    left_out: by variant, why a model of the list has no scores.
    """

    run_id: str
    protocol: str
    folds: tuple[Split, ...]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    nulls: Mapping[str, Null]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def mean(self, variant: str, condition: str = "model") -> float:
        """Return mean over subjects."""
        own = self.scores[variant][condition]
        return sum(own.values()) / len(own)

    @property
    def intervals(self) -> dict[str, tuple[float, float] | None]:
        """95 % interval of each model's mean over subjects; ``None`` with too few of them."""
        return {variant: subject_interval([*own["model"].values()]) for variant, own in self.scores.items()}

    @property
    def pairs(self) -> dict[tuple[str, str], Comparison]:
        """Every two models, compared by subject."""
        return {
            (one, other): compare(self.scores[one]["model"], self.scores[other]["model"])
            for one, other in itertools.combinations(self.scores, 2)
        }


def verdict(result: Crossvalidation, level: float) -> str:
    """Say of each model whether it is better than its nulls, and of the best one whether it is better than the others.

    Parameters
    ----------
    result : of the cross-validation.
    level : a p-value must be below it.
    """
    best = max(result.scores, key=result.mean)
    parts = []
    for variant in result.scores:
        null, p = strongest_null(result, variant), result.nulls[variant].p_value
        better = "is" if better_than_nulls(result, variant, level) else "is not"
        parts.append(
            f"{variant} {better} better than its nulls ({DECIDING} {result.mean(variant):+.4f}, {null} "
            f"{result.mean(variant, null):+.4f}, p = {p_number(p)})"
        )
    for (one, other), found in result.pairs.items():
        if best in (one, other):
            parts.append(paired(one, other, found, level))
    return "; ".join(parts) + "."


def strongest_null(result: Crossvalidation, variant: str) -> str:
    """Return the condition with the highest score that the gate takes for a null."""
    return max((name for name in result.scores[variant] if name not in NO_NULLS), key=partial(result.mean, variant))


def better_than_nulls(result: Crossvalidation, variant: str, level: float) -> bool:
    """Return whether a model scores more than each of its nulls, and more than shuffled EEG does by chance."""
    null = strongest_null(result, variant)
    return result.nulls[variant].p_value < level and result.mean(variant) > result.mean(variant, null)


def summary(result: Crossvalidation) -> str:
    """Return markdown: each model's mean over subjects beside its nulls, and the models compared by subject."""
    rows = []
    for variant, interval in result.intervals.items():
        own, shuffled = (result.scores[variant][condition] for condition in ("model", "shuffled"))
        above = sum(own[subject] > shuffled[subject] for subject in own)
        ends = f"{interval[0]:+.4f} to {interval[1]:+.4f}" if interval else "too few subjects"
        null = result.nulls[variant]
        rows.append([variant, f"{result.mean(variant):+.4f}", ends,
                     f"{result.mean(variant, 'mean_volume'):+.4f}", f"{result.mean(variant, 'shuffled'):+.4f}",
                     f"{above} of {len(own)}", p_number(null.p_value)])  # fmt: skip
    head = ("model", DECIDING, "95 % interval", "mean volume", "shuffled EEG", "subjects above it", "p")
    pairs = [[f"{one} − {other}", f"{c.median_difference:+.4f}", f"{c.won} of {c.subjects}", f"{c.p_value:.3g}",
              f"{c.smallest_p:.2g}"] for (one, other), c in result.pairs.items()]  # fmt: skip
    best = max(result.scores, key=result.mean)
    tested = len(next(iter(result.scores.values()))["model"])
    return paragraphs(
        f"{result.protocol}, {len(result.folds)} folds, {tested} subjects tested. {SEEN.get(result.protocol, '')}",
        table(head, rows),
        ceilings_text({name: result.mean(best, name) for name in result.scores[best]}),
        "Models compared by subject (Wilcoxon's signed ranks, two-sided):" if pairs else "",
        table(("pair", "median difference", "subjects won", "p", "least p"), pairs) if pairs else "",
        *(f"Left out: {variant}: {reason}" for variant, reason in result.left_out.items()),
    )


def by_subject(result: Crossvalidation) -> str:
    """Return markdown table: a row per subject; each model's score, and the same with shuffled EEG."""
    head = ["subject", *(name for variant in result.scores for name in (variant, f"{variant}, shuffled EEG"))]
    columns = [of[condition] for of in result.scores.values() for condition in ("model", "shuffled")]
    rows = [[subject, *(f"{column[subject]:+.4f}" for column in columns)] for subject in sorted(columns[0])]
    return table(head, rows)
