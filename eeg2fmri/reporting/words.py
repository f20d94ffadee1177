"""Words for conditions and numbers, the same in descriptions of runs and in reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eeg2fmri.baselines import CEILINGS
from eeg2fmri.evaluation import Comparison
from eeg2fmri.plotting import SHORT_NAMES
from eeg2fmri.scoring import LEAST_SUBJECTS, Significance, strongest_baseline

Overall = Mapping[str, Mapping[str, float]]
SIGNED = ("r2_temporal", "r2_temporal_no_global", "skill", "temporal_correlation", "r2_temporal_raw")
NAMES = {
    "model": "the model",
    "mean_volume": "mean volume of training",
    "shuffled": "the model, EEG of the wrong time",
    "swapped": "the model, EEG of other subjects",
    "arousal": "arousal alone",
    "motion_pulse": "motion and pulse alone",
    "task": "task alone",
    "linear": "the family linear",
    "subject_mean": "the subject's own mean volume",
    "given_amplitudes": "ceiling: given the amplitudes",
    "best_reachable": "ceiling: best reachable",
}


def score_text(name: str, value: float) -> str:
    """Return a score as a cell of a table; with its sign if it may be negative."""
    return f"{value:+z.4f}" if name in SIGNED else f"{value:.4f}"


def ceilings_text(scores: Mapping[str, float]) -> str:
    """Return the ceilings among scores by condition in a sentence; empty for measured data, which have none."""
    found = ", ".join(f"{SHORT_NAMES[name]} {scores[name]:+.4f}" for name in CEILINGS if name in scores)
    return f"Ceilings on these subjects, which the simulator knows: {found}." if found else ""


def beaten_by(overall: Overall) -> str:
    """Say that a baseline explains more than the model, or at least as much; empty if none does."""
    strongest, model = strongest_baseline(overall), overall["model"]["r2_temporal"]
    if strongest is None or strongest[1] < model:
        return ""
    name, score = strongest
    much = "more than" if score > model else "as much as"
    return f"the {name} baseline explains {much} the model ({score:.4f} against {model:.4f})"


def bounds(interval: tuple[float, float] | None) -> str:
    """Return an interval over subjects as a cell of a table."""
    return "{:+.4f} to {:+.4f}".format(*interval) if interval else "–"


def interval_text(significance: Significance) -> str:
    """Return the interval over subjects in words, or why there is none."""
    if significance.interval is None:
        return f"no interval, it needs {LEAST_SUBJECTS} subjects"
    return f"95 % interval over subjects {bounds(significance.interval)}"


def listed(names: Sequence[str]) -> str:
    """Join names in words: a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def counted(number: int, name: str) -> str:
    """Return a number with its noun, which gets an s unless the number is 1."""
    return f"{number:,} {name}{'s' * (number != 1)}"


def paired(one: str, other: str, found: Comparison, level: float) -> str:
    """Say whether one of two models is better on the same subjects; differences are `one` minus `other`."""
    first, second, won = one, other, found.won
    if found.median_difference < 0:
        first, second, won = other, one, found.lost
    facts = (
        f"it scores more on {won} of {found.subjects} subjects, median difference {abs(found.median_difference):+.4f}, "
    )
    facts += f"p = {found.p_value:.3g}"
    if found.p_value < level:
        return f"{first} is better than {second} ({facts})"
    if found.smallest_p >= level:
        facts += f", and so few subjects allow no p below {found.smallest_p:.2g}"
    return f"{first} is not better than {second} by more than chance ({facts})"
