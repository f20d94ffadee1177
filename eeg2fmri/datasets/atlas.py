"""Label images: which voxel of a store belongs to which region."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eeg2fmri.datasets.files import check_fetched
from eeg2fmri.datasets.nifti import read_header, read_volumes, shape_of
from eeg2fmri.datasets.orientation import placement, to_ras
from eeg2fmri.errors import DatasetError, one_line
from eeg2fmri.evaluation import Atlas
from eeg2fmri.signals import Signal

MOST = 1 << 24  # single precision, in which volumes are read, counts no further


def read_atlas(path: Path, signal: Signal, brain: np.ndarray) -> Atlas:
    """Read a label image and bring it to the grid of a store by nearest neighbour (nilearn).

    The names of the labels are read from the table beside it, if there is one: the same name with the ending ``.tsv``
    and the columns ``index`` and ``name``, as in BIDS (``atlas_dseg.nii.gz``, ``atlas_dseg.tsv``). A label without a
    name keeps its number.

    Parameters
    ----------
    path : NIfTI file (x, y, z) of whole numbers; 0 is no region.
    signal : grid and affine of the store.
    brain : (x, y, z) bool on the grid, voxels that are scored. Labels without any of them are left out.

    Raises
    ------
    DatasetError
        If the image cannot be read, is no label image, or has no label in the brain; or if the table has no such
        columns, or names of two labels are equal.
    """
    import nibabel
    from nilearn.image import resample_to_img

    values, affine = _read(path)
    grid = nibabel.Nifti1Image(np.zeros(signal.grid, np.float32), np.asarray(signal.affine))
    resampled = resample_to_img(nibabel.Nifti1Image(values, affine), grid, interpolation="nearest")
    labels = np.asarray(resampled.dataobj).astype(np.int64)
    if not labels.any():
        raise DatasetError(f"{path}: it does not overlap the volumes of the store; give labels in the space "
                           f"{signal.space} of the store")  # fmt: skip
    inside = np.where(brain, labels, 0)
    if not inside.any():
        raise DatasetError(f"{path}: no label is in the brain of the recordings; give labels in the space "
                           f"{signal.space} of the store")  # fmt: skip
    names = region_names(path, values)
    there = [int(label) for label in np.unique(inside) if label]
    return Atlas(
        inside,
        {label: names[label] for label in there},
        tuple(name for label, name in names.items() if label not in there),
    )


def region_names(path: Path, values: np.ndarray) -> dict[int, str]:
    """Name the labels of an image: by the table beside it, see `read_atlas`, or by their numbers.

    Parameters
    ----------
    path : the image.
    values : its values, whole numbers; 0 is no region.

    Raises
    ------
    DatasetError
        If the table has no such columns, or names of two labels are equal.
    """
    given = _names(path)
    names = {int(label): given.get(int(label), str(int(label))) for label in np.unique(values) if label}
    _check_names(path, names)
    return names


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (x, y, z) float32 in RAS+ and their affine."""
    if not path.exists() and not path.is_symlink():
        raise DatasetError(f"{path}: no such file; give a label image (NIfTI)")
    check_fetched(path)
    try:
        header = read_header(path)
        shape = shape_of(header)
        volumes = read_volumes(path, header)
    except Exception as err:  # nibabel, gzip and zlib each raise their own for a damaged file
        raise DatasetError(f"{path}: it cannot be read ({one_line(err)}); give a label image (NIfTI)") from err
    if len(shape) != 3:
        raise DatasetError(f"{path}: its shape is {shape}, a 3-D label image is expected; give one number per voxel")
    if not np.isfinite(volumes).all() or (volumes != np.rint(volumes)).any():
        raise DatasetError(f"{path}: its values are not all whole numbers; give a label image, no probabilities")
    if volumes.min() < 0 or volumes.max() >= MOST:
        raise DatasetError(f"{path}: labels from {volumes.min():g} to {volumes.max():g}, 0 to {MOST - 1} are expected; "
                           f"number the regions from 1")  # fmt: skip
    if header.get_sform(coded=True)[0] is None and header.get_qform(coded=True)[0] is None:
        raise DatasetError(f"{path}: its header does not define left and right (sform_code and qform_code are 0); "
                           f"correct the header")  # fmt: skip
    place = placement(path, header, shape)
    return to_ras(volumes, place)[0], place.affine


def _check_names(path: Path, names: Mapping[int, str]) -> None:
    """Refuse names that cannot be the columns of a table."""
    first: dict[str, int] = {}
    for label, name in names.items():
        if not name.isprintable():
            raise DatasetError(f"{path}: label {label} has the name {name!r}, a word is expected; correct the table")
        if name in first:
            raise DatasetError(f"{path}: labels {first[name]} and {label} are both named {name!r}; correct the table")
        first[name] = label


def _names(path: Path) -> dict[int, str]:
    """Read the table of names beside a label image; empty without one."""
    table = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
    if not table.exists() and not table.is_symlink():
        return {}
    check_fetched(table)
    try:
        rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines(), delimiter="\t"))
        named = {int(row["index"]): row["name"].strip() for row in rows}
        return {label: name for label, name in named.items() if name}
    except (KeyError, ValueError, AttributeError) as err:
        raise DatasetError(f"{table}: it cannot be read ({one_line(err)}); the columns index (a whole number) and name "
                           f"are expected") from err  # fmt: skip
