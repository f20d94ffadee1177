"""Headers of BrainVision recordings; their data and marker files may have new names."""

from __future__ import annotations

import codecs
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eeg2fmri.errors import DatasetError

DATA_SUFFIXES = (".eeg", ".dat", ".avg", ".seg")
MARKER_SUFFIXES = (".vmrk",)
_DECIMAL_COMMA = r"(?im)^\s*Ch\d+\s*=[^,\n]*,[^,\n]*,\s*\d+,\d+\s*(?=,)"  # Ch1=Fp1,,0,1,µV
_BIG_ENDIAN = r"(?im)^\s*UseBigEndianOrder\s*=\s*YES\s*$"
_CHANNEL = r"(?im)^\s*Ch\d+\s*=\s*([^,\n]+?)\s*,"
_ENTRY = r"(?im)^\s*{key}\s*=\s*(.*?)\s*$"


@dataclass(frozen=True)
class Companions:
    """Files that belong to a header; `stale` are the names in it that no longer exist."""

    data: Path
    markers: Path | None
    stale: tuple[str, ...]


def companions(header: Path) -> Companions:
    """Find data and marker file of a BrainVision header.

    A file that was renamed with its header is found by the header's own name.

    Raises
    ------
    DatasetError
        If the header names no data file, a named file does not exist under either name, or the header
        names a file of another header; if a resolution has a decimal comma, samples are big-endian, or two
        channels have one name.
    """
    text = header_text(header)
    if comma := re.search(_DECIMAL_COMMA, text):
        raise DatasetError(
            f"{header}: the resolution in {comma[0]!r} has a decimal comma, a point is expected; correct the header"
        )
    if re.search(_BIG_ENDIAN, text):
        raise DatasetError(f"{header}: its samples are big-endian, which is not read; export it little-endian")
    names = re.findall(_CHANNEL, re.split(r"(?m)^\[", re.split(r"(?i)\[channel infos\]", text)[-1])[0])
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DatasetError(f"{header}: more than one channel is called {', '.join(twice)}; rename them in the header")
    data, data_stale = _companion(header, text, "DataFile", DATA_SUFFIXES)
    markers, markers_stale = _companion(header, text, "MarkerFile", MARKER_SUFFIXES)
    if data is None:
        raise DatasetError(f"{header}: not a readable EEG recording (no DataFile= in it); fetch or export it again")
    return Companions(data, markers, tuple(name for name in (data_stale, markers_stale) if name))


@contextmanager
def as_mne_reads(header: Path, found: Companions) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give a header, and the options with which MNE reads it and the files found for it.

    MNE reads header and marker files only with endings in lower case; others are copied.
    """
    with TemporaryDirectory() as folder:

        def readable(path: Path) -> Path:
            ending = path.suffix.lower()
            return path if path.suffix == ending else Path(shutil.copy(path, Path(folder) / f"{path.stem}{ending}"))

        markers = readable(found.markers).absolute() if found.markers else False
        yield readable(header), {"overrides": {"data_fname": found.data.absolute(), "marker_fname": markers}}


def header_text(path: Path) -> str:
    """Read the text of a header or marker file; old exports are latin-1.

    Raises
    ------
    DatasetError
        If it is UTF-16, which BrainVision files never are and MNE does not read.
    """
    content = path.read_bytes()
    wide = len(content) > 1 and not (any(content[:32:2]) and any(content[1:32:2]))  # zeros between the letters
    if wide or content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DatasetError(f"{path}: it is UTF-16, UTF-8 or latin-1 is expected; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def named_files(header: Path) -> list[str]:
    """List the names of the data files in a header, which may be damaged."""
    text = header.read_bytes().decode("latin-1") if header.exists() else ""
    return [
        last_part(match[1].replace("$b", header.stem)) for match in re.finditer(_ENTRY.format(key="DataFile"), text)
    ]


def owned(header: Path, given: str, suffixes: tuple[str, ...], where: str) -> tuple[Path, str]:
    """Find the file that a header names, or the file with the header's own name if it was renamed.

    Case does not count, as on the system that wrote it.

    Parameters
    ----------
    header : the file that names another.
    given : the name in it, perhaps with the folders of another system.
    suffixes : endings of such a file.
    where : the key of the name, for messages.

    Returns
    -------
    the file, and the name in the header if that file no longer exists, else ``""``.

    Raises
    ------
    DatasetError
        If neither exists, or the named one belongs to another header.
    """
    name = last_part(given)
    named = find(header.parent / name)
    own = [header.with_suffix(suffix) for suffix in (Path(name).suffix, *suffixes) if suffix]
    beside = next((found for path in own if (found := find(path))), None)
    if named is None and beside is None:
        other = f", nor is {own[-1].name}" if own[-1].name != name else ""
        raise DatasetError(
            f"{header}: not a readable EEG recording (its {where} names {name}, which is not there{other}); "
            f"fetch or export it again"
        )
    if named is None:
        assert beside is not None
        return beside, given
    if named != beside and (other_header := find(named.with_suffix(header.suffix))) and other_header != header:
        lies = f"{beside.name} is beside it" if beside else "it has no file of its own"
        raise DatasetError(
            f"{header}: its {where} names {named.name}, which belongs to another header, but {lies}; correct the header"
        )
    return named, ""


def find(path: Path) -> Path | None:
    """Find the file of this name in its folder, a link too; in another case if there is just one."""
    if path.exists() or path.is_symlink():
        return path
    if not path.parent.is_dir():
        return None
    alike = [other for other in path.parent.iterdir() if other.name.lower() == path.name.lower()]
    return alike[0] if len(alike) == 1 else None


def last_part(given: str) -> str:
    """Return the name of a file without folders, of this system or of Windows."""
    return re.split(r"[\\/]", given)[-1]


def _companion(header: Path, text: str, key: str, suffixes: tuple[str, ...]) -> tuple[Path | None, str]:
    match = re.search(_ENTRY.format(key=key), text)
    if match is None or not match[1]:
        return None, ""
    return owned(header, match[1].replace("$b", header.stem), suffixes, f"{key}=")
