"""Figures without pyplot: no display, no global state, safe in any thread."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

DPI = 100
TITLE, LABEL, TICK = 17, 14, 12  # points; 12 are 12 pixels high in a 1400 px figure shown 1000 px wide
DATA, BAD = "#0072B2", "#D55E00"  # Okabe & Ito (2008), distinct for colour-blind readers


def new_figure(width: float, height: float, title: str) -> Figure:
    """Make a white figure of `width` x `height` inches with a title on top (none if empty)."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=TITLE)
    return figure


def tidy(axes: Axes) -> None:
    """Draw axes without a frame, over a few pale lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def figure_to_rgb(figure: Figure) -> NDArray[np.uint8]:
    """Draw a figure into pixels, for ``mlflow.log_image``.

    Parameters
    ----------
    figure
        Any figure; its size in inches times its dpi gives the size in pixels.

    Returns
    -------
    ndarray of uint8, (height, width, 3)
        Red, green, blue; the first row is the top one.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def figure_to_png(figure: Figure) -> bytes:
    """Draw a figure into the content of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
