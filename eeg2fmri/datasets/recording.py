"""One recording of simultaneous EEG and BOLD: its files, their description and their common clock. No signals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.datasets.brainvision import companions
from eeg2fmri.datasets.eeglab import data_file
from eeg2fmri.errors import DatasetError

AUTO = "auto"


@dataclass(frozen=True)
class Skipped:
    """A file that belongs to no recording, and the reason. `name` is the recording that it would belong to."""

    path: Path
    reason: str
    name: str = ""


@dataclass(frozen=True)
class Echo:
    """One echo of a BOLD run, and its JSON sidecars from the least to the most specific."""

    path: Path
    sidecars: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Recording:
    """Files of one subject × session × task × run.

    channels_path: BIDS table of names, types and states of the channels, or ``None``.
    sidecars, eeg_sidecars: JSON files of BOLD and EEG, from the least to the most specific.
    eeg_events_path, bold_events_path: event tables on the EEG's and on the BOLD's clock.
    space: of the volumes, the BIDS entity; ``native`` if subjects are not registered to each other, ``unstated`` for a
    preprocessed image without it in its name. mask_path: brain mask in that space, or ``None``. confounds_path: table
    of fMRIPrep with the framewise displacement, or ``None``. alignment: rule that puts EEG and BOLD on one clock
    (`eeg2fmri.datasets.align`). missing_markers: the end of the run at which markers are missing, if that is known.
    surplus_markers: the end of the run that has markers without volumes, if that is known.
    volume_marker: description of the marker that the scanner writes at each volume; ``auto`` looks for it.
    clock_path, clock_events_path: another EEG file of the run, and its event table, which give the clock.
    channel_types: (index, type) of channels whose type only the dataset's documentation gives.
    echoes: of the BOLD run, if they are combined; `bold_path` is the first of them.
    tr: seconds between volumes, if the documentation gives it and no sidecar does.
    orientation: of stored voxels if a header does not give it, e.g. ``LAS``.
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
    confounds_path: Path | None = None
    alignment: str = "auto"
    missing_markers: str = "refuse"
    surplus_markers: str = "refuse"
    volume_marker: str = AUTO
    clock_path: Path | None = None
    clock_events_path: Path | None = None
    channel_types: tuple[tuple[int, str], ...] = ()
    echoes: tuple[Echo, ...] = ()
    tr: float | None = None
    orientation: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """List every file that the signals are read from."""
        optional = (
            self.channels_path,
            self.eeg_events_path,
            self.bold_events_path,
            self.mask_path,
            self.confounds_path,
            self.clock_events_path,
            *_markers_alone(self.clock_path),
        )
        return (
            self.eeg_path,
            *eeg_companions(self.eeg_path),
            *self.eeg_sidecars,
            self.bold_path,
            *self.sidecars,
            *(file for echo in self.echoes[1:] for file in (echo.path, *echo.sidecars) if file not in self.sidecars),
            *(path for path in optional if path),
        )

    @property
    def rules(self) -> dict[str, Any]:
        """List what the signals depend on besides the content of the files; part of a store's digest."""
        return {
            "alignment": self.alignment,
            "missing_markers": self.missing_markers,
            "surplus_markers": self.surplus_markers,
            "volume_marker": self.volume_marker,
            "channel_types": [list(pair) for pair in self.channel_types],
            "tr": self.tr,
            "orientation": self.orientation,
            "space": self.space,
        }


def _markers_alone(path: Path | None) -> tuple[Path, ...]:
    """List files of another EEG of the run from which the clock is read: no samples."""
    if path is None or not path.exists():
        return ()
    return tuple(part for part in (path, *eeg_companions(path)) if part.suffix.lower() in (".vhdr", ".vmrk"))


def eeg_companions(path: Path) -> tuple[Path, ...]:
    """List files beside an EEG header that hold its samples and markers."""
    parts: tuple[Path | None, ...] = ()
    try:
        if path.suffix.lower() == ".vhdr":
            found = companions(path)
            parts = (found.data, found.markers)
        elif path.suffix.lower() == ".set":
            parts = (data_file(path)[0],)
    except (OSError, DatasetError):  # the error comes when it is opened
        return ()
    return tuple(part for part in parts if part and part.exists())


@dataclass(frozen=True)
class Alignment:
    """Clock of a recording: start of BOLD in the EEG, and how it is known. Samples count on the EEG's time axis.

    onset: sample (fractional, negative if the EEG starts later) of BOLD time zero, the onset of volume 0.
    period: samples from volume to volume, on the EEG's clock.  source: e.g. ``R128``, ``StartTime``.
    how: the way to the scanner's marker.  runner_up: the second best marker, and its pattern.
    markers_found, markers_missing: volumes of the run with and without a marker, if there are markers.
    onsets: samples at which the scanner starts a volume, also before and after the run; markers: those of
    the run's markers, as observed; both empty where another clock was used.
    known_from: the first sample that the onset was derived from.
    warnings: remarks that a person should check.
    """

    onset: float
    period: float
    source: str
    how: str = ""
    runner_up: str = ""
    markers_found: int = 0
    markers_missing: int = 0
    onsets: np.ndarray = field(default_factory=lambda: np.empty(0))
    markers: np.ndarray = field(default_factory=lambda: np.empty(0))
    known_from: float = 0.0
    warnings: tuple[str, ...] = ()
