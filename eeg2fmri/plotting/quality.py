"""Quality control: one page per recording."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._courses import draw_courses, tidy
from eeg2fmri.plotting._page import Array, QualityPage
from eeg2fmri.plotting._scale import SEQUENTIAL, Scale, check_volume, draw_bar
from eeg2fmri.plotting.axial import Axial, Layer, draw_slice, note_sides
from eeg2fmri.plotting.canvas import BAD, DATA, LABEL, TICK, TITLE, new_figure

FACTS_WIDTH = 165  # characters
BOTTOM = 0.445  # of the part above the slices
_SLICES = 10
_LEFT, _MIDDLE, _RIGHT = 0.06, 0.53, 0.925  # shares of the page's width: spectra, then time courses
_BAR, _THICK = 0.935, 0.009
_SLICE_TOPS, _SLICE_HEIGHT, _GAP = (0.365, 0.185), 0.165, 0.03


def quality_page(page: QualityPage, *, channel: str | None = None) -> Figure:
    """Draw the page of one recording.

    Above, power spectra before and after cleaning, and over time the spectrogram, the deviation of
    the volume markers' intervals from the TR, the global signal, DVARS with its outliers and, if it is known, the
    framewise displacement; below, axial slices of the mean BOLD volume and of the temporal signal-to-noise ratio.

    Parameters
    ----------
    channel
        Channel of the spectrogram; by default the median over channels, which a dead one does not change.

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
    whole = "  ·  ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in page.facts)
    facts = textwrap.fill(whole, FACTS_WIDTH, break_on_hyphens=False).replace("\N{NO-BREAK SPACE}", " ")
    figure.text(_LEFT, 0.977, page.name, fontsize=TITLE + 2, fontweight="bold", va="center")
    figure.text(_LEFT, 0.96, facts, fontsize=TICK, color="0.3", va="top", linespacing=1.3)
    _draw_spectra(figure, page)
    draw_courses(figure, page, channel, (_MIDDLE, _RIGHT, _BAR, _THICK), BOTTOM)
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
        "dvars": (len(page.global_signal) - 1,),
        "outliers": page.dvars.shape,
        "displacement": page.dvars.shape if len(page.displacement) else (0,),
        "temporal_snr": page.mean_volume.shape,
        "mask": page.mean_volume.shape,
    }
    for name, shape in expected.items():
        if (found := getattr(page, name).shape) != shape or (0 in shape and name.startswith("spectr")):
            raise FigureError(f"{page.name}: {name} has shape {found}, expected {shape}, none 0.")
    check_volume(page.mean_volume, f"{page.name}: mean_volume")
    check_volume(page.temporal_snr, f"{page.name}: temporal_snr")


def _draw_spectra(figure: Figure, page: QualityPage) -> None:
    """Draw power spectra before and after cleaning, or one panel if nothing was cleaned."""
    cleaned = not np.array_equal(page.spectrum_before, page.spectrum_after)
    panels = {"EEG before cleaning": page.spectrum_before, "EEG after cleaning": page.spectrum_after}
    if not cleaned:
        panels = {"EEG (nothing cleaned)": page.spectrum_before}
    grid = figure.add_gridspec(1, len(panels), left=_LEFT, right=0.44, top=0.885, bottom=BOTTOM, wspace=0.06)
    first, limits = None, _log_limits(*panels.values(), lines=1 + len(_broken_by_reason(page)))
    for column, (heading, spectrum) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[0, column], sharey=first)
        _draw_spectrum(axes, page, spectrum)
        if column == len(panels) - 1:
            axes.legend(fontsize=TICK - 1, frameon=False, loc="upper right")
        axes.set_ylim(limits)
        axes.set_yscale("log")
        axes.set_title(heading, fontsize=LABEL, loc="left")
        if first is None:
            axes.set_ylabel("power (µV²/Hz)", fontsize=LABEL)
            first = axes
        else:
            axes.tick_params(labelleft=False)


def _draw_spectrum(axes: Axes, page: QualityPage, spectrum: Array) -> None:
    """Draw one faint line per channel, the median channel in bold, broken channels by name."""
    frequencies = page.spectrum_frequencies[1:]  # not the mean level
    drawn = np.where(spectrum > 0, spectrum, np.nan)[:, 1:]
    good = page.broken == ""
    axes.plot(frequencies, drawn[good].T, color=DATA, linewidth=0.6, alpha=0.25)
    if not good.all():
        axes.plot(frequencies, drawn[~good].T, color=BAD, linewidth=0.8, alpha=0.8)
    for reason, names in _broken_by_reason(page).items():
        label = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        axes.plot([], [], color=BAD, linewidth=1.5, label=f"{reason}: {label}")
    axes.plot(frequencies, np.median(spectrum[:, 1:], axis=0), color="black", linewidth=2, label="median channel")
    axes.set_xlim(0, frequencies[-1])
    axes.set_xlabel("frequency (Hz)", fontsize=LABEL)
    tidy(axes, "both")


def _broken_by_reason(page: QualityPage) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in zip(page.channels, page.broken, strict=True):
        if reason:
            reasons.setdefault(reason, []).append(name)
    return reasons


def _log_limits(*spectra: Array, lines: int) -> tuple[float, float]:
    """Return limits that hold all but the quietest values, with room for a legend of some lines above."""
    values = np.concatenate([spectrum[:, 1:].ravel() for spectrum in spectra])
    values = values[values > 0]
    if not len(values):
        return 0.1, 1.0
    low, high = float(np.percentile(values, 0.5)) / 2, float(values.max()) * 2
    return low, high * (high / low) ** (0.06 + 0.06 * lines)


def _draw_volumes(figure: Figure, page: QualityPage) -> None:
    """Draw a row of slices of the mean volume, and one of the temporal signal-to-noise ratio in the brain."""
    inside = page.mask if page.mask.any() else np.ones_like(page.mask)
    brightest = float(np.percentile(page.mean_volume, 99.8))
    mean = Scale(0.0, brightest or 1.0, 0, False, "gray")
    snr = Scale(0.0, float(np.percentile(page.temporal_snr[inside], 99)) or 1.0, 0, False, SEQUENTIAL)
    rows = (
        ("Mean BOLD", np.ma.masked_array(page.mean_volume), mean, "intensity"),
        ("Temporal SNR", np.ma.masked_array(page.temporal_snr, ~inside), snr, "mean / SD"),
    )
    axial = Axial.of(page.mask.shape, page.affine, page.mask)
    slices = axial.spread(_SLICES)
    height = _row_height(len(slices), axial.aspect, figure.get_figwidth() / figure.get_figheight())
    for (heading, drawn, scale, unit), top in zip(rows, _SLICE_TOPS, strict=True):
        grid = figure.add_gridspec(1, len(slices), left=_LEFT, right=_RIGHT, bottom=top - height, top=top, wspace=_GAP)
        for column, z in enumerate(slices):
            axes = figure.add_subplot(grid[0, column])
            draw_slice(axes, axial, z, Layer(drawn, scale), label=top == _SLICE_TOPS[0], sides=column == 0)
            if column == 0:
                axes.set_ylabel(heading, fontsize=LABEL)
        draw_bar(figure, (_BAR, top - height, _THICK, height), scale, unit, drawn)
    note_sides(figure, axial)


def _row_height(columns: int, aspect: float, page: float) -> float:
    """Return share of the page's height that a row of slices fills, which its colour bar then has too.

    Both aspects are widths by heights: of a slice, and of the page.
    """
    width = (_RIGHT - _LEFT) / (columns + _GAP * (columns - 1)) * page
    return min(_SLICE_HEIGHT, width / aspect)
