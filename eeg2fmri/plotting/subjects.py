"""Models side by side, a dot for each subject."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting.canvas import LABEL, TICK, new_figure, tidy

BySubject = Mapping[str, float]
Intervals = Mapping[str, tuple[float, float] | None]
MODEL, SHUFFLED, ZERO = "#0072B2", "#CC79A7", "0.45"  # Okabe & Ito (2008), told apart by colour-blind readers
APART = 0.22  # a model's dots and those of its null, from their common place
MOST_NAMED = 12  # subjects; more are not named


def models_figure(scores: Mapping[str, BySubject], shuffled: Mapping[str, BySubject], intervals: Intervals, *,
                  title: str = "") -> Figure:  # fmt: skip
    """Draw `r2_temporal` of every subject by every model, beside the same with shuffled EEG and the mean volume's 0.

    A thin line joins a subject's dots; a square is the mean over subjects, with its interval.

    Parameters
    ----------
    scores
        Model -> subject -> `r2_temporal`.
    shuffled
        The same with shuffled EEG.
    intervals
        Model -> ends of the interval of its mean; ``None`` where there is none.

    Returns
    -------
    Figure
        220 pixels per model and 200 more wide, 520 high.

    Raises
    ------
    FigureError
        If `scores` is empty, or the three do not name the same models.
    """
    if not scores or not scores.keys() == shuffled.keys() == intervals.keys():
        raise FigureError(f"scores of {[*scores]}, shuffled of {[*shuffled]}, intervals of {[*intervals]}: give one "
                          f"of each model, and at least one model.")  # fmt: skip
    figure = new_figure(max(2.2 * len(scores) + 2, 6), 5.2, title)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    axes = figure.add_subplot()
    axes.axhline(0, color=ZERO, linewidth=1.2, linestyle=":", zorder=0, label="mean volume")
    for place, (model, own) in enumerate(scores.items()):
        columns = [[by[subject] for subject in own] for by in (own, shuffled[model])]
        places = [place - APART, place + APART]
        axes.plot(places, columns, color="0.8", linewidth=1, zorder=1)
        for x, values, colour, label in zip(places, columns, (MODEL, SHUFFLED), ("model", "shuffled EEG"), strict=True):
            axes.scatter([x] * len(values), values, s=36, color=colour, edgecolors="white", zorder=3,
                         label=None if place else f"{label}, a subject")  # fmt: skip
        mean, ends = float(np.mean(columns[0])), intervals[model]
        error = np.abs(np.asarray(ends) - mean)[:, None] if ends else None
        axes.errorbar([place - APART - 0.12], [mean], error, fmt="s", color="black", markersize=6, capsize=4, zorder=4,
                      label=None if place else "mean, 95 % interval")  # fmt: skip
    axes.set_xticks(range(len(scores)), [*scores])
    axes.set_xlim(-0.6, len(scores) - 0.4)
    axes.set_ylabel("r2_temporal", fontsize=LABEL)
    tidy(axes)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=TICK)
    return figure


def pairs_figure(first: BySubject, second: BySubject, names: tuple[str, str], *, title: str = "") -> Figure:
    """Draw a paired comparison: the scores of the same subjects by two models, and their differences.

    Parameters
    ----------
    first, second
        Subject -> `r2_temporal`.
    names
        Of the two models.

    Returns
    -------
    Figure
        980 x 520 pixels.

    Raises
    ------
    FigureError
        If the subjects differ, or there are none.
    """
    if first.keys() != second.keys() or not first:
        raise FigureError(f"subjects {[*first]} and {[*second]}: give scores of the same subjects.")
    subjects = sorted(first, key=lambda subject: first[subject] - second[subject])
    columns = np.array([[by[subject] for subject in subjects] for by in (first, second)])
    figure = new_figure(9.8, 5.2, title)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.1)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    left.plot([0, 1], columns, color="0.8", linewidth=1, zorder=1)
    for place, values in enumerate(columns):
        left.scatter([place] * len(values), values, s=36, color=MODEL, edgecolors="white", zorder=3)
        left.hlines(values.mean(), place - 0.2, place + 0.2, color=MODEL, linewidth=3, zorder=2)
    left.axhline(0, color=ZERO, linewidth=1.2, linestyle=":", zorder=0)
    left.set_xticks([0, 1], names)
    left.set_xlim(-0.5, 1.5)
    left.set_ylabel("r2_temporal", fontsize=LABEL)
    differences = columns[0] - columns[1]
    right.scatter(range(len(subjects)), differences, s=36, color=MODEL, edgecolors="white", zorder=3)
    right.axhline(0, color=ZERO, linewidth=1.2, linestyle=":", zorder=0)
    right.axhline(float(np.median(differences)), color="black", linewidth=1.2, label="median difference")
    right.set_ylabel(f"{names[0]} − {names[1]}", fontsize=LABEL)
    right.set_xlabel("subject, in order of the difference", fontsize=LABEL)
    named = len(subjects) <= MOST_NAMED
    right.set_xticks(range(len(subjects)) if named else [], subjects if named else [], rotation=45, ha="right")
    right.legend(frameon=False, fontsize=TICK)
    for axes in (left, right):
        tidy(axes)
    return figure
