"""BOLD of a recording: its header, or its volumes, decompressed once and brought to RAS+."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.datasets.bold_run import Bold, BoldHeader
from eeg2fmri.datasets.echoes import combined, combined_header
from eeg2fmri.datasets.files import check_fetched, read_merged
from eeg2fmri.datasets.nifti import check_whole, first_volume, read_header, read_volumes, shape_of
from eeg2fmri.datasets.orientation import Placement, placement, to_ras
from eeg2fmri.datasets.recording import Recording
from eeg2fmri.errors import DatasetError, one_line

TR_TOLERANCE_S = 1e-3
SAME_PLACE = 0.1  # of a voxel, between a mask and its volumes
LONGEST_TR_S = 100.0  # a longer one is in milliseconds


def load_bold(recording: Recording) -> Bold:
    """Read the BOLD of a recording: decompress it once, as far as its checksum.

    Raises
    ------
    DatasetError
        If the file cannot be read to its end, is not 4-D, holds NaN or volumes of zeros, has no TR, has no
        orientation or two, or if the TRs of header and sidecar differ by more than 1 ms.
    """
    if recording.echoes:
        read_bold_header(recording)
        return combined(recording, load_bold)
    path = recording.bold_path
    image = _open(path)
    header, place = _checked(recording, image)
    try:
        volumes = to_ras(read_volumes(path, image), place)
    except Exception as err:  # nibabel, gzip and zlib each raise their own for a damaged file
        raise _unreadable(path, err) from err
    _check_finite(path, volumes)
    if empty := [index for index, volume in enumerate(volumes) if _is_empty(volume)]:
        value = volumes[empty[0]].flat[0]
        raise DatasetError(
            f"{path}: {len(empty)} of {len(volumes)} volumes hold only {value:g}, the first is number "
            f"{empty[0]} (from 0); fetch it again or cut them off"
        )
    return Bold(volumes, header.tr, header.affine, header.orientation, header.notes)


def _check_finite(path: Path, volumes: Iterable[np.ndarray]) -> None:
    if not all(volume.dtype.kind != "f" or np.isfinite(volume).all() for volume in volumes):
        raise DatasetError(f"{path}: NaN or infinite voxels; mask or repair the volumes first")


def _is_empty(volume: np.ndarray) -> bool:
    """Return whether all voxels are 0, or the limit of their integer type, which stands for lost voxels."""
    first = volume.flat[0]
    empty = first == 0 or (
        volume.dtype.kind in "iu" and first in (np.iinfo(volume.dtype).min, np.iinfo(volume.dtype).max)
    )
    return bool(empty and (volume == first).all())


def read_bold_header(recording: Recording) -> BoldHeader:
    """Read the header of a BOLD file and its sidecars; refuse the same faults as `load_bold`, of volume 0 only.

    A file that ends before its volumes do is refused too. So is a brain mask that is not on its voxels.
    """
    header = combined_header(recording, read_bold_header) if recording.echoes else _whole_header(recording)
    if recording.mask_path:
        image, _ = _open_mask(recording.mask_path, header.grid, header.affine, recording.orientation)
        _check_whole(recording.mask_path, image)
    return header


def load_mask(path: Path, bold: Bold, assumed: str | None = None) -> np.ndarray:
    """Read the brain mask of a BOLD file, (x, y, z) float32 in RAS+; values above 0.5 are brain.

    Raises
    ------
    DatasetError
        If it cannot be read, or is not on the voxels of `bold`.
    """
    image, place = _open_mask(path, bold.volumes.shape[1:], bold.affine, assumed)
    try:
        values = read_volumes(path, image)
    except Exception as err:
        raise _unreadable(path, err) from err
    return to_ras(values, place)[0].astype(np.float32)


def _open_mask(path: Path, grid: tuple[int, ...], affine: np.ndarray, assumed: str | None) -> tuple[Any, Placement]:
    """Return header and placement of the brain mask of volumes with the shape `grid` and the affine `affine`."""
    image = _open(path)
    shape = shape_of(image)
    place = placement(path, image, shape, assumed)
    if place.shape != tuple(grid) or math.prod(shape[3:]) != 1:
        raise DatasetError(f"{path}: its shape is {place.shape}, the volumes have {tuple(grid)}; fetch both again")
    corners = np.array([[x, y, z, 1] for x in (0, grid[0]) for y in (0, grid[1]) for z in (0, grid[2])])
    apart = np.linalg.norm((corners @ (place.affine - affine).T)[:, :3], axis=1).max()
    if apart > SAME_PLACE * np.linalg.norm(affine[:3, :3], axis=0).min():
        raise DatasetError(
            f"{path}: its affine puts it up to {apart:.3g} mm from the volumes; give the mask of these volumes"
        )
    return image, place


def _whole_header(recording: Recording) -> BoldHeader:
    image = _open(recording.bold_path)
    header, _ = _checked(recording, image)
    _check_whole(recording.bold_path, image)
    _check_finite(recording.bold_path, [first_volume(recording.bold_path, image)])
    return header


def _check_whole(path: Path, image: Any) -> None:
    try:
        check_whole(path, image)
    except Exception as err:
        raise _unreadable(path, err) from err


def repetition_time(
    path: Path, header: Any, sidecar: dict[str, Any], documented: float | None = None
) -> tuple[float, tuple[str, ...]]:
    """Return TR in seconds from the header and the sidecar or documentation, which must agree; and notes.

    A header with a TR of 0 was not filled in. The same is true of a TR of 1 without a time unit, if the TR is
    documented. A TR of more than 100 s is in milliseconds if the other source says so.
    """
    in_sidecar, where = sidecar.get("RepetitionTime"), "the sidecar"
    unit = header.get_xyzt_units()[1]
    if in_sidecar is None and documented is not None:
        in_sidecar, where = documented, "the dataset's documentation"
        if unit == "unknown" and header.get_zooms()[3] == 1:
            return documented, ()
    if in_sidecar is None:
        raise DatasetError(f"{path}: its sidecar has no RepetitionTime; add it (seconds) to the _bold.json")
    if isinstance(in_sidecar, bool) or not isinstance(in_sidecar, (int, float)) or not 0 < in_sidecar < np.inf:
        raise DatasetError(
            f"{path}: RepetitionTime is {in_sidecar!r} in its sidecar, a positive number of seconds is expected; "
            f"correct it"
        )
    expected, notes = float(in_sidecar), []
    in_header = _header_tr(header, expected) * {"msec": 1e-3, "usec": 1e-6}.get(unit, 1.0)
    if expected > LONGEST_TR_S and in_header and abs(in_header - expected / 1000) <= TR_TOLERANCE_S:
        notes.append(f"TR is {expected:g} s in {where} and {in_header:g} s in the header: milliseconds, not seconds")
        expected /= 1000
    elif in_header > LONGEST_TR_S and abs(in_header / 1000 - expected) <= TR_TOLERANCE_S:
        notes.append(f"TR is {in_header:g} s in the header and {expected:g} s in {where}: milliseconds, not seconds")
        in_header /= 1000
    if in_header != 0 and not abs(in_header - expected) <= TR_TOLERANCE_S:
        raise DatasetError(f"{path}: TR is {in_header:g} s in the header and {expected:g} s in {where}; correct one")
    if expected > LONGEST_TR_S:
        raise DatasetError(
            f"{path}: TR is {expected:g} s in {where}, at most {LONGEST_TR_S:g} s is expected; give it in seconds"
        )
    return expected, tuple(notes)


def _header_tr(header: Any, expected: float) -> float:
    """Return TR in the header's unit; if volumes are on the fifth axis, of that axis or of the fourth."""
    sizes = [float(size) for size in header.get_zooms()[3:]]
    shape = header.get_data_shape()[3:]
    own = [size for size, n in zip(sizes, shape, strict=True) if n != 1] or sizes[:1]
    return min((sizes[0], own[0]), key=lambda size: min(abs(size - expected * unit) for unit in (1, 1e3, 1e6)))


def _open(path: Path) -> Any:
    check_fetched(path)
    try:
        return read_header(path)
    except Exception as err:  # nibabel, gzip and zlib each raise their own for a damaged file
        raise _unreadable(path, err) from err


def _unreadable(path: Path, err: Exception) -> DatasetError:
    return DatasetError(f"{path}: not a readable NIfTI image ({one_line(err)}); fetch it again")


def _checked(recording: Recording, image: Any) -> tuple[BoldHeader, Placement]:
    path, shape = recording.bold_path, shape_of(image)
    if len(shape) != 4:
        raise DatasetError(
            f"{path}: a 4-D BOLD run is expected, found {len(shape)} dimensions {shape}; replace it by the whole run"
        )
    tr, notes = repetition_time(path, image, read_merged(recording.sidecars), recording.tr)
    place = placement(path, image, shape, recording.orientation)
    return BoldHeader(place.shape, shape[3], tr, place.affine, place.code, notes), place
