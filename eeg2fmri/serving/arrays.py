"""Arrays in requests: strict readers of base64 .npy and .npz, which measure an array before they make it.

`numpy.load` is not used: it parses headers by `ast`, which fails now and then with several threads (Python 3.11), it
inflates an archive before anybody sees the shape, and its errors for damaged bytes are of many kinds.

References
----------
NumPy Enhancement Proposal 1 (.npy).  PKWARE APPNOTE 6.3 (zip).
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from eeg2fmri.errors import MemoryLimitError, RequestError

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1024  # bytes from the start of the file; NumPy writes 128 for an array of numbers
MOST_AXES = 8
LENGTH = struct.Struct("<H"), struct.Struct("<I")  # of the header, by version of the format
# Fields of zip's records: end of the directory, its only entry, and what stands before the content.
END = struct.Struct("<4sHHHHIIH")
ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
LOCAL = struct.Struct("<4sHHHHHIIIHH")
STORED, DEFLATED, ENCRYPTED = 0, 8, 1
_DESCR, _ORDER, _SHAPE = r"'descr':\s*'([^'\\]{1,16})'", r"'fortran_order':\s*(True|False)", r"'shape':\s*\(([\d, ]*)\)"
_HEADER = re.compile(rf"\{{{_DESCR},\s*{_ORDER},\s*{_SHAPE},?\s*\}}\s*")
_NUMBER = re.compile(r"[<>=|]?([fiu])([1248])")


@dataclass(frozen=True)
class _Layout:
    """Content of the header of a .npy file; start: byte at which the values begin."""

    dtype: np.dtype[Any]
    fortran: bool
    shape: tuple[int, ...]
    start: int

    @property
    def n_bytes(self) -> int:
        """Return the length of the file that it describes."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def decode(name: str, text: str, most: int) -> np.ndarray:
    """Decode base64 of a .npy file, or of a .npz archive with one array.

    Parameters
    ----------
    name : of the field, for messages.
    most : values that are allowed; they are counted before anything is inflated.

    Returns
    -------
    The array, of its own type and read-only.

    Raises
    ------
    RequestError
        If it is damaged, holds no numbers, is too large, or is not the only one of its archive.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as err:  # ValueError: characters beyond ASCII
        raise RequestError(f"{name}: not base64; send base64 of a .npy file") from err
    if content.startswith(b"PK"):
        content = _inflated(name, content, most)
    layout = _layout(name, content, most)
    if len(content) != layout.n_bytes:
        raise RequestError(
            f"{name}: .npy file of {len(content)} bytes, its header says {layout.n_bytes}; send the whole file"
        )
    values = np.frombuffer(content, layout.dtype, offset=layout.start)
    return values.reshape(layout.shape, order="F" if layout.fortran else "C")


def encode(array: np.ndarray) -> str:
    """Return base64 of an array's .npy file, for fields ending in ``_npy``."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def check_size(name: str, values: int, most: int) -> None:
    """Refuse more values than allowed."""
    if values > most:
        raise MemoryLimitError(
            f"{name}: {values:.4g} values, at most {most} fit into serving.max_memory; send a part of it"
        )


def _layout(name: str, content: bytes, most: int) -> _Layout:
    """Read the header at the start of a .npy file."""
    if content[:6] != MAGIC or len(content) < 12 or content[6] not in (1, 2, 3):
        raise RequestError(f"{name}: not a .npy or .npz file; send base64 of one")
    length = LENGTH[content[6] > 1]
    begin = 8 + length.size
    start = begin + length.unpack_from(content, 8)[0]
    header = None
    if start <= LONGEST_HEADER:
        header = _HEADER.fullmatch(content[begin:start].decode("latin-1"))
    if header is None:
        raise RequestError(f"{name}: header of the .npy file is damaged; write it with numpy.save")
    descr, order, sizes = header.groups()
    number = _NUMBER.fullmatch(descr)
    if number is None or descr.endswith("f1"):
        raise RequestError(f"{name}: numbers are expected, found values of type {descr!r}; send float32")
    axes = [axis.strip() for axis in sizes.split(",") if axis.strip()]
    if len(axes) > MOST_AXES or any(len(axis) > 18 or not axis.isdigit() for axis in axes):
        raise RequestError(f"{name}: the .npy file has no usable shape; write it with numpy.save")
    shape = tuple(map(int, axes))
    check_size(name, math.prod(shape), most)
    return _Layout(np.dtype(descr), order == "True", shape, start)


def _inflated(name: str, content: bytes, most: int) -> bytes:
    """Return the only member of an archive, not more than its array's header and the directory of the archive say."""
    whole, compression, checksum = _member(name, content)
    if compression == DEFLATED:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            head = inflate.decompress(whole, LONGEST_HEADER)
            rest = _layout(name, head, most).n_bytes - len(head)
            whole = head + inflate.decompress(inflate.unconsumed_tail, max(rest, 0) + 1)
        except zlib.error as err:
            raise RequestError(f"{name}: the .npz file is damaged; send the whole file") from err
    if zlib.crc32(whole) != checksum:
        raise RequestError(f"{name}: the .npz file is damaged (checksum); send the whole file")
    return whole


def _member(name: str, content: bytes) -> tuple[bytes, int, int]:
    """Return the packed content of an archive's only member, its kind of compression, and its checksum."""
    damaged = RequestError(f"{name}: the .npz file is damaged; write it with numpy.savez_compressed")
    try:
        end = END.unpack_from(content, max(len(content) - END.size, 0))
        if end[0] != b"PK\5\6":
            raise damaged
        if end[4] != 1:
            raise RequestError(f"{name}: an archive of {end[4]} files, expected a .npz file with one array")
        entry = ENTRY.unpack_from(content, end[6])
        local = LOCAL.unpack_from(content, entry[16])
    except struct.error as err:
        raise damaged from err
    flags, compression, checksum, packed = entry[3], entry[4], entry[7], entry[8]
    if entry[0] != b"PK\1\2" or local[0] != b"PK\3\4" or flags & ENCRYPTED or compression not in (STORED, DEFLATED):
        raise damaged
    start = entry[16] + LOCAL.size + local[9] + local[10]
    return content[start : start + packed], compression, checksum
