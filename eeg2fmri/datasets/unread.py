"""EEG files in formats that are not read: every one is reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from eeg2fmri.datasets.brainvision import DATA_SUFFIXES, named_files

UNREAD = (
    ".mat",
    ".cnt",
    ".mff",
    ".mefd",
    ".nwb",
    ".gdf",
    ".egi",
    ".raw",
    ".ns2",
    ".ns5",
    ".trc",
    ".lay",
    ".xdf",
    ".ncs",
)


def unread_eeg(folders: Iterable[Path]) -> Iterator[Path]:
    """List EEG below these folders that nothing here reads; also data of BrainVision without a header."""
    for folder in folders:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        yield from (path for path in paths if path.suffix.lower() in UNREAD)
        headers = [path for path in paths if path.suffix.lower() == ".vhdr"]
        stems = {header.stem.lower() for header in headers}
        alone = [p for p in paths if p.suffix.lower() in DATA_SUFFIXES and p.stem.lower() not in stems]
        named = {name.lower() for header in headers for name in named_files(header)} if alone else set()
        yield from (path for path in alone if path.name.lower() not in named)


def why_unread(path: Path) -> str:
    """Write the line on such a file."""
    return f"EEG in a format that is not read ({path.suffix or path.name}); export it as BrainVision or EDF"
