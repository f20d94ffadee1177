"""NODDI: rest with a fixation cross (OSF 94c5t), 64 channels (63 and ECG), TR 2.16 s, not BIDS.

EEG is in ``EEG1/<id>/`` and ``EEG2/<id>/``, or merged in ``EEG/<id>/``, each with ``export/*.vhdr``
(corrected, 250 Hz) and ``raw/*.vhdr``; BOLD in ``fMRI/<id>/*rest_with_cross.nii.gz``. The export has the volume
markers (``Scan Start``), up to two minutes after its first sample; the raw EEG has only a time of day.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eeg2fmri.datasets.adapter import Adapter, Source
from eeg2fmri.datasets.recording import Skipped
from eeg2fmri.datasets.unread import unread_eeg, why_unread

TR_S = 2.16
EEG_FOLDERS = ("eeg", "eeg1", "eeg2")


class Noddi(Adapter):
    """NODDI; `eeg` is ``export`` or ``raw``."""

    eeg = "export"
    expected = "EEG1/<id>/export/*.vhdr (or EEG2, EEG) and fMRI/<id>/*rest_with_cross.nii.gz"

    def eeg_files(self) -> Iterator[Source]:
        """List headers in the chosen folder of every subject; report EEG that is not read as skipped."""
        for subject in self._subjects(EEG_FOLDERS):
            folders = [folder for folder in (subject / self.eeg_choice,) if folder.is_dir()]
            self.skipped += [Skipped(path, why_unread(path)) for path in unread_eeg(folders)]
            for path in _files(subject / self.eeg_choice, (".vhdr",)):
                yield Source(path, subject.name, task="rest", details=self._clock(subject))

    def bold_files(self) -> Iterator[Source]:
        """List the run of rest with a fixation cross of every subject."""
        for subject in self._subjects(("fmri",)):
            for path in _files(subject, ("rest_with_cross.nii.gz", "rest_with_cross.nii")):
                yield Source(path, subject.name, task="rest", details={"tr": TR_S})

    def _subjects(self, names: tuple[str, ...]) -> Iterator[Path]:
        for folder in sorted(self.root.iterdir()):
            if folder.is_dir() and folder.name.lower() in names:
                yield from sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))

    def _clock(self, subject: Path) -> dict[str, Any]:
        """Return the export as the clock of the raw EEG: it has the scanner's start."""
        if self.eeg_choice == self.eeg:
            return {}
        exports = _files(subject / self.eeg, (".vhdr",))
        return {"alignment": "wall-clock", "clock_path": exports[0] if len(exports) == 1 else None}


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.name.lower().endswith(endings) and not p.name.startswith("."))
