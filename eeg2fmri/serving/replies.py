"""Replies of a served model: volumes in the form that was asked for, and what is needed to read them.

Every reply has ``shape`` (n, x, y, z), ``affine`` (4, 4) from voxels to mm, ``tr`` and ``start_time`` in s (of the
first volume, counted from the first sample of the EEG) and ``interpolated``, the channels that were missing. The
volumes are in scanner intensity, 0 outside the brain, under a name of their own:

npy, npz   ``volumes_npy``, ``volumes_npz``: base64 of the file (array ``volumes``)
json       ``volumes``: nested lists
nifti      ``volumes_nii_gz``: base64 of a .nii.gz
courses    ``courses`` (n, regions), means over the voxels of a label that are in the brain, and ``regions``, the labels
"""

from __future__ import annotations

import base64
import gzip
import io
from typing import Any, Literal, get_args

import numpy as np

from eeg2fmri.errors import RequestError
from eeg2fmri.serving.arrays import encode
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.files import volumes_image

Reply = Literal["npy", "npz", "json", "nifti", "courses"]
DataType = Literal["float32", "float16"]
REPLIES: tuple[Reply, ...] = get_args(Reply)
# Memory that a voxel takes on its way from the model to the socket; estimates from the copies that are made.
BYTES_PER_VOXEL: dict[Reply, int] = {"npy": 40, "npz": 40, "json": 200, "nifti": 40, "courses": 12}
# Of a .nii.gz: the quickest level.
LEVEL = 1


def pack(
    bundle: Bundle,
    volumes: np.ndarray,
    reply: Reply,
    dtype: DataType,
    labels: np.ndarray | None,
    interpolated: tuple[str, ...],
) -> dict[str, Any]:
    """Pack volumes (n, x, y, z) in the form `reply`; `labels` are those of `check_labels`, for courses.

    Raises
    ------
    RequestError
        If float16 cannot hold them, or the form has no other type than float32.
    """
    signal = bundle.signal
    about = {
        "shape": list(volumes.shape),
        "affine": [list(row) for row in signal.affine],
        "tr": signal.tr,
        "start_time": bundle.window_shape[2] * signal.tr,
        "interpolated": list(interpolated),
    }
    return {**about, **_packed(bundle, volumes, reply, dtype, labels)}


def _packed(
    bundle: Bundle, volumes: np.ndarray, reply: Reply, dtype: DataType, labels: np.ndarray | None
) -> dict[str, Any]:
    if dtype == "float16":
        volumes = _half(volumes, reply)
    if reply == "npy":
        return {"volumes_npy": encode(volumes)}
    if reply == "json":
        return {"volumes": volumes.tolist()}
    if reply == "courses":
        assert labels is not None
        regions, courses = region_courses(volumes, labels)
        return {"regions": regions.tolist(), "courses": courses.tolist()}
    buffer = io.BytesIO()
    if reply == "npz":
        np.savez_compressed(buffer, volumes=volumes)
        return {"volumes_npz": base64.b64encode(buffer.getvalue()).decode("ascii")}
    image = gzip.compress(volumes_image(bundle, volumes).to_bytes(), LEVEL, mtime=0)
    return {"volumes_nii_gz": base64.b64encode(image).decode("ascii")}


def check_labels(bundle: Bundle, name: str, labels: np.ndarray) -> np.ndarray:
    """Return labels (x, y, z) as int32, 0 outside the brain; refuse what is not a label image on the model's grid."""
    if labels.shape != bundle.signal.grid or labels.dtype.kind not in "iu":
        raise RequestError(
            f"{name}: shape {labels.shape} of type {labels.dtype}, expected whole numbers on the model's grid "
            f"{bundle.signal.grid}; resample the label image (nearest neighbour)"
        )
    if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        raise RequestError(f"{name}: labels from {labels.min()} to {labels.max()}, expected 0 to 2147483647")
    inside = np.where(bundle.model.bold_statistics.mask, labels, 0).astype(np.int32)
    if not inside.any():
        raise RequestError(f"{name}: no label has a voxel in the model's brain; check the label image")
    return inside


def region_courses(volumes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average volumes (n, x, y, z) over labels (x, y, z), 0 for none; return labels (r,) and means (n, r)."""
    inside = labels > 0
    regions, index = np.unique(labels[inside], return_inverse=True)
    sums = [np.bincount(index, volume[inside], len(regions)) for volume in volumes]
    return regions, np.asarray(sums) / np.bincount(index)


def _half(volumes: np.ndarray, reply: Reply) -> np.ndarray:
    if reply not in ("npy", "npz"):
        raise RequestError(f"dtype float16 is for the replies npy and npz, not for {reply}; use float32")
    if np.abs(volumes).max() > np.finfo(np.float16).max:
        raise RequestError("dtype: an intensity exceeds 65504, the largest float16; use float32")
    return volumes.astype(np.float16)
