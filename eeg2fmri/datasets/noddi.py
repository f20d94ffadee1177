"""NODDI: rest with a fixation cross (OSF 94c5t), 64 channels (63 and ECG), TR 2.16 s, not BIDS.

EEG lies in ``EEG1/<id>/`` and ``EEG2/<id>/``, or merged in ``EEG/<id>/``, each with ``export/*.vhdr``
(corrected, 250 Hz) and ``raw/*.vhdr``; BOLD in ``fMRI/<id>/*rest_with_cross.nii.gz``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eeg2fmri.datasets.adapter import Adapter, Source
from eeg2fmri.datasets.recording import Skipped

TR_S = 2.16
EEG_FOLDERS = ("eeg", "eeg1", "eeg2")
BROKEN = {"35": "subject 35 is reported broken; ask for it with dataset.subjects=35"}


class Noddi(Adapter):
    """NODDI; `eeg` is ``export`` or ``raw``."""

    eeg = "export"
    expected = "EEG1/<id>/export/*.vhdr (or EEG2, EEG) and fMRI/<id>/*rest_with_cross.nii.gz"

    def eeg_files(self) -> Iterator[Source]:
        """Headers of the chosen folder of every subject."""
        for subject in self._subjects(EEG_FOLDERS):
            for path in _files(subject / self.eeg_choice, (".vhdr",)):
                yield from self._sound(Source(path, subject.name, task="rest"))

    def bold_files(self) -> Iterator[Source]:
        """The run of rest with a fixation cross of every subject."""
        for subject in self._subjects(("fmri",)):
            for path in _files(subject, ("rest_with_cross.nii.gz", "rest_with_cross.nii")):
                yield from self._sound(Source(path, subject.name, task="rest", details={"tr": TR_S}))

    def _subjects(self, names: tuple[str, ...]) -> Iterator[Path]:
        for folder in sorted(self.root.iterdir()):
            if folder.is_dir() and folder.name.lower() in names:
                yield from sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))

    def _sound(self, source: Source) -> Iterator[Source]:
        """Leave out what is reported broken, unless it is asked for."""
        reason = BROKEN.get(source.subject)
        asked = {label.removeprefix("sub-") for label in self.config.subjects}
        if reason and source.subject not in asked:
            self.skipped.append(Skipped(source.path, reason, source.name))
        else:
            yield source


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.name.lower().endswith(endings) and not p.name.startswith("."))
