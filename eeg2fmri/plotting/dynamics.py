"""Dynamics of a model: where its series follow the measured ones, how they do, and whether that is chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eeg2fmri.plotting._courses import tidy
from eeg2fmri.plotting._scale import DIVERGING, Scale, Volume, check_volume, make_scale
from eeg2fmri.plotting.axial import Affine, Axial, draw_overlay, note_sides
from eeg2fmri.plotting.canvas import BAD, DATA, LABEL, TICK, TITLE, new_figure

Course = NDArray[np.floating]
Mask = NDArray[np.bool_]
_SLICES = 7
_BLANK = 0.25  # of the limit: a weaker correlation shows the anatomy
_LEAST_LIMIT = 0.3  # correlations of chance must look pale
_SHUFFLED, _CEILING, _GREY = "#CC79A7", "#009E73", "0.55"  # Okabe & Ito (2008), as in the score figure
_MOST_NAMES = 12  # subjects whose names fit on an axis


@dataclass(frozen=True)
class ScoreEvidence:
    """The deciding score beside chance and what is possible.

    draws: (n,) scores with shuffled EEG.  observed: the model's own.  p_text: p-value in words.
    model, shuffled: score by subject.  ceilings: name and score by subject, empty where none is known.
    """

    draws: Course
    observed: float
    p_text: str
    model: Mapping[str, float]
    shuffled: Mapping[str, float]
    ceilings: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class DynamicsPage:
    """Content of the figure.

    correlation: (x, y, z) Pearson's r over time.  background: (x, y, z), drawn in grey.  mask: (x, y, z) bool.
    region: (x, y, z) bool, outlined; ``None`` for none.  courses: (2, n) measured and synthesised mean of the
    region, one a `tr` (s); ``None`` for none.  courses_title: what they are of, or why there are none.
    evidence: two more panels; ``None`` leaves them out.  affine: (4, 4), voxels to mm; without it slices are counted.
    """

    title: str
    correlation: Volume
    background: Volume
    mask: Mask
    region: Mask | None
    courses: Course | None
    courses_title: str
    tr: float
    evidence: ScoreEvidence | None = None
    affine: Affine | None = None


def dynamics_figure(page: DynamicsPage) -> Figure:
    """Draw a model's dynamics.

    From top to bottom: the map of the temporal correlation of measured and synthesised series over the mean volume,
    with the region outlined; the region's courses; and, with `page.evidence`, the score in its null distribution and
    the score of every subject beside its null, the mean volume (0) and the ceilings.

    Returns
    -------
    Figure
        1400 x 930 pixels, or 1400 x 540 without evidence.

    Raises
    ------
    FigureError
        If a volume is not three-dimensional and finite.
    """
    check_volume(page.correlation, "correlation")
    check_volume(page.background, "background")
    height = 9.3 if page.evidence else 5.4
    figure = new_figure(14, height, "")
    figure.text(0.5, 1 - 0.3 / height, page.title, fontsize=TITLE, ha="center", va="center")
    edges = 1 - np.array([0.85, 2.65, 3.3, 4.7, 6.1, 8.7]) / height  # tops and bottoms of the panels, in inches
    _draw_map(figure, page, edges[0], edges[1])
    _draw_courses(figure.add_axes((0.08, edges[3], 0.89, edges[2] - edges[3])), page)
    if page.evidence:
        grid = figure.add_gridspec(1, 2, left=0.08, right=0.97, top=edges[4], bottom=edges[5], wspace=0.2)
        _draw_null(figure.add_subplot(grid[0]), page.evidence)
        _draw_subjects(figure.add_subplot(grid[1]), page.evidence)
    return figure


def correlation_scale(correlation: Volume, mask: Mask) -> Scale:
    """Return the colours of a map of correlations: those of chance are left blank or pale."""
    limit = max(_LEAST_LIMIT, math.ceil(10 * float(np.percentile(np.abs(correlation[mask]), 99.5))) / 10)
    return make_scale(correlation, True, _BLANK, (-limit, limit), None)


def _draw_map(figure: Figure, page: DynamicsPage, top: float, bottom: float) -> None:
    """Draw axial slices through the brain, evenly spaced, with one colour bar."""
    axial = Axial.of(page.correlation.shape, page.affine, page.mask)
    scale = correlation_scale(page.correlation, page.mask)
    inside = np.ma.masked_where(~page.mask, page.correlation)
    shown = axial.spread(_SLICES)
    grid = GridSpec(1, len(shown), figure, left=0.02, right=0.915, top=top, bottom=bottom, wspace=0.03)
    for place, z in enumerate(shown):
        axes = figure.add_subplot(grid[place])
        draw_overlay(axes, axial, z, page.background, inside, scale, sides=place == 0)
        _outline(axes, axial, z, page.region)
    note_sides(figure, axial)
    bar = figure.colorbar(
        ScalarMappable(scale.norm, DIVERGING),
        cax=figure.add_axes((0.925, bottom, 0.01, top - bottom)),
    )
    bar.set_label("r over time", fontsize=TICK)
    bar.ax.tick_params(labelsize=TICK - 1)


def _outline(axes: Axes, axial: Axial, z: int, region: Mask | None) -> None:
    """Draw the border of the region in a slice."""
    if region is None or not (part := axial.upright(region)[:, :, z]).any():
        return
    x, y = ((np.arange(n) + 0.5) * size for n, size in zip(part.shape, axial.sizes[:2], strict=True))
    axes.contour(x, y, part.T.astype(float), levels=[0.5], colors="#F0E442", linewidths=1.4)


def _draw_courses(axes: Axes, page: DynamicsPage) -> None:
    axes.set_title(page.courses_title, fontsize=LABEL, loc="left")
    tidy(axes)
    if page.courses is None:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_facecolor("0.96")
        axes.text(
            0.5, 0.5, "no courses", transform=axes.transAxes, ha="center", va="center", fontsize=LABEL, color=_GREY
        )
        return
    measured, synthesised = page.courses
    seconds = page.tr * np.arange(len(measured))
    axes.axhline(0, color=_GREY, linewidth=1, linestyle=":")
    axes.plot(seconds, measured, color="0.25", linewidth=1.3, label="measured")
    axes.plot(seconds, synthesised, color=DATA, linewidth=2, label="synthesised")
    axes.set_xlim(0, seconds[-1])
    axes.set_xlabel("time (s)", fontsize=TICK)
    axes.set_ylabel("change (SD)", fontsize=TICK)
    _legend(axes, "lower right", 1)


def _draw_null(axes: Axes, evidence: ScoreEvidence) -> None:
    """Draw the null as a histogram and the score as a line."""
    axes.set_title(f"Chance: {evidence.p_text}", fontsize=LABEL, loc="left", pad=30)
    name = f"{len(evidence.draws):,} shuffles"
    if np.ptp(evidence.draws):
        axes.hist(evidence.draws, bins=40, color=_SHUFFLED, alpha=0.75, label=name)
    else:
        axes.axvline(float(evidence.draws[0]), color=_SHUFFLED, linewidth=6, label=f"{name}, all alike")
    axes.axvline(evidence.observed, color=DATA if evidence.observed > 0 else BAD, linewidth=3,
                 label=f"model {evidence.observed:+.4f}")  # fmt: skip
    axes.axvline(0, color=_GREY, linewidth=1.4, linestyle=":", label="mean volume 0")
    axes.set_xlabel("r2_temporal, mean over subjects", fontsize=TICK)
    axes.set_ylabel("shuffles", fontsize=TICK)
    axes.margins(x=0.08)
    _legend(axes, "lower left", 0)
    tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))


def _draw_subjects(axes: Axes, evidence: ScoreEvidence) -> None:
    """Draw each subject's score, joined with its null by a thin line."""
    axes.set_title("Each subject", fontsize=LABEL, loc="left", pad=46 if evidence.ceilings else 30)  # above the legend
    names = list(evidence.model)
    places = np.arange(len(names))
    model = np.array([evidence.model[name] for name in names])
    shuffled = np.array([evidence.shuffled[name] for name in names])
    axes.axhline(0, color=_GREY, linewidth=1.4, linestyle=":", label="mean volume 0")
    axes.vlines(places, np.minimum(model, shuffled), np.maximum(model, shuffled), color="0.8", linewidth=1.2)
    axes.scatter(
        places, shuffled, s=60, marker="s", color=_SHUFFLED, edgecolors="white", label="shuffled EEG", zorder=3
    )
    above = model > 0
    axes.scatter(places, model, s=75, color=np.where(above, DATA, BAD), edgecolors="white", zorder=4)
    axes.scatter([], [], s=75, color=DATA if above.any() else BAD, label="model")
    for (label, ceiling), width in zip(evidence.ceilings.items(), (1.2, 2.5), strict=False):
        scores = [ceiling[name] for name in names]
        axes.scatter(places, scores, s=320, marker="_", color=_CEILING, linewidths=width, label=label, zorder=2)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(places, names if len(names) <= _MOST_NAMES else [""] * len(names))
    axes.set_ylabel("r2_temporal", fontsize=TICK)
    axes.margins(y=0.1)
    _legend(axes, "lower left", 0)
    tidy(axes)


def _legend(axes: Axes, place: Literal["lower left", "lower right"], x: float) -> None:
    """Return above the axes, where no data are."""
    axes.legend(fontsize=TICK - 1, frameon=False, loc=place, bbox_to_anchor=(x, 1.0), borderaxespad=0.2, borderpad=0,
                ncols=3, columnspacing=1.2, handletextpad=0.4, handlelength=1.4)  # fmt: skip
