"""Numbers over epochs, and scores with their nulls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting.canvas import LABEL, TICK, new_figure, tidy

History = Mapping[str, Sequence[float]]
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]

PANELS = {
    "loss": "loss",
    "mae": "mean absolute error",
    "unexplained": "share of fluctuations unexplained",
    "cosine": "cosine distance of the latents",
    "r2_temporal": "temporal R² (mean volume: 0)",
}
# Colours of Okabe & Ito (2008), distinct for colour-blind readers; markers make them distinct in grey.
_LINES = {"train": ("#0072B2", "o", "training"), "val": ("#D55E00", "s", "validation")}
_CONDITIONS = {"model": "#0072B2", "mean_volume": "#7F7F7F", "shuffled": "#CC79A7"}
SHORT_NAMES = {  # of conditions; the others are called as they are
    "mean_volume": "mean volume",
    "shuffled": "shuffled EEG",
    "swapped": "swapped EEG",
    "motion_pulse": "motion, pulse",
    "subject_mean": "subject's mean",
    "given_amplitudes": "given amplitudes",
    "best_reachable": "best reachable",
}
_OTHER = "#009E73"
_LOWER_IS_BETTER = {"rmse", "mae"}
_ZERO = "0.55"


def learning_curves(
    history: History, *, title: str = "", monitor: str = "val/r2_temporal", first_epoch: int = 1
) -> Figure:
    """Draw loss, error, unexplained share, cosine and temporal R² over epochs, one panel each, the best epoch marked.

    Parameters
    ----------
    history
        One value per epoch under ``train/…`` and ``val/…``: ``loss``, ``mae``, ``unexplained``, ``cosine``,
        ``r2_temporal``. Any may be missing, and other keys are not drawn. NaN leaves a gap.
    monitor
        Key whose best epoch is marked in every panel: the highest value of an ``r2_temporal``, the
        lowest of anything else. No epoch is marked if `history` lacks it.
    first_epoch
        Number of the first epoch: 0 if it is the start, before any step.

    Returns
    -------
    Figure
        Up to 1200 x 800 pixels.

    Raises
    ------
    FigureError
        If none of the keys is in `history`.
    """
    panels = [name for name in PANELS if any(history.get(f"{split}/{name}") for split in _LINES)]
    if not panels:
        raise FigureError(f"history has the keys {sorted(history)}: expected train/loss, val/loss or the like.")
    best = _best_epoch(history.get(monitor, ()), first_epoch, highest=monitor.endswith("r2_temporal"))
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(6.0 * columns, 3.6 * rows + 0.8, title)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    for i, name in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1)
        _draw_panel(axes, name, history, first_epoch, best)
        if i >= len(panels) - columns:
            axes.set_xlabel("epoch", fontsize=LABEL)
    _draw_legend(figure)
    return figure


def score_figure(scores: Scores, *, title: str = "") -> Figure:
    """Draw every score of a model beside its nulls and baselines: a panel per score, a dot per subject.

    Each condition has a row. A thin line joins the dots of a subject, a bar is the mean over subjects, a dotted
    line the model's mean, and an arrow in the panel's title says which direction is better.

    Parameters
    ----------
    scores
        Score -> condition (``model``, ``mean_volume``, ``shuffled``, …), the same ones of every score -> subject
        -> value. A subject missing from a condition, or NaN, has no dot there.

    Returns
    -------
    Figure
        Up to 1070 pixels wide; a row of three panels is 130 and 34 for each condition high.

    Raises
    ------
    FigureError
        If `scores` is empty.
    """
    if not scores:
        raise FigureError("scores is empty: give at least one score.")
    columns = min(3, len(scores))
    rows = math.ceil(len(scores) / columns)
    height = 1.3 + 0.34 * max(len(conditions) for conditions in scores.values())
    figure = new_figure(3.1 * columns + 1.4, height * rows + 0.5, title)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.1)
    for i, (name, conditions) in enumerate(scores.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        _draw_score(axes, conditions, named=i % columns == 0)
        arrow = "↓" if name in _LOWER_IS_BETTER else "↑"
        axes.set_title(f"{name} {arrow}", fontsize=LABEL)
    return figure


def _best_epoch(values: Sequence[float], first: int, *, highest: bool) -> int | None:
    """Return the epoch, counted from `first`, of the best value; the first one on a tie."""
    series = np.asarray(values, float)
    if not np.isfinite(series).any():
        return None
    return first + int(np.nanargmax(series) if highest else np.nanargmin(series))


def _draw_panel(axes: Axes, name: str, history: History, first: int, best: int | None) -> None:
    if name == "r2_temporal":
        axes.axhline(0, color=_ZERO, linewidth=1.2, linestyle=":")
    if best is not None:
        axes.axvline(best, color="black", linewidth=1.2, linestyle="--", label=f"best epoch: {best}")
    for split, (colour, marker, label) in _LINES.items():
        values = history.get(f"{split}/{name}", ())
        if len(values):
            epochs = np.arange(first, first + len(values))
            axes.plot(epochs, values, color=colour, marker=marker, markersize=5, linewidth=2, label=label)
    axes.set_title(PANELS[name], fontsize=LABEL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.06, y=0.12)
    tidy(axes)


def _draw_legend(figure: Figure) -> None:
    """Draw one legend for all panels, under them."""
    entries: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    labels = sorted(entries, key=lambda label: label.startswith("best"))
    handles = [entries[label] for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=LABEL)


def _draw_score(axes: Axes, conditions: Mapping[str, Mapping[str, float]], *, named: bool) -> None:
    """Return one panel; its rows are `named` where it stands at the left edge."""
    subjects = sorted({subject for values in conditions.values() for subject in values})
    table = np.array([[values.get(subject, np.nan) for values in conditions.values()] for subject in subjects]).reshape(
        len(subjects), len(conditions)
    )
    places = np.arange(len(conditions))
    axes.plot(table.T, places, color="0.8", linewidth=1, zorder=1)
    for place, condition in enumerate(conditions):
        values = table[np.isfinite(table[:, place]), place]
        colour = _CONDITIONS.get(condition, _OTHER)
        axes.scatter(values, np.full(len(values), place), s=42, color=colour, edgecolors="white", zorder=3)
        if len(values):
            axes.vlines(values.mean(), place - 0.3, place + 0.3, color=colour, linewidth=3, zorder=2)
        if len(values) and condition == "model":
            axes.axvline(values.mean(), color=colour, linewidth=1.2, linestyle=":", zorder=0)
    low, high = axes.get_xlim()
    if low <= 0 <= high:
        axes.axvline(0, color=_ZERO, linewidth=1.2, linestyle=":", zorder=0)
    axes.set_yticks(places, [SHORT_NAMES.get(condition, condition) if named else "" for condition in conditions])
    axes.set_ylim(len(conditions) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="x", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
