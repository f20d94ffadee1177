"""One recording of simultaneous EEG and BOLD: its files and what is known about them. No signals."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eeg2fmri.datasets.brainvision import companions
from eeg2fmri.errors import DatasetError

VOLUME_MARKER = "R128"


@dataclass(frozen=True)
class Skipped:
    """A file that belongs to no recording, and why. `name` is the recording it would belong to."""

    path: Path
    reason: str
    name: str = ""


@dataclass(frozen=True)
class Recording:
    """Files of one subject × session × task × run.

    channels_path: BIDS table of names, types and states of the channels, or ``None``.
    sidecars, eeg_sidecars: JSON files of BOLD and EEG, from the least to the most specific.
    eeg_events_path, bold_events_path: event tables on the EEG's and on the BOLD's clock.
    space: of the volumes, the BIDS entity; ``native`` where subjects are not registered to each
        other, ``unstated`` for a preprocessed image whose name does not say.
    mask_path: brain mask in that space, or ``None``.
    alignment: rule that puts EEG and BOLD on one clock (`eeg2fmri.datasets.align`).
    missing_markers: which end of the run markers are missing from, where that is known.
    volume_marker: description of the marker that the scanner writes at each volume.
    channel_types: (index, type) of channels whose type only the dataset's documentation gives.
    tr: seconds between volumes where the documentation gives it and no sidecar does.
    orientation: how voxels are stored where a header does not say, e.g. ``LAS``.
    """

    subject: str
    name: str
    eeg_path: Path
    bold_path: Path
    session: str = ""
    task: str = ""
    run: str = ""
    channels_path: Path | None = None
    sidecars: tuple[Path, ...] = ()
    eeg_sidecars: tuple[Path, ...] = ()
    eeg_events_path: Path | None = None
    bold_events_path: Path | None = None
    space: str = "native"
    mask_path: Path | None = None
    alignment: str = "auto"
    missing_markers: str = "refuse"
    volume_marker: str = VOLUME_MARKER
    channel_types: tuple[tuple[int, str], ...] = ()
    tr: float | None = None
    orientation: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the signals are read from."""
        optional = (self.channels_path, self.eeg_events_path, self.bold_events_path, self.mask_path)
        return (
            self.eeg_path,
            *_eeg_companions(self.eeg_path),
            *self.eeg_sidecars,
            self.bold_path,
            *self.sidecars,
            *(path for path in optional if path),
        )

    @property
    def rules(self) -> dict[str, Any]:
        """What the signals depend on besides the content of the files; part of a store's digest."""
        return {
            "alignment": self.alignment,
            "missing_markers": self.missing_markers,
            "volume_marker": self.volume_marker,
            "channel_types": [list(pair) for pair in self.channel_types],
            "tr": self.tr,
            "orientation": self.orientation,
            "space": self.space,
        }


def is_marker(description: str, marker: str) -> bool:
    """Whether a description such as ``Response/R128`` or ``Stimulus/S  2`` is that of `marker`."""
    wanted = re.escape(re.sub(r"\s+", "", marker))
    return bool(re.search(rf"(?<![A-Za-z0-9]){wanted}(?![A-Za-z0-9])", re.sub(r"\s+", "", description)))


def _eeg_companions(path: Path) -> tuple[Path, ...]:
    """Files beside an EEG header that hold its samples and markers."""
    if path.suffix.lower() == ".vhdr":
        try:
            found = companions(path)
        except (OSError, DatasetError):  # opening it says what is wrong
            return ()
        return tuple(p for p in (found.data, found.markers) if p and p.exists())
    data = path.with_suffix(".fdt")
    return (data,) if path.suffix.lower() == ".set" and data.exists() else ()
