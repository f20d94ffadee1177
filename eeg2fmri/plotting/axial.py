"""Axial slices in the field's way: left is left, true proportions, z in mm, activity over anatomy.

volume  (x, y, z)
affine  (4, 4), voxels to mm in RAS+: x grows to the right, y to the front, z upwards
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from numpy.typing import NDArray

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting._scale import Scale, Volume
from eeg2fmri.plotting.canvas import LABEL, TICK

Affine = NDArray[np.floating] | Sequence[Sequence[float]]
Mask = NDArray[np.bool_]
NOTE = TICK - 2  # points
CONVENTION = "L left, R right (neurological convention)."
CHARACTER = 0.7  # width of one by the size of its font, with room
ANATOMY_COLOUR = "0.5"  # in the bar of a map over anatomy
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_FRAME = "0.78"
_OVER_ANATOMY = "black"
_SAME_HEIGHT = 0.5  # of the distance between slices: one that is less tilted has a z of its own


class Layer(NamedTuple):
    """A volume, as it lies in memory, and its colours; the first layer of a slice lies beneath the others."""

    volume: Volume
    scale: Scale


@dataclass(frozen=True)
class Axial:
    """Axial slices of volumes on one grid, as they are drawn.

    Volumes whose voxels are stored to the left, to the back or in another order of axes are turned to the closest
    RAS+, so the subject's left is on the left of the figure (neurological convention). Without an affine, volumes
    are taken to be RAS+ with cubic voxels; left and right are then not marked, and slices are counted.

    shape: (x, y, z) in RAS+.  axes, steps: of the stored voxels, x, y, z in turn; a step of -1 turns an axis round.
    affine: (4, 4), RAS+ voxels to mm, or ``None``.  box: left, right, bottom and top in mm from the grid's corner.
    slices: first and last slice with brain.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    steps: tuple[int, ...]
    affine: NDArray[np.floating] | None
    box: tuple[float, float, float, float]
    slices: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: Affine | None = None, mask: Mask | None = None) -> Axial:
        """Read how volumes of this shape lie; what is drawn ends around the brain where a mask of it is given.

        Raises
        ------
        FigureError
            If `affine` is not (4, 4) and invertible, or `mask` has another shape.
        """
        axes, steps, upright = ((0, 1, 2), (1, 1, 1), None) if affine is None else _closest_ras(shape, affine)
        if mask is not None and mask.shape != tuple(shape):
            raise FigureError(f"mask has shape {mask.shape}, the volume {tuple(shape)}: give the mask of the volume.")
        size = tuple(shape[axis] for axis in axes)
        drawn = cls(size, axes, steps, upright, (0, 0, 0, 0), (0, size[2] - 1))
        edges = [(0, size[0]), (0, size[1]), (0, size[2])]
        if mask is not None and mask.any():
            edges = [(int(held[0]), int(held[-1]) + 1) for held in map(np.unique, np.nonzero(drawn.upright(mask)))]
        (left, right), (bottom, top), (first, stop) = edges
        margin = 0 if mask is None else 1
        x, y, _ = drawn.sizes
        box = (x * max(left - margin, 0), x * min(right + margin, size[0]),
               y * max(bottom - margin, 0), y * min(top + margin, size[1]))  # fmt: skip
        return cls(size, axes, steps, upright, box, (first, stop - 1))

    @property
    def sizes(self) -> NDArray[np.floating]:
        """Edges of a voxel, (3,) mm; 1 where there is no affine."""
        return np.ones(3) if self.affine is None else np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def aspect(self) -> float:
        """Width of what is drawn of a slice by its height."""
        left, right, bottom, top = self.box
        return (right - left) / (top - bottom)

    def upright(self, volume: Any) -> Any:
        """Turn a volume to RAS+; a view, also of a masked array."""
        return volume.transpose(self.axes)[tuple(slice(None, None, step) for step in self.steps)]

    def spread(self, count: int) -> list[int]:
        """Return the slices in the middle of `count` equal parts of those with brain; all of them where there are
        fewer.
        """
        first, last = self.slices
        return sorted({first + int((part + 0.5) * (last + 1 - first) / count) for part in range(count)})

    def height(self, z: int) -> str:
        """Return where a slice lies: z in mm at its middle, e.g. ``−12 mm``; without an affine its number, ``Z₁₂``."""
        if self.affine is None:
            return "Z" + str(z).translate(_SUBSCRIPTS)
        middle = self.affine @ [(self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2, z, 1]
        return f"{math.floor(middle[2] + 0.5)} mm".replace("-", "−")

    def label(self, z: int) -> str:
        """Return title of a slice: ``z = −12 mm``; ``z ≈`` if it is tilted, so that its height differs from edge to
        edge.
        """
        if self.affine is None:
            return self.height(z)
        tilt = float(np.abs(self.affine[2, :2]) @ np.subtract(self.shape[:2], 1))
        return f"z {'=' if tilt <= _SAME_HEIGHT * self.sizes[2] else '≈'} {self.height(z)}"


def draw_slice(axes: Axes, axial: Axial, z: int, *layers: Layer, label: bool = True, sides: bool = False) -> None:
    """Draw one axial slice of one or more layers, x to the right and y upwards, true to scale.

    Parameters
    ----------
    axes : matplotlib's.
    axial : how volumes lie.
    z : number of the slice in RAS+, as `Axial.spread` gives it.
    layers : volumes with their colours, the lowest one first; see `Layer`.
    label : whether z stands above the slice.
    sides : whether L and R are marked, if an affine says which they are.
    """
    width, height = np.multiply(axial.shape[:2], axial.sizes[:2])
    for volume, scale in layers:
        axes.imshow(
            axial.upright(scale.blanked(volume))[:, :, z].T, origin="lower", interpolation="nearest",
            extent=(0, width, 0, height), norm=scale.norm, cmap=scale.colours,
        )  # fmt: skip
    axes.set_xlim(axial.box[:2])
    axes.set_ylim(axial.box[2:])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(_FRAME)
    if label:
        text = axial.label(z)
        room = 72 * axes.get_window_extent().width / axes.figure.dpi  # points
        axes.set_title(text, fontsize=min(LABEL, room / (CHARACTER * len(text))), pad=3)
    if sides and axial.affine is not None:
        dark = len(layers) > 1 or layers[0].scale.cmap == "gray"
        for place, align, side in ((0.03, "left", "L"), (0.97, "right", "R")):
            axes.text(place, 0.98, side, transform=axes.transAxes, ha=align, va="top", fontsize=TICK,
                      color="white" if dark else "black")  # fmt: skip


def draw_overlay(
    axes: Axes, axial: Axial, z: int, anatomy: Volume, activity: Volume, scale: Scale, *, label: bool = True,
    sides: bool = False,
) -> None:  # fmt: skip
    """Draw one axial slice of a map in colour over the anatomy in grey.

    Parameters
    ----------
    anatomy : (x, y, z), e.g. a mean volume.
    activity : (x, y, z); what `scale` leaves blank, or a mask of it hides, shows the anatomy.
    scale : colours of `activity`, e.g. ``make_scale(activity, True, 0.3, (-1, 1), None)``.
    axes, axial, z, label, sides : as in `draw_slice`.
    """
    axes.set_facecolor(_OVER_ANATOMY)
    draw_slice(axes, axial, z, Layer(anatomy, grey_scale(anatomy)), Layer(activity, scale), label=label, sides=sides)


def grey_scale(anatomy: Volume) -> Scale:
    """Return grey that ends at two thirds of white with the 99.5th percentile, so that colours over it stand out."""
    low, high = float(anatomy.min()), float(np.percentile(anatomy, 99.5))
    return Scale(low, low + 1.5 * (high - low or 1.0), 0, False, "gray")


def note_sides(figure: FigureBase, axial: Axial) -> None:
    """Say in a corner of the figure what L and R mean, if they are marked."""
    if axial.affine is not None:
        figure.text(0.995, 0.005, CONVENTION, fontsize=NOTE, color="0.35", ha="right", va="bottom")


def _closest_ras(
    shape: tuple[int, ...], given: Affine
) -> tuple[tuple[int, ...], tuple[int, ...], NDArray[np.floating]]:
    """Return axes of the stored voxels in the order x, y, z, the steps along them, and the affine of what they give."""
    from nibabel.orientations import inv_ornt_aff, io_orientation

    affine = np.asarray(given, float)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise FigureError("affine must be (4, 4), finite and invertible, voxels to mm in RAS+; give that of the image.")
    found = io_orientation(affine)
    axes = tuple(int(axis) for axis in np.argsort(found[:, 0]))
    return axes, tuple(int(found[axis, 1]) for axis in axes), affine @ inv_ornt_aff(found, shape)
