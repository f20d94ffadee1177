"""Headers of BrainVision recordings, whose data and marker files may have been renamed after them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eeg2fmri.errors import DatasetError

DATA_SUFFIXES = (".eeg", ".dat", ".avg", ".seg")
MARKER_SUFFIXES = (".vmrk",)
_ENTRY = r"(?im)^\s*{key}\s*=\s*(.*?)\s*$"


@dataclass(frozen=True)
class Companions:
    """Files that belong to a header; `stale` are the names in it that no longer exist."""

    data: Path
    markers: Path | None
    stale: tuple[str, ...]


def companions(header: Path) -> Companions:
    """Data and marker file of a BrainVision header.

    A file that was renamed with its header is found by the header's own name.

    Raises
    ------
    DatasetError
        If the header names no data file, a named file is not there under either name, or the
        header names one file while another lies there under the header's name.
    """
    text = header_text(header)
    data, data_stale = _companion(header, text, "DataFile", DATA_SUFFIXES)
    markers, markers_stale = _companion(header, text, "MarkerFile", MARKER_SUFFIXES)
    if data is None:
        raise DatasetError(f"{header}: not a readable EEG recording (no DataFile= in it); fetch or export it again")
    return Companions(data, markers, tuple(name for name in (data_stale, markers_stale) if name))


def header_text(path: Path) -> str:
    """Text of a header or marker file; old exports are latin-1."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _companion(header: Path, text: str, key: str, suffixes: tuple[str, ...]) -> tuple[Path | None, str]:
    match = re.search(_ENTRY.format(key=key), text)
    if match is None or not match[1]:
        return None, ""
    given = match[1].replace("$b", header.stem)
    named = header.parent / Path(given).name
    own = [header.with_suffix(suffix) for suffix in (named.suffix, *suffixes) if suffix]
    beside = next((path for path in own if _listed(path)), None)
    if _listed(named):
        if beside is not None and beside != named and not _listed(named.with_suffix(header.suffix)):
            return named, ""
        if beside is not None and beside != named:
            raise DatasetError(
                f"{header}: its {key}= names {named.name}, which belongs to another header, while {beside.name} lies "
                f"beside it; correct the header"
            )
        return named, ""
    if beside is None:
        other = f", nor is {own[-1].name}" if own[-1] != named else ""
        raise DatasetError(
            f"{header}: not a readable EEG recording (its {key}= names {named.name}, which is not there{other}); "
            f"fetch or export it again"
        )
    return beside, given


def _listed(path: Path) -> bool:
    """Whether the folder lists this file, be it only as a link."""
    return path.exists() or path.is_symlink()
