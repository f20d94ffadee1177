"""Limits of scores, from their own facts: nothing is said that is not true of the run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from eeg2fmri.baselines import CEILINGS
from eeg2fmri.evaluation import p_number
from eeg2fmri.reporting.words import NAMES, Overall, counted, listed
from eeg2fmri.scoring import LEAST_SUBJECTS
from eeg2fmri.store import SIMULATED, Store

CONFOUNDS = {
    "swapped": "what all subjects have in common, such as a task with the same timing",
    "arousal": "arousal",
    "motion_pulse": "head motion and the pulse",
    "task": "the timing of a task",
}
FEW = 10  # subjects; with fewer a percentile interval is clearly too narrow
OTHERS = (
    "p is about these subjects: it compares the right timing of their EEG with wrong ones. It does not extend to other "
    "subjects."
)


def of_data(store: Store, *, ceiling: bool) -> list[str]:
    """List limits of the data; `ceiling` says whether the best reachable score is known."""
    points = []
    if store.name == SIMULATED:
        points.append("The data are simulated. A score on them says nothing about people.")
        if not ceiling:
            points.append("The store keeps no truth of the simulation, so the best reachable score is not shown.")
    else:
        points.append("The best reachable score of these data is not known. Only a simulator knows one.")
    if store.signal.space == "native":
        points.append("Volumes are in native space. A voxel is not the same place in two subjects.")
    return points


def of_subjects(subjects: int) -> list[str]:
    """List limits of a number of subjects."""
    if subjects < LEAST_SUBJECTS:
        few = "1 subject was scored" if subjects == 1 else f"{subjects} subjects were scored"
        return [f"{few}. An interval over subjects needs {LEAST_SUBJECTS}, so there is none."]
    if subjects < FEW:
        return [f"The interval is over {subjects} subjects. With so few it is too narrow."]
    return []


def of_p(p_value: float, smallest_p: float) -> list[str]:
    """List limits of a p-value."""
    if p_value <= smallest_p:
        return [f"p is as small as this test set allows ({p_number(smallest_p)}). It could be smaller.", OTHERS]
    return [f"No p below {p_number(smallest_p)} can be reached with these recordings.", OTHERS]


def of_baselines(overall: Overall, *, of: str = "the model") -> list[str]:
    """List limits of baselines: those that are absent, and those that a model does not exceed."""
    points = []
    if open_to := [text for name, text in CONFOUNDS.items() if name not in overall]:
        points.append(f"Their baselines are absent, so the score of {of} may come from: {listed(open_to)}.")
    score, without = (overall["model"][name] for name in ("r2_temporal", "r2_temporal_no_global"))
    if better := _better(overall, set(overall) - {"model", "subject_mean", *CEILINGS}):
        points.append(f"These score as much as {of} or more: {listed(better)}.")
    if score > 0 and without < score / 2:
        points.append(
            f"Without the global signal {without:+.4f} of {score:+.4f} is left. Most of the score of {of} is what the "
            f"whole brain has in common."
        )
    return points


def _better(overall: Overall, names: Collection[str]) -> list[str]:
    model = overall["model"]["r2_temporal"]
    return [NAMES[name] for name in overall if name in names and overall[name]["r2_temporal"] >= model]


def of_part(split: str, seen: Sequence[str] = ()) -> list[str]:
    """List limits of the scored part of the split; `seen` are subjects of whom a model knows other sessions."""
    if split == "test" and seen:
        return [f"The model has seen other sessions of {listed(seen)}. New people may score less."]
    if split == "validation":
        return ["These subjects may have chosen the epoch or the penalties, so the scores are too good."]
    if split == "train":
        return ["The model may have been fitted on these recordings, so the scores are too good."]
    return []


def of_pairs(subjects: int, smallest_p: float, pairs: int, level: float) -> list[str]:
    """List limits of comparisons of models."""
    points = []
    if smallest_p >= level:
        points.append(f"{counted(subjects, 'subject')} allow no p of two models below {smallest_p:.2g}.")
    if pairs > 1:
        points.append(f"{pairs} pairs of models are compared, and their p-values are not corrected for that.")
    return points
