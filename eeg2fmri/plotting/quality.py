"""Quality control: one page a recording.

C channels, S frequencies of the spectra, F of the spectrogram, W windows, V volumes, M volume markers.
Times are seconds after BOLD time zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._scale import SEQUENTIAL, Scale, check_volume, draw_bar
from eeg2fmri.plotting._spectral import draw_spectrogram, power_density, power_label
from eeg2fmri.plotting.canvas import BAD, DATA, LABEL, TICK, TITLE, new_figure
from eeg2fmri.plotting.slices import draw_slice, slice_label

Array = NDArray[np.floating]

_GREY = "0.55"
_SLICES = 10
_LEFT, _MIDDLE, _RIGHT = 0.06, 0.53, 0.925  # shares of the page's width: spectra, then time courses
_BAR, _THICK = 0.935, 0.009
_SLICE_TOPS, _SLICE_HEIGHT, _GAP = (0.365, 0.185), 0.165, 0.03


@dataclass(frozen=True)
class QualityPage:
    """What a recording's page shows.

    name, facts: the title, and what stands beneath it.
    channels: (C,) names.  broken: (C,) bool, drawn apart.
    spectrum_frequencies: (S,) Hz.  spectrum_before, spectrum_after: (C, S) µV²/Hz; equal if nothing was cleaned.
    spectrogram: (W, C, F) magnitude in `unit` over windows of `tr` s, from `start` on.  frequencies: (F,) Hz.
    marker_times, marker_deviation: (M - 1,) of the second marker on; s, and ms from a whole number of TRs.
    missing_times: of volumes without a marker.
    mean_volume, temporal_snr: (x, y, z).  mask: (x, y, z) bool.
    global_signal: (V,) mean intensity in the brain, one a TR from `start` on.
    """

    name: str
    facts: Sequence[str]
    tr: float
    start: float
    channels: Sequence[str]
    broken: NDArray[np.bool_]
    spectrum_frequencies: Array
    spectrum_before: Array
    spectrum_after: Array
    unit: str
    spectrogram: Array
    frequencies: Array
    marker_times: Array
    marker_deviation: Array
    missing_times: Array
    mean_volume: Array
    temporal_snr: Array
    mask: NDArray[np.bool_]
    global_signal: Array


def quality_page(page: QualityPage, *, channel: str | None = None) -> Figure:
    """Draw the page of one recording.

    Above, power spectra before and after cleaning, and over time the spectrogram, the deviation of
    the volume markers' intervals from the TR, and the global signal; below, axial slices of the mean
    BOLD volume and of the temporal signal-to-noise ratio.

    Parameters
    ----------
    channel
        Whose spectrogram is drawn; by default the median over channels, which a dead one does not move.

    Returns
    -------
    Figure
        1600 x 1000 pixels.

    Raises
    ------
    FigureError
        If there is no such channel, arrays do not fit together, or a volume is not finite.
    """
    _check(page, channel)
    figure = new_figure(16, 10, "")
    figure.text(_LEFT, 0.967, page.name, fontsize=TITLE + 2, fontweight="bold", va="center")
    figure.text(_LEFT, 0.937, "  ·  ".join(page.facts), fontsize=TICK, color="0.3", va="center")
    _draw_spectra(figure, page)
    _draw_time_courses(figure, page, channel)
    _draw_volumes(figure, page)
    return figure


def _check(page: QualityPage, channel: str | None) -> None:
    if channel is not None and channel not in page.channels:
        raise FigureError(f"{page.name}: no channel {channel!r}; it has {', '.join(page.channels)}.")
    expected = {
        "spectrum_before": (len(page.channels), len(page.spectrum_frequencies)),
        "spectrum_after": (len(page.channels), len(page.spectrum_frequencies)),
        "broken": (len(page.channels),),
        "spectrogram": (len(page.spectrogram), len(page.channels), len(page.frequencies)),
        "marker_deviation": page.marker_times.shape,
        "temporal_snr": page.mean_volume.shape,
        "mask": page.mean_volume.shape,
    }
    for name, shape in expected.items():
        if (found := getattr(page, name).shape) != shape or (0 in shape and name.startswith("spectr")):
            raise FigureError(f"{page.name}: {name} has shape {found}, expected {shape}, none 0.")
    check_volume(page.mean_volume, f"{page.name}: mean_volume")
    check_volume(page.temporal_snr, f"{page.name}: temporal_snr")


def _draw_spectra(figure: Figure, page: QualityPage) -> None:
    """Power spectra before and after cleaning, or one panel where nothing was cleaned."""
    cleaned = not np.array_equal(page.spectrum_before, page.spectrum_after)
    panels = {"EEG before cleaning": page.spectrum_before, "EEG after cleaning": page.spectrum_after}
    if not cleaned:
        panels = {"EEG (nothing cleaned)": page.spectrum_before}
    grid = figure.add_gridspec(1, len(panels), left=_LEFT, right=0.44, top=0.885, bottom=0.47, wspace=0.06)
    first, limits = None, _log_limits(*panels.values())
    for column, (heading, spectrum) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[0, column], sharey=first)
        _draw_spectrum(axes, page, spectrum)
        axes.set_ylim(limits)
        axes.set_yscale("log")
        axes.set_title(heading, fontsize=LABEL, loc="left")
        if first is None:
            axes.set_ylabel("power (µV²/Hz)", fontsize=LABEL)
            first = axes
        else:
            axes.tick_params(labelleft=False)


def _draw_spectrum(axes: Axes, page: QualityPage, spectrum: Array) -> None:
    """One faint line a channel, the median channel in bold, broken channels by name."""
    frequencies = page.spectrum_frequencies[1:]  # not the mean level
    drawn = np.where(spectrum > 0, spectrum, np.nan)[:, 1:]
    good = ~page.broken
    axes.plot(frequencies, drawn[good].T, color=DATA, linewidth=0.6, alpha=0.25)
    if page.broken.any():
        axes.plot(frequencies, drawn[page.broken].T, color=BAD, linewidth=0.8, alpha=0.8)
        names = [name for name, bad in zip(page.channels, page.broken, strict=True) if bad]
        label = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        axes.plot([], [], color=BAD, linewidth=1.5, label=f"broken: {label}")
    axes.plot(frequencies, np.median(spectrum[:, 1:], axis=0), color="black", linewidth=2, label="median channel")
    axes.set_xlim(0, frequencies[-1])
    axes.set_xlabel("frequency (Hz)", fontsize=LABEL)
    axes.legend(fontsize=TICK - 1, frameon=False, loc="upper right")
    _tidy(axes, "both")


def _log_limits(*spectra: Array) -> tuple[float, float]:
    """Limits that hold all but the quietest values, with room for a legend above."""
    values = np.concatenate([spectrum[:, 1:].ravel() for spectrum in spectra])
    values = values[values > 0]
    if not len(values):
        return 0.1, 1.0
    low, high = float(np.percentile(values, 0.5)) / 2, float(values.max()) * 2
    return low, high * (high / low) ** 0.16


def _draw_time_courses(figure: Figure, page: QualityPage, channel: str | None) -> None:
    """Spectrogram, volume markers and global signal over one time axis."""
    grid = figure.add_gridspec(3, 1, left=_MIDDLE, right=_RIGHT, top=0.885, bottom=0.47, hspace=0.42,
                               height_ratios=(2.2, 1, 1))  # fmt: skip
    edges = page.start + page.tr * np.arange(len(page.spectrogram) + 1)
    axes = figure.add_subplot(grid[0])
    whose = list(page.channels).index(channel) if channel else slice(None)
    power = power_density(page.spectrogram[:, whose], page.tr)
    mesh = draw_spectrogram(axes, power if channel else np.median(power, axis=1), edges, page.frequencies)
    axes.set_ylabel("Hz", fontsize=LABEL)
    axes.set_title(f"EEG spectrogram, {channel or 'median over channels'}", fontsize=LABEL, loc="left")
    place = axes.get_position()
    bar = figure.colorbar(mesh, cax=figure.add_axes((_BAR, place.y0, _THICK, place.height)), extend="both")
    bar.set_label(power_label(page.unit), fontsize=TICK)
    bar.ax.tick_params(labelsize=TICK)
    axes.tick_params(labelsize=TICK)
    markers = figure.add_subplot(grid[1], sharex=axes)
    _draw_markers(markers, page)
    course = figure.add_subplot(grid[2], sharex=axes)
    times = page.start + page.tr * np.arange(len(page.global_signal))
    mean = float(page.global_signal.mean()) or 1.0
    course.plot(times, 100 * (page.global_signal / mean - 1), color=DATA, linewidth=1.2)
    course.set_title("Global BOLD signal", fontsize=LABEL, loc="left")
    course.set_ylabel("% change", fontsize=LABEL)
    course.set_xlabel("time from the first volume (s)", fontsize=LABEL)
    _tidy(course)
    end = page.start + page.tr * len(page.global_signal)
    axes.set_xlim(0, end)
    for upper in (axes, markers):
        upper.tick_params(labelbottom=False)
    figure.align_ylabels([axes, markers, course])


def _draw_markers(axes: Axes, page: QualityPage) -> None:
    axes.set_title("Volume markers: interval − TR", fontsize=LABEL, loc="left")
    axes.set_ylabel("ms", fontsize=LABEL)
    if not len(page.marker_times) and not len(page.missing_times):
        axes.text(0.5, 0.5, "no volume markers", transform=axes.transAxes, ha="center", va="center",
                  fontsize=LABEL, color=_GREY)  # fmt: skip
        axes.set_yticks([])
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.plot(page.marker_times, page.marker_deviation, ".", color=DATA, markersize=5)
    if len(page.missing_times):
        axes.plot(page.missing_times, np.zeros(len(page.missing_times)), "x", color=BAD, markersize=8,
                  markeredgewidth=2, label=f"{len(page.missing_times)} missing")  # fmt: skip
        axes.legend(fontsize=TICK - 1, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.93), borderpad=0,
                    handletextpad=0.2)  # fmt: skip
    reach = max(1.0, 1.15 * float(np.abs(page.marker_deviation).max(initial=0)))
    axes.set_ylim(-reach, reach)
    _tidy(axes)


def _draw_volumes(figure: Figure, page: QualityPage) -> None:
    """A row of slices of the mean volume, and one of the temporal signal-to-noise ratio in the brain."""
    inside = page.mask if page.mask.any() else np.ones_like(page.mask)
    brightest = float(np.percentile(page.mean_volume, 99.8))
    mean = Scale(0.0, brightest or 1.0, 0, False, "gray")
    snr = Scale(0.0, float(np.percentile(page.temporal_snr[inside], 99)) or 1.0, 0, False, SEQUENTIAL)
    rows = (
        ("Mean BOLD", np.ma.masked_array(page.mean_volume), mean, "intensity"),
        ("Temporal SNR", np.ma.masked_array(page.temporal_snr, ~inside), snr, "mean / SD"),
    )
    slices = _slices(page.mask)
    for (heading, drawn, scale, unit), top in zip(rows, _SLICE_TOPS, strict=True):
        height = _row_height(len(slices), page.mask.shape, figure.get_figwidth() / figure.get_figheight())
        grid = figure.add_gridspec(1, len(slices), left=_LEFT, right=_RIGHT, bottom=top - height, top=top, wspace=_GAP)
        for column, z in enumerate(slices):
            axes = figure.add_subplot(grid[0, column])
            draw_slice(axes, drawn, z, scale, slice_label(z) if top == _SLICE_TOPS[0] else "")
            if column == 0:
                axes.set_ylabel(heading, fontsize=LABEL)
        draw_bar(figure, (_BAR, top - height, _THICK, height), scale, unit, drawn)


def _row_height(columns: int, grid: tuple[int, ...], aspect: float) -> float:
    """Share of the page's height that a row of slices fills, which its colour bar then has too."""
    width = (_RIGHT - _LEFT) / (columns + _GAP * (columns - 1)) * aspect
    return min(_SLICE_HEIGHT, width * grid[1] / grid[0])


def _slices(mask: NDArray[np.bool_]) -> list[int]:
    """Up to ten slices, evenly spaced over those that hold brain (all, where none does)."""
    held = np.flatnonzero(mask.any(axis=(0, 1)))
    low, high = (held[0], held[-1]) if len(held) else (0, mask.shape[2] - 1)
    return sorted({round(float(z)) for z in np.linspace(low, high, _SLICES)})


def _tidy(axes: Axes, grid: Literal["both", "y"] = "y") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis=grid, color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
