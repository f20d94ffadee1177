"""Limits of an evaluation, from its own facts: nothing is said that is not true of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eeg2fmri.evaluation import p_number
from eeg2fmri.reporting.words import NAMES, counted, listed
from eeg2fmri.scoring import LEAST_SUBJECTS
from eeg2fmri.store import SIMULATED

if TYPE_CHECKING:
    from eeg2fmri.reporting.evaluation import Evaluated

CONFOUNDS = {
    "swapped": "what all subjects have in common, such as a task with the same timing",
    "arousal": "arousal",
    "motion_pulse": "head motion and the pulse",
    "task": "the timing of a task",
}
FEW = 10  # subjects; with fewer a percentile interval is clearly too narrow


def limits(found: Evaluated) -> list[str]:
    """List limits, the weightiest first."""
    return [*_of_data(found), *_of_numbers(found), *_of_baselines(found)]


def _of_data(found: Evaluated) -> list[str]:
    points = []
    if found.store.name == SIMULATED:
        points.append("The data are simulated. A score on them says nothing about people.")
        if not found.best_reachable:
            points.append("The best reachable score was not given to this evaluation, so it is not shown.")
    else:
        points.append("The best reachable score of these data is not known. Only a simulator knows one.")
    if found.split == "validation":
        points.append("These subjects may have chosen the epoch or the penalties, so the scores are too good.")
    if found.split == "train":
        points.append("The model may have been fitted on these recordings, so the scores are too good.")
    if found.scored.signal.space == "native":
        points.append("Volumes are in native space. A voxel is not the same place in two subjects.")
    return points


def _of_numbers(found: Evaluated) -> list[str]:
    sure, subjects, overall = found.scored.significance, len(found.subjects), found.scored.overall
    points = []
    if sure.interval is None:
        few = f"{counted(subjects, 'subject was' if subjects == 1 else 'subject')}{' were' * (subjects != 1)} scored."
        points.append(f"{few} An interval over subjects needs {LEAST_SUBJECTS}, so there is none.")
    elif subjects < FEW:
        points.append(f"The interval is over {subjects} subjects. With so few it is too narrow.")
    if sure.p_value <= sure.smallest_p:
        points.append(f"p is as small as this test set allows ({p_number(sure.smallest_p)}). It could be smaller.")
    else:
        points.append(f"No p below {p_number(sure.smallest_p)} can be reached with these recordings.")
    points.append(
        "p is about these subjects: it compares the right timing of their EEG with wrong ones. It does not extend to "
        "other subjects."
    )
    score, without = (overall["model"][name] for name in ("r2_temporal", "r2_temporal_no_global"))
    if score > 0 and without < score / 2:
        points.append(
            f"Without the global signal {without:+.4f} of {score:+.4f} is left. Most of the score is what the whole "
            f"brain has in common."
        )
    return points


def _of_baselines(found: Evaluated) -> list[str]:
    overall, points = found.scored.overall, []
    open_to = [text for name, text in CONFOUNDS.items() if name not in overall]
    if open_to:
        points.append(f"Their baselines are absent, so the score may come from: {listed(open_to)}.")
    model = overall["model"]["r2_temporal"]
    better = [NAMES[n] for n in overall if n not in ("model", "subject_mean") and overall[n]["r2_temporal"] >= model]
    if better:
        points.append(f"These score as much as the model or more: {listed(better)}.")
    return points
