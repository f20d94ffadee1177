"""Every recording of a dataset beside the others, so that a bad one is easy to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting.canvas import BAD, DATA, LABEL, TICK, new_figure

OUTLIER_SD = 3.5  # robust deviations; Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers
_NORMAL = 1.4826  # standard deviation of a normal distribution per median absolute deviation
_MOST_NAMES = 60
_ROW_IN, _EDGES_IN, _MOST_IN = 0.3, 1.9, 20.0


@dataclass(frozen=True)
class Measure:
    """One number for each recording, in the form of the overview.

    label: its name and unit.  values: (recordings,), NaN if it is not known.
    low_is_bad: for measures that should be high.  least: smaller differences never make an outlier; one for all, or
    one for each.
    """

    label: str
    values: NDArray[np.floating]
    low_is_bad: bool = False
    least: float | NDArray[np.floating] = 0.0

    @property
    def outliers(self) -> NDArray[np.bool_]:
        """Mark values more than 3.5 robust standard deviations from the median on the bad side."""
        known = self.values[np.isfinite(self.values)]
        if not len(known):
            return np.zeros(len(self.values), bool)
        middle = np.median(known)
        spread = _NORMAL * np.median(np.abs(known - middle))
        worse = (middle - self.values) if self.low_is_bad else (self.values - middle)
        return (worse > OUTLIER_SD * spread) & (worse >= self.least)


def overview_figure(recordings: Sequence[str], measures: Sequence[Measure], *, title: str = "") -> Figure:
    """Draw one row per recording and one panel per measure; outliers on the bad side are in colour.

    Parameters
    ----------
    recordings
        Names; if there are more than 60, only those of outliers are drawn.

    Returns
    -------
    Figure
        1600 pixels wide, 30 pixels high per recording, 400 to 2000.

    Raises
    ------
    FigureError
        If there is nothing to draw or the numbers of values differ.
    """
    if not len(recordings) or not measures:
        raise FigureError("nothing to draw: give at least one recording and one measure.")
    for measure in measures:
        if measure.values.shape != (len(recordings),):
            raise FigureError(f"{measure.label} has shape {measure.values.shape}: expected ({len(recordings)},).")
    height = min(max(_ROW_IN * len(recordings) + _EDGES_IN, 4.0), _MOST_IN)
    figure = new_figure(16, height, title)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)
    first: Axes | None = None
    suspects = np.any([measure.outliers for measure in measures], axis=0)
    for column, measure in enumerate(measures):
        axes = figure.add_subplot(1, len(measures), column + 1, sharey=first)
        _draw_measure(axes, measure)
        if first is None:
            first = axes
            _name_rows(axes, recordings, suspects)
        else:
            axes.tick_params(labelleft=False)
    return figure


def _draw_measure(axes: Axes, measure: Measure) -> None:
    places, bad = np.arange(len(measure.values)), measure.outliers
    known = np.isfinite(measure.values)
    if known.any():
        axes.axvline(float(np.median(measure.values[known])), color="0.75", linewidth=1.5, zorder=1)
    axes.scatter(measure.values[~bad], places[~bad], s=48, color=DATA, zorder=3)
    axes.scatter(measure.values[bad], places[bad], s=80, color=BAD, marker="D", zorder=3, clip_on=False)
    (low, high), least = axes.get_xlim(), float(np.max(measure.least))
    if known.any() and high - low < 2 * least:  # small differences are not magnified
        middle = (low + high) / 2
        axes.set_xlim(middle - least, middle + least)
    if known.any() and measure.values[known].min() >= 0 and (axes.get_xlim()[0] < 0 or not measure.low_is_bad):
        axes.set_xlim(left=-0.04 * axes.get_xlim()[1])
    if not known.any():
        axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center", fontsize=LABEL, color="0.55")
        axes.set_xticks([])
    axes.set_title(measure.label, fontsize=LABEL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    whole = bool((measure.values[known] % 1 == 0).all())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=whole))
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def _name_rows(axes: Axes, recordings: Sequence[str], suspects: NDArray[np.bool_]) -> None:
    """Write names from top to bottom; those of recordings with an outlier in colour."""
    named = [i for i in range(len(recordings)) if len(recordings) <= _MOST_NAMES or suspects[i]]
    axes.set_yticks(named, [recordings[i] for i in named], fontsize=TICK)
    for i, label in zip(named, axes.get_yticklabels(), strict=True):
        if suspects[i]:
            label.set_color(BAD)
            label.set_fontweight("bold")
    axes.set_ylim(len(recordings) - 0.4, -0.6)
