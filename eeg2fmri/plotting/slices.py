"""Volumes as axial slices: the field's slice figure, and measured beside synthesised.

volume  (x, y, z), any size; left is drawn on the left and anterior on top, see `Axial`

In the slice figure every third slice is drawn. A voxel is left blank if its value is below a
threshold of the normalised range, ``(v - low) / (high - low) < threshold``; in a signed volume,
whose range is symmetric about 0, if ``|v| / high < threshold``.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure, FigureBase
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._scale import THRESHOLD, Limits, Scale, Volume, check_volume, draw_bar, make_scale
from eeg2fmri.plotting.axial import (
    ANATOMY_COLOUR,
    CHARACTER,
    CONVENTION,
    NOTE,
    Affine,
    Axial,
    Layer,
    Mask,
    draw_overlay,
    draw_slice,
    note_sides,
)
from eeg2fmri.plotting.canvas import LABEL, TICK, TITLE, new_figure

UNIT_LABEL = "BOLD (standardised)"
CHANGE_LABEL = "change from the mean (standardised)"
SLICE_STEP = 3
_STACK_HEIGHT, _GRID_WIDTH, _GRID_HEIGHT, _ABOVE = 7.0, 7.0, 5.9, 0.3  # of the slice figure; inches
_FINEST_STACK = 64  # voxels per axis of a plane in the stack
_COLUMNS, _WIDTH, _TALLEST = 6, 12.0, 2.3  # of the comparison: slices, inches, inches of a slice
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 0.7, 1.25, 0.85, 0.15, 0.06  # its edges and gaps, inches
_OVERLAY_THRESHOLD = 0.2
_FRAME = "0.78"


def slice_figure(
    volume: Volume,
    *,
    affine: Affine | None = None,
    title: str = "",
    signed: bool = False,
    threshold: float = THRESHOLD,
    limits: Limits | None = None,
    cmap: str | None = None,
    unit_label: str = UNIT_LABEL,
) -> Figure:
    """Draw a volume: its slices stacked in space on the left, every third one in a grid on the right.

    The subject's left is on the left of the figure (neurological convention).

    Parameters
    ----------
    volume
        (x, y, z), finite
    affine
        (4, 4), its voxels to mm in RAS+, as of a NIfTI image. With it, slices have true proportions, z in
        mm, and L and R; without it, the volume is taken to be RAS+ with cubic voxels.
    signed
        For differences: diverging colours, symmetric about 0.
    threshold
        Voxels below this share of the range, 0 … 1, are left blank.
    limits
        Lowest and highest value of the colours and of the normalised range, to share them between
        figures; symmetric if `signed`. By default the volume's own.
    cmap
        A matplotlib colour map; by default ``viridis``, or ``RdBu_r`` if `signed`.
    unit_label
        Quantity on the colour bar, and its unit.

    Returns
    -------
    Figure
        1400 x 700 pixels.

    Raises
    ------
    FigureError
        If `volume` is not three-dimensional and finite, or `affine`, `threshold` or `limits` are not valid.
    """
    check_volume(volume, "volume")
    scale = make_scale(volume, signed, threshold, limits, cmap)
    figure = new_figure(14, 7, title)
    draw_volume(figure, Axial.of(volume.shape, affine), volume, scale, unit_label)
    return figure


def comparison_figure(
    measured: Volume,
    synthesised: Volume,
    anatomy: Volume,
    *,
    affine: Affine | None = None,
    mask: Mask | None = None,
    title: str = "",
    caption: str = "",
    threshold: float = _OVERLAY_THRESHOLD,
    limit: float | None = None,
    unit_label: str = CHANGE_LABEL,
) -> Figure:
    """Draw measured and synthesised activity and their difference, slice by slice over the anatomy.

    All three share one diverging scale. A model that draws anatomy and no activity leaves the middle
    row grey. The subject's left is on the left of the figure (neurological convention).

    Parameters
    ----------
    measured, synthesised
        (x, y, z), finite: change from the mean volume
    anatomy
        (x, y, z), finite: the mean volume, drawn in grey
    affine
        (4, 4), voxels to mm in RAS+, as in `slice_figure`
    mask
        (x, y, z) bool, the brain: what lies outside has no colour, and the slices end around it
    caption
        A line beneath the slices, e.g. how the volume was chosen
    threshold
        Where the change is below this share of `limit`, 0 … 1, the anatomy is seen.
    limit
        Where the colours end; beyond it the outermost colour is drawn. By default the 99.5th percentile
        of the measured change's size, so that the figures of successive epochs can be compared.
    unit_label
        What the colour bar shows, and its unit.

    Returns
    -------
    Figure
        1200 pixels wide, about 800 high.

    Raises
    ------
    FigureError
        If the shapes differ, or a value is not valid as in `slice_figure`.
    """
    for name, volume in (("measured", measured), ("synthesised", synthesised), ("anatomy", anatomy)):
        check_volume(volume, name)
        if volume.shape != measured.shape:
            raise FigureError(f"{name} has shape {volume.shape}, measured {measured.shape}: draw equal ones.")
    axial = Axial.of(measured.shape, affine, mask)
    difference = np.subtract(measured, synthesised, dtype=np.float64)
    inside = np.ones(measured.shape, bool) if mask is None or not mask.any() else mask
    if limit is None:
        limit = float(np.percentile(np.abs(measured[inside]), 99.5)) or 0.5
    scale = make_scale(measured, True, threshold, (-limit, limit), None)
    rows = {"measured": measured, "synthesised": synthesised, "measured −\nsynthesised": difference}
    hidden = {name: np.ma.masked_array(volume, ~inside) for name, volume in rows.items()}
    note = caption if affine is None else f"{caption} {CONVENTION}"
    return _draw_rows(axial, anatomy, hidden, scale, (title, note, unit_label))


def draw_volume(figure: FigureBase, axial: Axial, volume: Volume, scale: Scale, unit_label: str) -> None:
    """Draw stack, grid of slices and colour bar into a figure, or a part of one, twice as wide as high."""
    slices = range(0, axial.shape[2], SLICE_STEP)
    stack = figure.add_axes((-0.035, -0.055, 0.41, 1.02), projection="3d")
    assert isinstance(stack, Axes3D)
    stack.patch.set_visible(False)  # it reaches beyond its part of the figure
    _draw_stack(stack, axial, axial.upright(scale.blanked(volume)), slices, scale)
    columns = _columns(len(slices), _GRID_WIDTH / _GRID_HEIGHT / axial.aspect)
    rows = math.ceil(len(slices) / columns)
    needed = rows * (_GRID_WIDTH / columns / axial.aspect + _ABOVE) / _STACK_HEIGHT  # of the height
    grid = figure.add_gridspec(rows, columns, left=0.40, right=0.90, top=0.88, bottom=max(0.04, 0.88 - needed),
                               wspace=0.03, hspace=0.14)  # fmt: skip
    for i, z in enumerate(slices):
        draw_slice(figure.add_subplot(grid[i // columns, i % columns]), axial, z, Layer(volume, scale), sides=i == 0)
    draw_bar(figure, (0.915, 0.04, 0.014, 0.84), scale, unit_label, volume)
    note_sides(figure, axial)


def _draw_rows(
    axial: Axial, anatomy: Volume, rows: Mapping[str, np.ma.MaskedArray], scale: Scale, texts: tuple[str, str, str]
) -> Figure:
    """Draw a row of slices over the anatomy for each map, by its name; `texts` are title, note and unit."""
    title, note, unit_label = texts
    slices = axial.spread(_COLUMNS)
    width = (_WIDTH - _LEFT - _RIGHT - _GAP * (len(slices) - 1)) / len(slices)
    height = min(_TALLEST, width / axial.aspect)
    width = height * axial.aspect
    across = max(8.0, _LEFT + _RIGHT + len(slices) * (width + _GAP))
    lines = textwrap.wrap(note, int(72 * (across - _LEFT) / (0.8 * CHARACTER * NOTE)))
    below = _BOTTOM + 1.3 * NOTE / 72 * len(lines)
    whole = _TOP + below + 3 * height + 2 * _GAP
    figure = new_figure(across, whole, "")
    size = min(TITLE, 72 * (across - _LEFT) / (CHARACTER * max(len(title), 1)))
    figure.text(_LEFT / across, 1 - 0.15 / whole, title, fontsize=size, va="top")
    for row, (name, activity) in enumerate(rows.items()):
        bottom = (below + (2 - row) * (height + _GAP)) / whole
        for column, z in enumerate(slices):
            left = _LEFT + column * (width + _GAP)
            axes = figure.add_axes((left / across, bottom, width / across, height / whole))
            draw_overlay(axes, axial, z, anatomy, activity, scale, label=row == 0, sides=column == 0)
            if column == 0:
                axes.set_ylabel(name, fontsize=LABEL)
    place = _LEFT + len(slices) * (width + _GAP) + 0.1
    draw_bar(figure, (place / across, below / whole, 0.18 / across, 1 - (_TOP + below) / whole), scale,
             unit_label, *rows.values(), beneath=ANATOMY_COLOUR)  # fmt: skip
    figure.text(_LEFT / across, (below - 0.08) / whole, "\n".join(lines), fontsize=NOTE, color="0.35", va="top")
    return figure


def _columns(cells: int, aspect: float) -> int:
    """Return the columns of the grid with the largest square cells in an area `aspect` times as wide as high."""
    return max(range(1, cells + 1), key=lambda n: (min(aspect / n, 1 / math.ceil(cells / n)), -n))


def _draw_stack(axes: Axes3D, axial: Axial, drawn: np.ma.MaskedArray, slices: range, scale: Scale) -> None:
    """Draw each slice as a framed plane at its height, the higher ones over the lower ones."""
    width, depth = np.multiply(axial.shape[:2], axial.sizes[:2])
    outline = np.array([(0, 0), (width, 0), (width, depth), (0, depth)])
    axes.computed_zorder = False
    for z in slices:
        frame = _at_height(outline[None], z)
        axes.add_collection3d(
            Poly3DCollection(frame, facecolors="none", edgecolors=_FRAME, linewidths=0.7, zorder=2 * z, clip_on=False)
        )
        corners, colours = _voxels(drawn[:, :, z], scale)
        planes = _at_height(corners * axial.sizes[:2], z)
        axes.add_collection3d(
            Poly3DCollection(planes, facecolors=colours, edgecolors=colours, linewidths=0.3, zorder=2 * z + 1)
        )
    axes.set(xlim=(0, width), ylim=(0, depth), zlim=(0, max(slices[-1], 1)))
    side, height = max(width, depth), min(1.9, 0.2 * len(slices))
    axes.set_box_aspect((width / side, depth / side, height), zoom=1.13)
    axes.set_proj_type("ortho")
    axes.view_init(elev=20, azim=-65)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_zticks(list(slices), [axial.height(z) for z in slices], fontsize=TICK)
    for label in axes.get_zticklabels():
        label.set_horizontalalignment("left")
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.pane.set_visible(False)
        axis.line.set_visible(False)
    axes.grid(False)


def _voxels(plane: np.ma.MaskedArray, scale: Scale) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return corners, (n, 4, 2), and colours, (n, 4), of the voxels of a slice that are not blank."""
    step = math.ceil(max(plane.shape) / _FINEST_STACK)
    coarse = plane[::step, ::step]
    x, y = (~np.ma.getmaskarray(coarse)).nonzero()
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    corners = (np.stack([x, y], 1)[:, None] + square) * step
    return np.minimum(corners, plane.shape), scale.mappable.to_rgba(coarse.data[x, y])


def _at_height(corners: NDArray[np.floating], z: int) -> NDArray[np.floating]:
    return np.concatenate([corners, np.full((*corners.shape[:2], 1), z)], 2)
