"""One colour scale for several volumes: its range, its blank part, and its bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting.canvas import LABEL, TICK

Volume = NDArray[np.floating]
Limits = tuple[float, float]

THRESHOLD = 0.37
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"  # both safe for colour-blind readers
_SHADES = 512


@dataclass(frozen=True)
class Scale:
    """One colour scale: its range, the part of it left blank, and its colours."""

    low: float
    high: float
    threshold: float
    signed: bool
    cmap: str

    @property
    def norm(self) -> Normalize:
        """The range in matplotlib's form."""
        return Normalize(self.low, self.high)

    @property
    def colours(self) -> Colormap:
        """Colours over the whole range, transparent in the blank part."""
        edges = np.linspace(-1 if self.signed else 0, 1, _SHADES + 1)
        blank = np.maximum(abs(edges[:-1]), abs(edges[1:])) <= self.threshold
        shade = np.linspace(0, 1, _SHADES)
        if not self.signed:  # all colours belong to the part that is drawn
            shade = np.clip((shade - self.threshold) / (1 - self.threshold), 0, 1)
        colours = colormaps[self.cmap](shade)
        colours[blank, 3] = 0
        return ListedColormap(colours).with_extremes(bad=(0, 0, 0, 0))

    @property
    def mappable(self) -> ScalarMappable:
        """The range and colours together, for a colour bar or for single colours."""
        return ScalarMappable(self.norm, self.colours)

    def blanked(self, volume: Volume) -> np.ma.MaskedArray:
        """Mask the voxels that are left blank."""
        size, base = (np.abs(volume), 0.0) if self.signed else (volume, self.low)
        return np.ma.masked_array(volume, (size - base) / (self.high - base) < self.threshold)


def check_volume(volume: Volume, name: str) -> None:
    """Refuse a volume that is not three-dimensional and finite."""
    if volume.ndim != 3 or not volume.size:
        raise FigureError(f"{name} has shape {volume.shape}: expected (x, y, z), none 0.")
    if not np.isfinite(volume).all():
        raise FigureError(f"{name} holds NaN or infinite values: only finite ones can be drawn.")


def make_scale(volume: Volume, signed: bool, threshold: float, limits: Limits | None, cmap: str | None) -> Scale:
    """Resolve the colour scale; a range of zero width is widened by a half on both sides."""
    if not 0 <= threshold < 1:
        raise FigureError(f"threshold={threshold}: expected a share of the range, 0 <= threshold < 1.")
    if limits is None:
        low, high = float(volume.min()), float(volume.max())
        if signed:
            high = max(-low, high)
            low = -high
        if low == high:
            low, high = low - 0.5, high + 0.5
    else:
        low, high = limits
    if not low < high or (signed and low != -high):
        rule = "-a, a with a > 0 for a signed volume" if signed else "low < high"
        raise FigureError(f"limits={limits}: expected {rule}.")
    return Scale(low, high, threshold, signed, cmap or (DIVERGING if signed else SEQUENTIAL))


def draw_bar(
    figure: FigureBase, place: tuple[float, float, float, float], scale: Scale, label: str, *volumes: Volume,
    beneath: str = "white",
) -> None:  # fmt: skip
    """Draw the scale's bar, with a pointed end where a value of `volumes` lies beyond it.

    `beneath` is the colour of its blank part: of what is seen where `volumes` are blank.
    """
    below = (scale.signed or not scale.threshold) and any(volume.min() < scale.low for volume in volumes)
    above = any(volume.max() > scale.high for volume in volumes)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    bar = figure.colorbar(scale.mappable, cax=figure.add_axes(place), extend=extend[below, above])
    bar.ax.set_facecolor(beneath)
    bar.set_label(label, fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICK)
