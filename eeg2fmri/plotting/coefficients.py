"""Coefficients of a linear model: the strength of each channel and band, and the place of the effect.

C channels, B bands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._scale import DIVERGING, SEQUENTIAL, Volume, check_volume, make_scale
from eeg2fmri.plotting.canvas import LABEL, TICK, new_figure

Weights = NDArray[np.floating]
FEWEST_ELECTRODES = 4  # fewer make no map of the scalp
_MOST_SLICES = 8
_LEFT, _RIGHT, _BAR, _THICK = 0.075, 0.88, 0.895, 0.012  # shares of the figure's width
_FRAME = "0.78"


def coefficient_figure(
    strength: Weights,
    weights: Weights,
    component: Volume,
    channels: Sequence[str],
    bands: Sequence[str],
    *,
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
    known, info = _electrodes(channels)
    heads = len(known) >= FEWEST_ELECTRODES
    figure = new_figure(14, 10.4 if heads else 7.0, title)
    top = _draw_strength(figure, strength.T, channels, bands, 0.75)
    if heads:
        top = _draw_heads(figure, weights[known].T, info, bands, top)
    _draw_component(figure, component, top)
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


def _draw_component(figure: Figure, component: Volume, top: float) -> None:
    heading = "The component that is predicted most strongly, in the brain"
    bottom, height = _panel(figure, heading, top, 0.65, 1.85)
    scale = make_scale(component, True, 0, (-1, 1), None)
    every = math.ceil(component.shape[2] / _MOST_SLICES)
    slices = range(every // 2, component.shape[2], every)
    width = (_RIGHT - 0.02) / len(slices)
    for number, z in enumerate(slices):
        axes = figure.add_axes((0.02 + number * width, bottom, width * 0.96, height))
        axes.imshow(component[:, :, z].T, origin="lower", interpolation="nearest", norm=scale.norm, cmap=scale.colours)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(_FRAME)
        axes.set_title(f"z = {z}", fontsize=LABEL, pad=3)
    _bar(figure, (bottom, height), scale.mappable, "share of its peak")


def _bar(figure: Figure, place: tuple[float, float], shades: ScalarMappable, label: str) -> None:
    """Draw a colour bar beside a panel; `place` is its bottom and height."""
    bottom, height = place
    bar = figure.colorbar(shades, cax=figure.add_axes((_BAR, bottom, _THICK, height)))
    bar.set_label(label, fontsize=TICK)
    bar.ax.tick_params(labelsize=TICK)
    digits = ScalarFormatter(useMathText=True)
    digits.set_powerlimits((-2, 3))
    bar.ax.yaxis.set_major_formatter(digits)
    bar.ax.yaxis.offsetText.set_fontsize(TICK)
    bar.ax.yaxis.set_offset_position("left")


def _electrodes(channels: Sequence[str]) -> tuple[list[int], Any]:
    """Return which channels have a place in the 10-05 system, and MNE's description of these."""
    import mne

    # The montage's name changes with MNE 1.13.
    named = mne.channels.get_builtin_montages()
    montage = mne.channels.make_standard_montage("colin27_1005" if "colin27_1005" in named else "standard_1005")
    spelling = {name.lower(): name for name in montage.ch_names}
    known = [index for index, name in enumerate(channels) if name.lower() in spelling]
    info = mne.create_info([spelling[channels[index].lower()] for index in known], 1.0, "eeg")
    return known, info.set_montage(montage)
