"""Volumes as axial slices: the field's slice figure, and measured beside synthesised.

volume  (x, y, z), any size; x is drawn to the right and y upwards (anterior on top), z is the slice

Every third slice is drawn and labelled Z₀, Z₃, Z₆, …. A voxel is left blank if its value is below a
threshold of the normalised range, ``(v - low) / (high - low) < threshold``; in a signed volume,
whose range is symmetric about 0, if ``|v| / high < threshold``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._scale import THRESHOLD, Limits, Scale, Volume, check_volume, draw_bar, make_scale
from eeg2fmri.plotting.canvas import LABEL, TICK, new_figure

UNIT_LABEL = "BOLD (standardised)"
SLICE_STEP = 3
_FINEST_STACK = 64  # voxels per axis of a plane in the stack
_MOST_COLUMNS = 6
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_FRAME = "0.78"


def slice_figure(
    volume: Volume,
    *,
    title: str = "",
    signed: bool = False,
    threshold: float = THRESHOLD,
    limits: Limits | None = None,
    cmap: str | None = None,
    unit_label: str = UNIT_LABEL,
) -> Figure:
    """Draw a volume: its slices stacked in space on the left, every third one in a grid on the right.

    Parameters
    ----------
    volume
        (x, y, z), finite
    signed
        For residuals and other differences: diverging colours, symmetric about 0.
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
        If `volume` is not three-dimensional and finite, or `threshold` or `limits` are not valid.
    """
    check_volume(volume, "volume")
    scale = make_scale(volume, signed, threshold, limits, cmap)
    figure = new_figure(14, 7, title)
    draw_volume(figure, volume, scale, unit_label)
    return figure


def comparison_figure(
    measured: Volume,
    synthesised: Volume,
    *,
    title: str = "",
    threshold: float = THRESHOLD,
    limits: Limits | None = None,
    residual_limit: float | None = None,
    unit_label: str = UNIT_LABEL,
) -> Figure:
    """Draw a measured volume above the synthesised one and their residual, slice by slice.

    The columns are evenly spaced among every third slice. The residual, measured - synthesised, is
    drawn in full: nothing of it is left blank.

    Parameters
    ----------
    measured, synthesised
        (x, y, z), finite
    threshold
        As in `slice_figure`, for the first two rows.
    limits
        Range that measured and synthesised share. By default the measured volume's own, so that the
        figures of successive epochs can be compared; values beyond it get the outermost colour.
    residual_limit
        End of the residual's symmetric colours. By default the 99.5th percentile of its size.
    unit_label
        Quantity on the colour bars, and its unit.

    Returns
    -------
    Figure
        700 pixels high, about 1200 wide for square slices.

    Raises
    ------
    FigureError
        If the shapes differ, or a value is not valid as in `slice_figure`.
    """
    check_volume(measured, "measured")
    check_volume(synthesised, "synthesised")
    if measured.shape != synthesised.shape:
        raise FigureError(f"synthesised has shape {synthesised.shape}, measured {measured.shape}: draw equal ones.")
    residual = np.subtract(measured, synthesised, dtype=np.float64)
    if residual_limit is None:
        residual_limit = float(np.percentile(np.abs(residual), 99.5)) or 0.5
    shared = make_scale(measured, False, threshold, limits, None)
    own = make_scale(residual, True, 0, (-residual_limit, residual_limit), None)
    rows = {
        "measured": (shared.blanked(measured), shared),
        "synthesised": (shared.blanked(synthesised), shared),
        "residual": (own.blanked(residual), own),
    }
    every = math.ceil(math.ceil(measured.shape[2] / SLICE_STEP) / _MOST_COLUMNS) * SLICE_STEP
    slices = range(0, measured.shape[2], every)
    width = max(8.0, 1.9 + 2.05 * len(slices) * measured.shape[0] / measured.shape[1])
    figure = new_figure(width, 7, title)
    right = 1 - 1.35 / width
    _draw_rows(figure, rows, slices, right)
    left, thick = right + 0.15 / width, 0.2 / width
    draw_bar(figure, (left, 0.335, thick, 0.55), shared, unit_label, synthesised)
    draw_bar(figure, (left, 0.03, thick, 0.27), own, "residual", residual)
    return figure


def draw_volume(figure: FigureBase, volume: Volume, scale: Scale, unit_label: str) -> None:
    """Draw stack, grid of slices and colour bar into a figure, or a part of one, twice as wide as high."""
    drawn = scale.blanked(volume)
    slices = range(0, volume.shape[2], SLICE_STEP)
    stack = figure.add_axes((-0.035, -0.055, 0.41, 1.02), projection="3d")
    assert isinstance(stack, Axes3D)
    stack.patch.set_visible(False)  # it extends beyond its part of the figure
    _draw_stack(stack, drawn, slices, scale)
    columns = _columns(len(slices), 7.0 / 5.9)
    rows = math.ceil(len(slices) / columns)
    grid = figure.add_gridspec(rows, columns, left=0.40, right=0.90, top=0.88, bottom=0.04, wspace=0.03, hspace=0.14)
    for i, z in enumerate(slices):
        draw_slice(figure.add_subplot(grid[i // columns, i % columns]), drawn, z, scale, slice_label(z))
    draw_bar(figure, (0.915, 0.04, 0.014, 0.84), scale, unit_label, volume)


def _draw_rows(
    figure: Figure, rows: Mapping[str, tuple[np.ma.MaskedArray, Scale]], slices: range, right: float
) -> None:
    """Draw one row per volume with its name on the left, one column per slice with its label on top."""
    left = 0.45 / figure.get_figwidth()
    grid = figure.add_gridspec(
        len(rows), len(slices), left=left, right=right, top=0.885, bottom=0.03, wspace=0.04, hspace=0.04
    )
    for row, (name, (drawn, scale)) in enumerate(rows.items()):
        for column, z in enumerate(slices):
            axes = figure.add_subplot(grid[row, column])
            draw_slice(axes, drawn, z, scale, slice_label(z) if row == 0 else "")
            if column == 0:
                axes.set_ylabel(name, fontsize=LABEL)


def slice_label(z: int) -> str:
    """Return the name of a slice as the field writes it, e.g. Z₁₂."""
    return "Z" + str(z).translate(_SUBSCRIPTS)


def _columns(cells: int, aspect: float) -> int:
    """Return the columns of the grid with the largest square cells in an area `aspect` times as wide as high."""
    return max(range(1, cells + 1), key=lambda n: (min(aspect / n, 1 / math.ceil(cells / n)), -n))


def draw_slice(axes: Axes, drawn: np.ma.MaskedArray, z: int, scale: Scale, label: str) -> None:
    """Draw one axial slice in a frame, x to the right and y upwards."""
    image = drawn[:, :, z].T
    axes.imshow(image, origin="lower", interpolation="nearest", norm=scale.norm, cmap=scale.colours)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(_FRAME)
    axes.set_title(label, fontsize=LABEL, pad=3)


def _draw_stack(axes: Axes3D, drawn: np.ma.MaskedArray, slices: range, scale: Scale) -> None:
    """Draw each slice as a framed plane at its height, the higher ones over the lower ones."""
    width, depth, _ = drawn.shape
    outline = np.array([(0, 0), (width, 0), (width, depth), (0, depth)])
    axes.computed_zorder = False
    for z in slices:
        frame = _at_height(outline[None], z)
        axes.add_collection3d(
            Poly3DCollection(frame, facecolors="none", edgecolors=_FRAME, linewidths=0.7, zorder=2 * z, clip_on=False)
        )
        corners, colours = _voxels(drawn[:, :, z], scale)
        axes.add_collection3d(
            Poly3DCollection(
                _at_height(corners, z), facecolors=colours, edgecolors=colours, linewidths=0.3, zorder=2 * z + 1
            )
        )
    axes.set(xlim=(0, width), ylim=(0, depth), zlim=(0, max(slices[-1], 1)))
    side, height = max(width, depth), min(1.9, 0.2 * len(slices))
    axes.set_box_aspect((width / side, depth / side, height), zoom=1.13)
    axes.set_proj_type("ortho")
    axes.view_init(elev=20, azim=-65)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_zticks(list(slices), [slice_label(z) for z in slices], fontsize=TICK)
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
