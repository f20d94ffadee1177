"""Courses over the time of a run: spectrogram, markers, and global signals of the brain."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eeg2fmri.plotting._page import FD_MM, ROUNDING, Array, QualityPage
from eeg2fmri.plotting._spectral import draw_spectrogram, power_density, power_label
from eeg2fmri.plotting.canvas import BAD, DATA, LABEL, TICK

_GREY = "0.55"


def draw_courses(
    figure: Figure, page: QualityPage, channel: str | None, edges: tuple[float, ...], bottom: float
) -> None:
    """Draw everything that has a course over one time axis, from top to bottom.

    Parameters
    ----------
    edges : shares of the figure's width: left and right of the panels, left and width of the colour bar.
    bottom : share of its height.
    """
    left, right, bar, thick = edges
    known = len(page.displacement) > 0
    grid = figure.add_gridspec(5 if known else 4, 1, left=left, right=right, top=0.885, bottom=bottom,
                               hspace=0.62 if known else 0.5,
                               height_ratios=(1.9, 1, 1, 1, 1)[: 5 if known else 4])  # fmt: skip
    spectrogram = figure.add_subplot(grid[0])
    _draw_spectrogram(figure, spectrogram, page, channel, (bar, thick))
    others = [figure.add_subplot(grid[row], sharex=spectrogram) for row in range(1, grid.nrows)]
    _draw_markers(others[0], page)
    _draw_global_signal(others[1], page)
    _draw_dvars(others[2], page)
    if known:
        _draw_displacement(others[3], page)
    others[-1].set_xlabel("time from the first volume (s)", fontsize=LABEL)
    spectrogram.set_xlim(0, page.start + page.tr * len(page.global_signal))
    for upper in (spectrogram, *others[:-1]):
        upper.tick_params(labelbottom=False)
    figure.align_ylabels([spectrogram, *others])


def tidy(axes: Axes, grid: Literal["both", "y"] = "y") -> None:
    """Remove everything that is no data, and draw a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis=grid, color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_spectrogram(
    figure: Figure, axes: Axes, page: QualityPage, channel: str | None, bar: tuple[float, float]
) -> None:
    edges = page.start + page.tr * np.arange(len(page.spectrogram) + 1)
    whose = list(page.channels).index(channel) if channel else slice(None)
    power = power_density(page.spectrogram[:, whose], page.tr)
    mesh = draw_spectrogram(axes, power if channel else np.median(power, axis=1), edges, page.frequencies)
    axes.set_ylabel("Hz", fontsize=LABEL)
    _head(axes, f"EEG spectrogram, {channel or 'median over channels'}")
    place = axes.get_position()
    drawn = figure.colorbar(mesh, cax=figure.add_axes((bar[0], place.y0, bar[1], place.height)), extend="both")
    drawn.set_label(power_label(page.unit), fontsize=TICK)
    drawn.ax.tick_params(labelsize=TICK)
    axes.tick_params(labelsize=TICK)


def _draw_markers(axes: Axes, page: QualityPage) -> None:
    """Draw deviations of the intervals over a band of one sample; those beyond it are coloured."""
    _head(axes, "Volume markers: interval − TR")
    axes.set_ylabel("ms", fontsize=LABEL)
    if not len(page.marker_times) and not len(page.missing_times):
        axes.text(0.5, 0.5, "no volume markers", transform=axes.transAxes, ha="center", va="center",
                  fontsize=LABEL, color=_GREY)  # fmt: skip
        tidy(axes)
        axes.set_yticks([])
        return
    axes.axhspan(-page.sample_ms, page.sample_ms, color="0.93", linewidth=0, label="± one sample")
    axes.axhline(0, color=_GREY, linewidth=1)
    beyond = np.abs(page.marker_deviation) > ROUNDING * page.sample_ms
    axes.plot(page.marker_times[~beyond], page.marker_deviation[~beyond], ".", color=DATA, markersize=5)
    if beyond.any():
        axes.plot(page.marker_times[beyond], page.marker_deviation[beyond], ".", color=BAD, markersize=8,
                  label=f"{beyond.sum()} beyond")  # fmt: skip
    if len(page.missing_times):
        axes.plot(page.missing_times, np.zeros(len(page.missing_times)), "x", color=BAD, markersize=8,
                  markeredgewidth=2, label=f"{len(page.missing_times)} missing")  # fmt: skip
    reach = max(1.0, 1.5 * page.sample_ms, 1.15 * float(np.abs(page.marker_deviation).max(initial=0)))
    axes.set_ylim(-reach, reach)
    _legend(axes)
    tidy(axes)


def _draw_global_signal(axes: Axes, page: QualityPage) -> None:
    mean = float(page.global_signal.mean()) or 1.0
    _head(axes, "Global BOLD signal")
    axes.plot(_times(page), 100 * (page.global_signal / mean - 1), color=DATA, linewidth=1.2)
    axes.set_ylabel("%", fontsize=LABEL)
    tidy(axes)


def _draw_dvars(axes: Axes, page: QualityPage) -> None:
    """Draw the change from volume to volume by its typical value, with the outliers."""
    _head(axes, "DVARS (change from volume to volume)")
    _draw_change(axes, page, page.dvars)
    times = _times(page)[1:]
    if page.outliers.any():
        axes.plot(times[page.outliers], page.dvars[page.outliers], "o", color=BAD, markersize=5, zorder=3,
                  label=f"{page.outliers.sum()} outlier{'s' if page.outliers.sum() > 1 else ''}")  # fmt: skip
        _legend(axes)
    axes.set_ylabel("relative", fontsize=LABEL)
    axes.set_ylim(0, max(2.0, 1.15 * float(page.dvars.max(initial=0))))


def _draw_displacement(axes: Axes, page: QualityPage) -> None:
    _head(axes, "Framewise displacement")
    axes.axhline(FD_MM, color=_GREY, linewidth=1, linestyle="--", label=f"{FD_MM} mm")
    _draw_change(axes, page, page.displacement)
    beyond = page.displacement > FD_MM
    axes.plot(_times(page)[1:][beyond], page.displacement[beyond], "o", color=BAD, markersize=5, zorder=3)
    axes.set_ylabel("mm", fontsize=LABEL)
    axes.set_ylim(0, max(0.6, 1.15 * float(page.displacement.max())))
    _legend(axes)


def _draw_change(axes: Axes, page: QualityPage, values: Array) -> None:
    axes.plot(_times(page)[1:], values, color=DATA, linewidth=1.2)
    tidy(axes)


def _times(page: QualityPage) -> Array:
    return page.start + page.tr * np.arange(len(page.global_signal))


def _head(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=TICK + 1, loc="left", pad=4)


def _legend(axes: Axes) -> None:
    """Draw the legend beside the title, away from the data."""
    axes.legend(fontsize=TICK - 1, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.93), borderpad=0, ncols=3,
                handletextpad=0.3, columnspacing=1.2)  # fmt: skip
