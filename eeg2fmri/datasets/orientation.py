"""Orientation of images: the place of voxels in the head, and RAS+ for all images, so that left is left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.errors import DatasetError, one_line

MILLIMETRES = {"micron": 1e-3, "meter": 1e3}
VOXEL_MM = 0.1, 100.0  # no scanner's voxels are smaller or larger
LEAST_COSINE = 0.5  # between the axes of sform and qform; a registration turns a head by less than 60°


@dataclass(frozen=True)
class Placement:
    """Storage order of voxels, and their affine (mm) after they are brought to the closest RAS+.

    code: stored orientation, e.g. ``LAS``.  axes: of the stored voxels, (3, 2) as `nibabel.io_orientation` gives them.
    """

    code: str
    axes: np.ndarray
    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def canonical(self) -> bool:
        """Return whether the voxels are stored as RAS+."""
        return self.code == "RAS"


def placement(path: Path, header: Any, shape: tuple[int, ...], assumed: str | None = None) -> Placement:
    """Read the place of the voxels of an image in the head.

    Parameters
    ----------
    path : named in errors.
    header : of NIfTI-1 or NIfTI-2.
    shape : stored (x, y, z), more axes may follow.
    assumed : orientation of images whose header states none, e.g. ``LAS``.

    Raises
    ------
    DatasetError
        If the header states no orientation and none is assumed, or an impossible one, or two that
        contradict each other.
    """
    from nibabel.orientations import aff2axcodes, inv_ornt_aff, io_orientation

    try:
        affine = _stated_affine(path, header, assumed)
    except DatasetError:
        raise
    except ValueError as err:  # of nibabel, for a qform that is no rotation
        raise DatasetError(
            f"{path}: its orientation cannot be read ({one_line(err)}); correct its qform or sform"
        ) from err
    affine = np.array(affine, np.float64)
    affine[:3] *= MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    sizes = voxel_sizes(affine)
    if not np.isfinite(affine).all() or not abs(np.linalg.det(affine[:3, :3])) > 1e-3 * np.prod(sizes):
        raise DatasetError(
            f"{path}: its affine maps all voxels into one plane, or is not finite; correct its sform or qform"
        )
    if not all(VOXEL_MM[0] <= size <= VOXEL_MM[1] for size in sizes):
        raise DatasetError(
            f"{path}: voxels of {'×'.join(f'{size:g}' for size in sizes)} mm, {VOXEL_MM[0]:g} to {VOXEL_MM[1]:g} mm "
            f"are expected; correct its affine or its unit of space"
        )
    axes = io_orientation(affine)
    grid = tuple(int(shape[np.flatnonzero(axes[:, 0] == axis)[0]]) for axis in range(3))
    return Placement(
        "".join(aff2axcodes(affine)), axes, (grid[0], grid[1], grid[2]), affine @ inv_ornt_aff(axes, shape[:3])
    )


def to_ras(volumes: np.ndarray, place: Placement) -> np.ndarray:
    """Bring volumes to the closest RAS+, volume by volume in the memory that they have.

    Parameters
    ----------
    volumes : (volumes, x, y, z), each contiguous with its first axis fastest, as in a NIfTI file; overwritten.
    place : of one of them.

    Returns
    -------
    (volumes, *place.shape) in the same memory.
    """
    from nibabel.orientations import apply_orientation

    if place.canonical:
        return volumes
    flat = np.moveaxis(volumes, 0, -1).reshape(-1, len(volumes), order="F")  # a view
    for volume, values in zip(volumes, flat.T, strict=True):
        values[:] = apply_orientation(volume, place.axes).ravel(order="F")
    return np.moveaxis(flat.reshape((*place.shape, len(volumes)), order="F"), -1, 0)


def voxel_sizes(affine: np.ndarray) -> np.ndarray:
    """Return the lengths of a voxel's edges, (3,) mm."""
    return np.linalg.norm(affine[:3, :3], axis=0)


def _stated_affine(path: Path, header: Any, assumed: str | None) -> np.ndarray:
    from nibabel.orientations import aff2axcodes

    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    if sform is None and qform is None:
        if assumed is None:
            raise DatasetError(
                f"{path}: its header does not define left and right (sform_code and qform_code are 0); set "
                f"dataset.orientation to the stored one, e.g. LAS (the default of FSL and SPM) or RAS, or correct the "
                f"header"
            )
        return _assumed_affine(header, assumed)
    if sform is not None and qform is not None:
        cosines = (_directions(sform) * _directions(qform)).sum(axis=0)
        if not (cosines > LEAST_COSINE).all():
            raise DatasetError(
                f"{path}: sform says {''.join(map(str, aff2axcodes(sform)))} and qform "
                f"{''.join(map(str, aff2axcodes(qform)))}; find out which is right and correct the other one"
            )
    return sform if sform is not None else qform


def _assumed_affine(header: Any, code: str) -> np.ndarray:
    """Make the affine of an image stored as `code` says, with its middle at 0 mm."""
    from nibabel.orientations import axcodes2ornt

    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    for voxel, (world, flip) in enumerate(axcodes2ornt(tuple(code))):
        affine[int(world), voxel] = flip * abs(float(header.get_zooms()[voxel]))
    affine[:3, 3] = -affine[:3, :3] @ (np.asarray(header.get_data_shape()[:3]) - 1) / 2
    return affine


def _directions(affine: np.ndarray) -> np.ndarray:
    """Return unit vectors along the voxel axes, the columns of (3, 3)."""
    return affine[:3, :3] / voxel_sizes(affine)
