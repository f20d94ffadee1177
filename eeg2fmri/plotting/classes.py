"""Classification by several sets of features, beside chance and subject by subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting.canvas import BAD, DATA, LABEL, TICK, new_figure, tidy

_NULL, _GREY = "#CC79A7", "0.45"  # Okabe & Ito (2008), as in the score figure


def classes_figure(
    scores: Mapping[str, float],
    draws: Mapping[str, np.ndarray],
    probabilities: Mapping[str, np.ndarray],
    labels: Sequence[str],
    *,
    chance: float,
    title: str,
) -> Figure:
    """Draw the balanced accuracy of each set of features in its null, and the probability of each subject's own label.

    Parameters
    ----------
    scores
        Set -> balanced accuracy.
    draws
        Set -> the same with permuted labels, (permutations,).
    probabilities
        Set -> probability that held-out subjects get for their own label, (subjects,).
    labels
        Of the subjects; each label has a colour of its own, of the first two.
    chance
        Balanced accuracy of the most frequent label: 1 / number of labels.
    title
        Of the figure.

    Returns
    -------
    Figure
        1200 x 520 pixels.

    Raises
    ------
    FigureError
        If there is no set, or the three do not name the same ones.
    """
    if not scores or not scores.keys() == draws.keys() == probabilities.keys():
        raise FigureError(f"scores of {[*scores]}, draws of {[*draws]}, probabilities of {[*probabilities]}: give one "
                          f"of each set, and at least one set.")  # fmt: skip
    figure = new_figure(12, 5.2, title)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.1)
    left, right = figure.subplots(1, 2)
    _draw_scores(left, scores, draws, chance)
    columns = np.stack([probabilities[name] for name in scores])
    places = np.arange(len(scores))
    names = sorted(set(labels))
    for number, name in enumerate(names):
        own = np.array([label == name for label in labels])
        beside = places + 0.16 * (number - (len(names) - 1) / 2)
        right.plot(beside, columns[:, own], color="0.88", linewidth=0.8, zorder=1)
        x = np.repeat(beside[:, None], own.sum(), axis=1)
        colour = (DATA, BAD)[number] if number < 2 else str(0.2 + 0.5 * number / len(names))
        right.scatter(x, columns[:, own], s=26, color=colour, edgecolors="white", linewidths=0.5, zorder=3, label=name)
    if len(names) == 2:  # above it the own label is predicted; of more labels it may be with less
        right.axhline(chance, color=_GREY, linewidth=1.2, linestyle=":", zorder=2)
    right.set_xticks(places, [*scores])
    right.set_xlim(-0.6, len(scores) - 0.4)
    right.set_ylim(-0.02, 1.02)
    right.set_ylabel("probability of the subject's own label", fontsize=LABEL)
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=4, frameon=False, fontsize=TICK)
    for axes in (left, right):
        tidy(axes)
    return figure


def _draw_scores(axes: Axes, scores: Mapping[str, float], draws: Mapping[str, np.ndarray], chance: float) -> None:
    for place, (name, score) in enumerate(scores.items()):
        low, middle, high = np.quantile(draws[name], (0.025, 0.5, 0.975))
        axes.bar(
            place,
            high - low,
            0.5,
            low,
            color=_NULL,
            alpha=0.35,
            label=None if place else "permuted labels: median, 95 %",
        )
        axes.hlines(middle, place - 0.25, place + 0.25, color=_NULL, linewidth=2)
        axes.scatter(place, score, s=90, color=DATA, edgecolors="white", zorder=3,
                     label=None if place else "true labels")  # fmt: skip
    axes.axhline(chance, color=_GREY, linewidth=1.2, linestyle=":", label="most frequent label")
    axes.set_xticks(range(len(scores)), [*scores])
    axes.set_xlim(-0.6, len(scores) - 0.4)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("balanced accuracy", fontsize=LABEL)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False, fontsize=TICK,
                columnspacing=1.0, handletextpad=0.5)  # fmt: skip
