"""Coefficients of a linear model: the strength of each channel and band, and the place of the effect.

C channels, B bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._heads import FEWEST_ELECTRODES, electrodes
from eeg2fmri.plotting._scale import DIVERGING, SEQUENTIAL, Volume, check_volume, make_scale
from eeg2fmri.plotting.axial import ANATOMY_COLOUR, Affine, Axial, Mask, draw_overlay, note_sides
from eeg2fmri.plotting.canvas import LABEL, TICK, new_figure

Weights = NDArray[np.floating]
_MOST_SLICES = 8
_LEFT, _RIGHT, _BAR, _THICK = 0.075, 0.88, 0.895, 0.012  # shares of the figure's width
_BLANK = 0.15  # of its peak: less shows the anatomy


def coefficient_figure(
    strength: Weights,
    weights: Weights,
    component: Volume,
    channels: Sequence[str],
    bands: Sequence[str],
    *,
    anatomy: Volume,
    affine: Affine | None = None,
    mask: Mask | None = None,
    title: str = "",
) -> Figure:
    """Draw coefficients per channel and band, and the component that is predicted most strongly.

    From top to bottom: the strength of every channel and band; the signed weights for one component
    on the scalp, a head per band; that component in the brain. Channels without a position in the 10-05 system are left
    out of the heads; with fewer than four positions there are no heads.

    Parameters
    ----------
    strength
        (C, B), at least 0: BOLD fluctuation (root mean square over the brain, standardised) per
        standard deviation of log power
    weights
        (C, B): signed change of BOLD at the component's peak (standardised) per standard deviation
        of log power
    component
        (x, y, z), as a share of its peak
    channels, bands
        Names of the rows and columns of `strength` and `weights`
    anatomy
        (x, y, z): the mean volume, drawn in grey under the component
    affine
        (4, 4), voxels to mm in RAS+, as in `slice_figure`
    mask
        (x, y, z) bool, the brain: the slices end around it

    Returns
    -------
    Figure
        1400 pixels wide, 1040 high; 700 without heads.

    Raises
    ------
    FigureError
        If the shapes do not fit the names, or a value is not finite.
    """
    for name, values in (("strength", strength), ("weights", weights)):
        if values.shape != (len(channels), len(bands)) or not values.size:
            raise FigureError(f"{name} has shape {values.shape}: expected ({len(channels)}, {len(bands)}), none 0.")
        if not np.isfinite(values).all():
            raise FigureError(f"{name} holds NaN or infinite values: only finite ones can be drawn.")
    check_volume(component, "component")
    check_volume(anatomy, "anatomy")
    if anatomy.shape != component.shape:
        raise FigureError(f"anatomy has shape {anatomy.shape}, the component {component.shape}: draw equal ones.")
    known, info = electrodes(channels)
    heads = len(known) >= FEWEST_ELECTRODES
    figure = new_figure(14, 10.4 if heads else 7.0, title)
    top = _draw_strength(figure, strength.T, channels, bands, 0.75)
    if heads:
        top = _draw_heads(figure, weights[known].T, info, bands, top)
    axial = Axial.of(component.shape, affine, mask)
    _draw_component(figure, axial, anatomy, component, top)
    return figure


def _panel(figure: Figure, heading: str, top: float, above: float, height: float) -> tuple[float, float]:
    """Write a heading `top` inches below the figure's upper edge; return bottom and height of the panel below it.

    `height` in inches; the result in shares of the figure's height.
    """
    whole = figure.get_figheight()
    figure.text(0.02, 1 - top / whole, heading, fontsize=LABEL, va="top")
    return 1 - (top + above + height) / whole, height / whole


def _draw_strength(
    figure: Figure, strength: Weights, channels: Sequence[str], bands: Sequence[str], top: float
) -> float:
    heading = "Strength of each channel and band, all components"
    bottom, height = _panel(figure, heading, top, 0.35, 2.2)
    axes = figure.add_axes((_LEFT, bottom, _RIGHT - _LEFT, height))
    norm = Normalize(0, float(strength.max()) or 1)
    axes.imshow(strength, aspect="auto", cmap=SEQUENTIAL, norm=norm, interpolation="nearest")
    axes.set_yticks(range(len(bands)), bands, fontsize=TICK)
    room = (_RIGHT - _LEFT) * figure.get_figwidth() * 72 / len(channels)  # points per column
    axes.set_xticks(range(len(channels)), channels, fontsize=min(TICK, 0.9 * room), rotation=90)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _bar(figure, (bottom, height), ScalarMappable(norm, SEQUENTIAL), "BOLD (standardised)\nper SD of log power")
    return top + 3.4


def _draw_heads(figure: Figure, weights: Weights, info: Any, bands: Sequence[str], top: float) -> float:
    from mne.viz import plot_topomap

    heading = "Weight of each channel for the component that is predicted most strongly"
    bottom, height = _panel(figure, heading, top, 0.65, 2.4)
    limit = float(np.abs(weights).max()) or 1.0
    width = (_RIGHT - 0.02) / len(bands)
    for number, (band, values) in enumerate(zip(bands, weights, strict=True)):
        axes = figure.add_axes((0.02 + number * width, bottom, width * 0.95, height))
        plot_topomap(values, info, axes=axes, show=False, cmap=DIVERGING, vlim=(-limit, limit), contours=0)
        axes.set_title(band, fontsize=LABEL, pad=2)
    shades = ScalarMappable(Normalize(-limit, limit), DIVERGING)
    _bar(figure, (bottom, height), shades, "BOLD (standardised) at\nits peak per SD of log power")
    return top + 3.4


def _draw_component(figure: Figure, axial: Axial, anatomy: Volume, component: Volume, top: float) -> None:
    heading = "The component that is predicted most strongly, in the brain"
    bottom, height = _panel(figure, heading, top, 0.65, 1.85)
    scale = make_scale(component, True, _BLANK, (-1, 1), None)
    slices = axial.spread(_MOST_SLICES)
    width = (_RIGHT - 0.02) / len(slices)
    for number, z in enumerate(slices):
        axes = figure.add_axes((0.02 + number * width, bottom, width * 0.96, height))
        draw_overlay(axes, axial, z, anatomy, component, scale, sides=number == 0)
    _bar(figure, (bottom, height), scale.mappable, "share of its peak", beneath=ANATOMY_COLOUR)
    note_sides(figure, axial)


def _bar(
    figure: Figure, place: tuple[float, float], shades: ScalarMappable, label: str, beneath: str = "white"
) -> None:
    """Return a colour bar beside a panel, `place` its bottom and height."""
    bottom, height = place
    bar = figure.colorbar(shades, cax=figure.add_axes((_BAR, bottom, _THICK, height)))
    bar.ax.set_facecolor(beneath)
    bar.set_label(label, fontsize=TICK)
    bar.ax.tick_params(labelsize=TICK)
    digits = ScalarFormatter(useMathText=True)
    digits.set_powerlimits((-2, 3))
    bar.ax.yaxis.set_major_formatter(digits)
    bar.ax.yaxis.offsetText.set_fontsize(TICK)
    bar.ax.yaxis.set_offset_position("left")
