"""Auditory and visual oddball (OpenfMRI ds000116, legacy release), TR 2 s, not BIDS.

EEG in ``sub001/EEG/task001_run001/EEG_<kind>.mat`` with the kinds ``noGA`` (gradient artefact removed)
and ``rereferenced``; BOLD in ``sub001/BOLD/task001_run001/bold.nii.gz``. The scanner starts the EEG and
their clocks are synchronised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from eeg2fmri.datasets.adapter import Adapter, Source
from eeg2fmri.datasets.recording import Skipped
from eeg2fmri.datasets.unread import unread_eeg, why_unread

TR_S = 2.0


class Oddball(Adapter):
    """The oddball dataset; `eeg` is ``noGA`` or ``rereferenced``."""

    eeg = "noGA"
    expected = "sub001/EEG/task001_run001/EEG_noGA.mat and sub001/BOLD/task001_run001/bold.nii.gz"

    def eeg_files(self) -> Iterator[Source]:
        """List MATLAB files of the chosen kind; report EEG in other formats as skipped."""
        others = unread_eeg(sorted(self.root.glob("sub*/EEG/task*_run*")))
        self.skipped += [Skipped(path, why_unread(path)) for path in others if path.suffix.lower() != ".mat"]
        yield from self._sources("EEG", (f"EEG_{self.eeg_choice}.mat",), {"alignment": "scanner"})

    def bold_files(self) -> Iterator[Source]:
        """List BOLD of every run."""
        yield from self._sources("BOLD", ("bold.nii.gz", "bold.nii"), {"tr": TR_S})

    def _sources(self, modality: str, names: tuple[str, ...], details: dict[str, Any]) -> Iterator[Source]:
        for path in sorted(self.root.glob(f"sub*/{modality}/task*_run*/*")):
            run = re.fullmatch(r"task(\w+?)_run(\w+)", path.parent.name)
            if run and path.name in names:
                subject = path.relative_to(self.root).parts[0].removeprefix("sub").removeprefix("-")
                yield Source(path, subject, task=run[1], run=run[2], details=details)
