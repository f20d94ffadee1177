"""Scores per region beside chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting.axial import NOTE
from eeg2fmri.plotting.canvas import DATA, LABEL, TICK, TITLE, new_figure

MOST_NAMED = 60  # regions; more are not named
ROW, EDGES, LEAST = 0.26, 1.9, 4.0  # inches: a region, title and axis, the least height
_NULL, _GREY = "#CC79A7", "0.55"  # Okabe & Ito (2008), as in the score figure


def regions_figure(table: pd.DataFrame, *, level: float, title: str, notes: Sequence[str] = ()) -> Figure:
    """Draw Pearson's r of every region beside chance, one panel per kind of series.

    Regions are sorted by r of the first kind. A band is 95 % of r with shuffled EEG, a dot the model's r with its
    interval over subjects; it is filled where q is below `level`.

    Parameters
    ----------
    table
        from `evaluation.region_scores`
    level
        false-discovery rate
    title
        of the model; how many regions of how many follows, for the first kind
    notes
        written into the corner

    Returns
    -------
    Figure
        1400 pixels wide, 26 per region high; at most as high as for 60 regions, more are not named.

    Raises
    ------
    FigureError
        If the table is empty.
    """
    if table.empty:
        raise FigureError("table is empty: expected at least one region.")
    kinds = list(dict.fromkeys(table["series"]))
    parts = [table[table["series"] == kind].set_index("index") for kind in kinds]
    order = parts[0]["r"].sort_values(kind="stable").index
    named = len(order) <= MOST_NAMED
    height = max(EDGES + ROW * min(len(order), MOST_NAMED), LEAST)
    figure = new_figure(14, height, "")
    figure.set_layout_engine("constrained", rect=(0, 0.3 / height, 1, 1 - 0.3 / height))
    significant = int((parts[0]["q"] < level).sum())
    figure.suptitle(f"{title}: {significant:,} of {len(order):,} regions at q < {level:g}", fontsize=TITLE)
    panels = figure.subplots(1, len(kinds), sharey=True, sharex=True, squeeze=False)[0]
    for axes, kind, part in zip(panels, kinds, parts, strict=True):
        _draw(axes, part.loc[order], level)
        axes.set_title(kind, fontsize=LABEL)
        axes.set_xlabel("Pearson's r", fontsize=TICK)
    panels[0].set_yticks(range(len(order)) if named else [], list(parts[0].loc[order, "region"]) if named else [],
                         fontsize=TICK - 2)  # fmt: skip
    panels[0].set_ylim(-0.7, len(order) - 0.3)
    if not named:
        panels[0].set_ylabel(f"{len(order)} regions, sorted by r", fontsize=TICK)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False,
                  fontsize=TICK)  # fmt: skip
    if notes:
        figure.text(0.005, 0.02 / height, "; ".join(notes), fontsize=NOTE, color="0.35", ha="left", va="bottom")
    return figure


def _draw(axes: Axes, part: pd.DataFrame, level: float) -> None:
    """Draw one kind of series."""
    places = np.arange(len(part))
    r, null, spread = (part[name].to_numpy(float) for name in ("r", "r_null", "r_null_sd"))
    axes.barh(places, 2 * 1.96 * spread, left=null - 1.96 * spread, height=0.7, color=_NULL, alpha=0.35,
              label="shuffled EEG, 95 %")  # fmt: skip
    axes.axvline(0, color=_GREY, linewidth=1.2, linestyle=":")
    ends = part[["r_low", "r_high"]].to_numpy(float)
    if np.isfinite(ends).all():
        axes.hlines(places, *ends.T, color=DATA, linewidth=1.6, label="95 % interval over subjects")
    found = (part["q"] < level).to_numpy()
    for which, face, label in ((found, DATA, f"q < {level:g}"), (~found, "white", "not significant")):
        axes.scatter(r[which], places[which], s=36, color=face, edgecolors=DATA, zorder=3, label=label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK - 2)
