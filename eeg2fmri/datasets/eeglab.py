"""EEGLAB recordings: a ``.set`` holds its samples, or names the ``.fdt`` that does."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from eeg2fmri.datasets.brainvision import last_part, owned
from eeg2fmri.errors import DatasetError

DATA_SUFFIXES = (".fdt",)


def data_file(path: Path) -> tuple[Path | None, str]:
    """Find the ``.fdt`` of a ``.set`` (``None`` if it holds the samples), and a name in it that is out of date.

    Raises
    ------
    DatasetError
        If the named file does not exist, belongs to another ``.set``, or is written in another case, which
        MNE does not find.
    """
    if not any(other.suffix.lower() == ".fdt" for other in path.parent.iterdir()):
        return None, ""  # nothing else can hold them, and this saves reading a big file
    status = path.stat()
    given = _named(path, status.st_mtime_ns, status.st_size)
    if not given:
        return None, ""
    data, stale = owned(path, given, DATA_SUFFIXES, "EEG.data")
    if not given.endswith(".fdt") or data.name not in (last_part(given), f"{path.stem}.fdt"):
        raise DatasetError(
            f"{path}: its EEG.data names {given}, the file is {data.name}; both must end in .fdt and agree"
        )
    return data, stale


@lru_cache(maxsize=4096)
def _named(path: Path, modified: int, size: int) -> str:
    """Read the name of the data file in a ``.set`` of any version; empty if it holds the data or cannot be read."""
    import h5py

    try:
        return _named_73(path) if h5py.is_hdf5(path) else _named_5(path)
    except Exception:  # a damaged file: the error comes when it is opened
        return ""


def _named_73(path: Path) -> str:
    import h5py

    with h5py.File(path) as file:
        data: Any = file["EEG/data"] if "EEG" in file else file["data"]
        return "".join(map(chr, data[()].ravel())) if data.attrs.get("MATLAB_class") == b"char" else ""


def _named_5(path: Path) -> str:
    import scipy.io

    classes = {name: kind for name, _, kind in scipy.io.whosmat(path)}
    if classes.get("data", "char") != "char":
        return ""
    content = scipy.io.loadmat(
        path, variable_names=["EEG", "data"], squeeze_me=True, struct_as_record=False, chars_as_strings=True
    )
    data = content["EEG"].data if "EEG" in content else content["data"]
    return (
        str(data)
        if isinstance(data, str) or (getattr(data, "dtype", None) is not None and data.dtype.kind == "U")
        else ""
    )
