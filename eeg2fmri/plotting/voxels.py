"""Voxels that a model follows over time: those beyond the false-discovery rate, in colour over the anatomy."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._scale import Volume, check_volume, draw_bar, make_scale
from eeg2fmri.plotting.axial import ANATOMY_COLOUR, Affine, Axial, draw_overlay, note_sides
from eeg2fmri.plotting.canvas import TITLE, new_figure

Mask = NDArray[np.bool_]
COLUMNS, ROWS = 7, 2
_COLOURS = "plasma"  # only positive correlations are significant, so no diverging scale
_LEAST_LIMIT = 0.3  # as in the dynamics figure


def voxels_figure(
    correlation: Volume,
    significant: Mask,
    mask: Mask,
    background: Volume,
    *,
    level: float,
    title: str,
    affine: Affine | None = None,
) -> Figure:
    """Draw a map of correlations over time, significant voxels only, on the grey anatomy.

    Parameters
    ----------
    correlation
        (x, y, z), Pearson's r over time
    significant
        (x, y, z) bool, the voxels that are drawn in colour
    mask
        (x, y, z) bool, the voxels that were tested
    background
        (x, y, z), drawn in grey
    level
        false-discovery rate of `significant`
    title
        of the model; how many voxels of how many follows
    affine
        (4, 4), voxels to mm; without it slices are counted

    Returns
    -------
    Figure
        1400 x 560 pixels.

    Raises
    ------
    FigureError
        If a volume is not three-dimensional and finite, or a voxel is significant that was not tested.
    """
    check_volume(correlation, "correlation")
    check_volume(background, "background")
    if (significant & ~mask).any():
        raise FigureError("significant holds voxels outside mask: only voxels that were tested can be significant.")
    figure = new_figure(14, 5.6, "")
    figure.text(0.5, 0.95, f"{title}: {significant.sum():,} of {mask.sum():,} voxels at q < {level:g}", fontsize=TITLE,
                ha="center", va="center")  # fmt: skip
    strongest = float(correlation[significant].max(initial=0))
    scale = make_scale(correlation, False, 0, (0, max(_LEAST_LIMIT, math.ceil(10 * strongest) / 10)), _COLOURS)
    axial = Axial.of(correlation.shape, affine, mask)
    shown = axial.spread(COLUMNS * ROWS)
    grid = GridSpec(ROWS, COLUMNS, figure, left=0.02, right=0.9, top=0.86, bottom=0.04, wspace=0.03, hspace=0.16)
    for place, z in enumerate(shown):
        axes = figure.add_subplot(grid[place])
        draw_overlay(axes, axial, z, background, np.ma.masked_where(~significant, correlation), scale, sides=place == 0)
    draw_bar(figure, (0.915, 0.1, 0.012, 0.7), scale, "r over time", beneath=ANATOMY_COLOUR)
    note_sides(figure, axial)
    return figure
