"""Bytes of a NIfTI file: its header, its length, and its voxels."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib

KEPT_TYPES = tuple(np.dtype(name) for name in ("uint8", "int16", "uint16", "float32"))  # in the machine's byte order
GZIP = 31  # zlib's window size for a gzip header and checksum
CHUNK_BYTES = 1 << 18
HEADER_BYTES = 540  # of NIfTI-2; NIfTI-1 has 348
TAIL_BYTES = 1 << 12


def read_header(path: Path) -> Any:
    """Read the NIfTI-1 or NIfTI-2 header at the start of a file.

    Raises
    ------
    ValueError
        If the voxels are in another file, are not one real number each, or are scaled by no number.
    Exception
        Others of nibabel and gzip for a damaged file.
    """
    import nibabel

    with gzip.open(path) if compressed(path) else path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    version_2 = 540 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    kind: Any = nibabel.Nifti2Header if version_2 else nibabel.Nifti1Header
    header = kind(start[: kind.sizeof_hdr])
    if not bytes(header["magic"]).startswith(b"n+"):
        raise ValueError("a header whose voxels are in an .img file; convert the pair to one .nii")
    dtype = header.get_data_dtype()
    if dtype.names or dtype.kind not in "iuf":
        raise ValueError(f"voxels of type {header.get_value_label('datatype')}; one real number each is expected")
    header.get_slope_inter()
    return header


def shape_of(header: Any) -> tuple[int, ...]:
    """Return the shape without the empty axes after the third; a fourth one stays."""
    shape = tuple(int(n) for n in header.get_data_shape())
    kept = tuple(n for n in shape[3:] if n != 1)
    return (*shape[:3], *(kept or shape[3:4]))


def check_whole(path: Path, header: Any) -> None:
    """Refuse a file that ends before its volumes do.

    The length at the end of a gzip file is trusted if it is that of the volumes. If it is another one (several
    members, bytes after the volumes, or a file cut off), the file is decompressed.

    Raises
    ------
    Exception
        `EOFError` for a file that is too short, others for one that cannot be decompressed.
    """
    size = _size(header)
    if compressed(path):
        found = size if size % (1 << 32) in _final_lengths(path) else len(_decompress(path, size))
    else:
        found = path.stat().st_size
    if found < size:
        raise EOFError(f"it holds {found} bytes, its header asks for {size}")


def read_volumes(path: Path, header: Any) -> np.ndarray:
    """Read (volumes, x, y, z) as stored, scaled if the header says so; writing to them does not change the file.

    Raises
    ------
    Exception
        Of numpy, gzip or ISA-L, for a damaged file.
    """
    size, shape = _size(header), shape_of(header)
    content: Any = _decompress(path, size) if compressed(path) else np.memmap(path, mode="c")
    if len(content) < size:
        raise EOFError(f"it holds {len(content)} bytes, its header asks for {size}")
    flat = np.frombuffer(content, header.get_data_dtype(), math.prod(shape), _offset(header))
    slope, intercept = header.get_slope_inter()
    if (slope, intercept) not in ((None, None), (1.0, 0.0)):
        flat = flat.astype(np.float32)
        flat *= np.float32(slope)
        flat += np.float32(intercept)
    elif flat.dtype not in KEPT_TYPES:
        flat = flat.astype(np.float32)
    return np.moveaxis(flat.reshape((*shape[:3], -1), order="F"), -1, 0)


def first_volume(path: Path, header: Any) -> np.ndarray:
    """Read (x, y, z) of the first volume as stored, not scaled; the rest of the file is not checked."""
    shape, dtype, start = shape_of(header)[:3], header.get_data_dtype(), _offset(header)
    with gzip.open(path) if compressed(path) else path.open("rb") as file:
        content = file.read(start + math.prod(shape) * dtype.itemsize)
    return np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape, order="F")


def compressed(path: Path) -> bool:
    """Return whether a file is a gzip file (RFC 1952); its name does not count."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _offset(header: Any) -> int:
    """Return the start of the volumes; 0 in a header means right after it."""
    return int(header.get_data_offset()) or int(header.single_vox_offset)


def _size(header: Any) -> int:
    """Return the bytes of a file up to the end of its volumes."""
    return _offset(header) + math.prod(header.get_data_shape()) * header.get_data_dtype().itemsize


def _final_lengths(path: Path) -> set[int]:
    """Read the last four bytes of a gzip file: the length of its last member modulo 2³² (RFC 1952).

    Zeros may pad the file, and the length itself may end with up to four of them.
    """
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - TAIL_BYTES, 0))
        tail = file.read()
    end = len(tail.rstrip(b"\0"))
    ends = range(max(end, 4), min(end + 4, len(tail)) + 1)
    return {int.from_bytes(tail[stop - 4 : stop], "little") for stop in ends}


def _decompress(path: Path, size: int) -> np.ndarray:
    """Decompress the first `size` bytes of a gzip file, (size,) uint8; check every member's checksum (ISA-L).

    The bytes that follow are read to their end and left out.
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
