"""BOLD of a recording: its header alone, or its volumes, decompressed once."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib

from eeg2fmri.datasets.echoes import combined, combined_header
from eeg2fmri.datasets.files import check_fetched, read_merged
from eeg2fmri.datasets.recording import Recording
from eeg2fmri.errors import DatasetError, one_line

TR_TOLERANCE_S = 1e-3
KEPT_TYPES = tuple(np.dtype(name) for name in ("uint8", "int16", "uint16", "float32"))  # in the machine's byte order
GZIP = 31  # zlib's window size for a gzip header and checksum
CHUNK_BYTES = 1 << 18
HEADER_BYTES = 540  # of NIfTI-2; NIfTI-1 has 348


@dataclass(frozen=True)
class Bold:
    """BOLD of one recording: (volumes, x, y, z) intensity, TR in seconds, affine in mm.

    volumes: float32, or integers as in a file without scaling; a view on the file's bytes where
    nothing had to be converted.
    """

    volumes: np.ndarray
    tr: float
    affine: np.ndarray


@dataclass(frozen=True)
class BoldHeader:
    """What the header of a BOLD file says: (x, y, z), volumes, TR in seconds, affine in mm."""

    grid: tuple[int, int, int]
    n_volumes: int
    tr: float
    affine: np.ndarray


def load_bold(recording: Recording) -> Bold:
    """Read the BOLD of a recording, decompressing it once and to its checksum.

    Raises
    ------
    DatasetError
        If the file cannot be read to its end, is not 4-D, holds NaN, has no TR, or its header's
        TR and the sidecar's disagree by more than 1 ms.
    """
    if recording.echoes:
        read_bold_header(recording)
        return combined(recording, load_bold)
    path = recording.bold_path
    check_fetched(path)
    try:
        image = _read_header(path)
        content = _decompress(path, _size(image)) if _compressed(path) else np.memmap(path, mode="r")
        volumes = _volumes(content, image)
    except Exception as err:  # nibabel, gzip and zlib each raise their own for a damaged file
        raise _unreadable(path, err) from err
    header = _checked(recording, image)
    if volumes.dtype.kind == "f" and not all(np.isfinite(volume).all() for volume in volumes):
        raise DatasetError(f"{path}: NaN or infinite voxels; mask or repair the volumes first")
    return Bold(volumes, header.tr, header.affine)


def read_bold_header(recording: Recording) -> BoldHeader:
    """Read the header of a BOLD file and its sidecars, no volumes; refuses what `load_bold` refuses of them."""
    if recording.echoes:
        return combined_header(recording, read_bold_header)
    path = recording.bold_path
    check_fetched(path)
    try:
        image = _read_header(path)
    except Exception as err:
        raise _unreadable(path, err) from err
    return _checked(recording, image)


def repetition_time(path: Path, header: Any, sidecar: dict[str, Any], documented: float | None = None) -> float:
    """TR in seconds, from the sidecar or the dataset's documentation, and the header, which must agree.

    A header without a time unit whose TR is 0 or 1, the values of a header nobody filled in, agrees
    with a documented TR.
    """
    unit = header.get_xyzt_units()[1]
    in_header = float(header.get_zooms()[3]) * {"msec": 1e-3, "usec": 1e-6}.get(unit, 1.0)
    in_sidecar = sidecar.get("RepetitionTime")
    where = "the sidecar"
    if in_sidecar is None and documented is not None:
        if unit == "unknown" and in_header in (0.0, 1.0):
            return documented
        in_sidecar, where = documented, "the dataset's documentation"
    if in_sidecar is None:
        raise DatasetError(f"{path}: its sidecar has no RepetitionTime; add it (seconds) to the _bold.json")
    if isinstance(in_sidecar, bool) or not isinstance(in_sidecar, (int, float)) or not 0 < in_sidecar < np.inf:
        raise DatasetError(
            f"{path}: RepetitionTime is {in_sidecar!r} in its sidecar, a positive number of seconds is expected; "
            f"correct it"
        )
    if not abs(in_header - in_sidecar) <= TR_TOLERANCE_S:
        raise DatasetError(f"{path}: TR is {in_header:g} s in the header and {in_sidecar:g} s in {where}; correct one")
    return float(in_sidecar)


def _compressed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _decompress(path: Path, size: int) -> np.ndarray:
    """The first `size` bytes of what a gzip file holds, (size,) uint8; every member's checksum is checked (ISA-L).

    What follows them is read to its end and left out.
    """
    content, filled = np.empty(size, np.uint8), 0
    member, ended = isal_zlib.decompressobj(GZIP), False
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            while chunk := chunk.lstrip(b"\0") if ended else chunk:  # zeros may pad the end of a file
                if ended:  # another member follows
                    member = isal_zlib.decompressobj(GZIP)
                piece = np.frombuffer(member.decompress(chunk), np.uint8)[: size - filled]
                content[filled : filled + len(piece)] = piece
                filled += len(piece)
                chunk, ended = member.unused_data, member.eof
    if not ended:
        raise EOFError("it ends before its end-of-stream marker")
    return content[:filled]


def _unreadable(path: Path, err: Exception) -> DatasetError:
    return DatasetError(f"{path}: not a readable NIfTI image ({one_line(err)}); fetch it again")


def _read_header(path: Path) -> Any:
    """The NIfTI-1 or NIfTI-2 header at the start of a file."""
    import nibabel

    with gzip.open(path) if _compressed(path) else path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    version_2 = 540 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    kind: Any = nibabel.Nifti2Header if version_2 else nibabel.Nifti1Header
    return kind(start[: kind.sizeof_hdr])


def _size(header: Any) -> int:
    """Bytes of a file up to the end of its volumes."""
    return int(header.get_data_offset()) + math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize


def _checked(recording: Recording, header: Any) -> BoldHeader:
    path, shape = recording.bold_path, tuple(int(n) for n in header.get_data_shape())
    if len(shape) != 4:
        raise DatasetError(
            f"{path}: a 4-D BOLD run is expected, found {len(shape)} dimensions {shape}; replace it by the whole run"
        )
    tr = repetition_time(path, header, read_merged(recording.sidecars), recording.tr)
    try:
        affine = header.get_best_affine()
    except ValueError as err:
        raise DatasetError(
            f"{path}: its orientation cannot be read ({one_line(err)}); correct its qform or sform"
        ) from err
    return BoldHeader((shape[0], shape[1], shape[2]), shape[3], tr, affine)


def _volumes(content: Any, header: Any) -> np.ndarray:
    """(volumes, x, y, z) of a file's bytes, scaled where its header says so."""
    shape = header.get_data_shape()
    flat = np.frombuffer(content, header.get_data_dtype(), math.prod(shape), int(header.get_data_offset()))
    slope, intercept = header.get_slope_inter()
    if (slope, intercept) not in ((None, None), (1.0, 0.0)):
        flat = flat.astype(np.float32)
        flat *= np.float32(slope)
        flat += np.float32(intercept)
    elif flat.dtype not in KEPT_TYPES:
        flat = flat.astype(np.float32)
    return np.moveaxis(flat.reshape(shape, order="F"), -1, 0)
