"""Figures of what a network does with its EEG: shares of its fluctuations by channel and frequency, and its attention.

C channels, F frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._heads import FEWEST_ELECTRODES, electrodes
from eeg2fmri.plotting._scale import DIVERGING, SEQUENTIAL
from eeg2fmri.plotting.canvas import DATA, LABEL, TICK, new_figure

MOST_EDGES = 40
_SMALL = 7
_TICKS = 8

Table = NDArray[np.floating]


def shares_figure(shares: Table, channels: Sequence[str], frequencies: Sequence[float], *, title: str = "") -> Figure:
    """Draw which channel at which frequency makes the synthesised fluctuations.

    Parameters
    ----------
    shares
        (C, F), sum 1; negative where a part counters others
    channels
        (C,) names
    frequencies
        (F,) Hz

    Returns
    -------
    Figure
        1400 x 900 pixels.

    Raises
    ------
    FigureError
        If the shape does not fit, or a value is not finite.
    """
    _check(shares, (len(channels), len(frequencies)), "shares")
    figure = new_figure(14, 9, title)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    axes = figure.add_subplot()
    limit = float(np.abs(shares).max()) or 1.0
    image = axes.imshow(shares, aspect="auto", cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest")
    _name(axes, channels)
    every = max(1, len(frequencies) // _TICKS)
    places = range(0, len(frequencies), every)
    axes.set_xticks(places, [f"{frequencies[i]:.1f}" for i in places], fontsize=TICK)
    axes.set_xlabel("Hz", fontsize=LABEL)
    _bar(figure, axes, image, "share of the synthesised fluctuations")
    return figure


def attention_figure(attention: Table, channels: Sequence[str], *, title: str = "") -> Figure:
    """Draw how much of each channel goes into each one, as a table and as a graph on the head.

    In the graph, a dot is as large as what the channel gives to all others, and the strongest links are drawn.
    Channels whose names are not positions of the 10-05 system are only in the table; with fewer than four positions
    there is no graph.

    Parameters
    ----------
    attention
        (C, C), of the column's channel into the row's; rows of sum 1
    channels
        (C,) names

    Returns
    -------
    Figure
        1400 x 700 pixels.

    Raises
    ------
    FigureError
        If the shape does not fit, or a value is not finite.
    """
    _check(attention, (len(channels), len(channels)), "attention")
    figure = new_figure(14, 7, title)
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    table, head = figure.subplots(1, 2)
    image = table.imshow(attention, cmap=SEQUENTIAL, vmin=0, interpolation="nearest")
    _name(table, channels)
    table.set_xticks(range(len(channels)), channels, fontsize=_size(channels), rotation=90)
    table.set_xlabel("from channel", fontsize=LABEL)
    table.set_ylabel("into channel", fontsize=LABEL)
    _bar(figure, table, image, "attention")
    _draw_graph(head, attention, channels)
    return figure


def _draw_graph(axes: Axes, attention: Table, channels: Sequence[str]) -> None:
    axes.set_axis_off()
    known, info = electrodes(channels)
    if len(known) < FEWEST_ELECTRODES:
        return
    import mne

    layout = mne.channels.make_eeg_layout(info)
    places = layout.pos[:, :2] + layout.pos[:, 2:] / 2
    places = places - places.mean(axis=0)
    links = attention[np.ix_(known, known)] * (1 - np.eye(len(known)))
    strongest = np.argsort(links, axis=None)[::-1][:MOST_EDGES]
    most = float(links.max()) or 1.0
    for into, source in zip(*np.unravel_index(strongest, links.shape), strict=True):
        if strength := links[into, source] / most:
            line = places[[source, into]].T
            axes.plot(*line, color=DATA, alpha=0.15 + 0.7 * strength, linewidth=0.5 + 3 * strength, zorder=1)
    given = links.sum(axis=0)
    sizes = 150 + 450 * given / (given.max() or 1.0)
    axes.scatter(places[:, 0], places[:, 1], sizes, color="white", edgecolors="black", zorder=2)
    for place, row in zip(places, known, strict=True):
        axes.annotate(channels[row], place, ha="center", va="center", fontsize=_SMALL, zorder=3)
    radius = 1.08 * float(np.linalg.norm(places, axis=1).max())
    axes.add_patch(Circle((0, 0), radius, fill=False, color="0.4"))
    axes.plot([-0.08 * radius, 0, 0.08 * radius], [radius, 1.08 * radius, radius], color="0.4", linewidth=1)
    axes.set_aspect("equal")
    axes.set_title("Strongest links, and what each channel gives to others", fontsize=LABEL)


def _check(table: Table, shape: tuple[int, int], name: str) -> None:
    if table.shape != shape or not table.size:
        raise FigureError(f"{name} has shape {table.shape}: expected {shape}, none 0.")
    if not np.isfinite(table).all():
        raise FigureError(f"{name} holds NaN or infinite values: only finite ones can be drawn.")


def _size(channels: Sequence[str]) -> float:
    return TICK if len(channels) < 30 else _SMALL


def _name(axes: Axes, channels: Sequence[str]) -> None:
    axes.set_yticks(range(len(channels)), channels, fontsize=_size(channels))
    axes.tick_params(length=0)


def _bar(figure: Figure, axes: Axes, image: ScalarMappable, label: str) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label(label, fontsize=TICK)
    bar.ax.tick_params(labelsize=TICK)
