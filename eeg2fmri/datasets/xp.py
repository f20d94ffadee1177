"""XP1 and XP2: neurofeedback of motor imagery (OpenNeuro ds002336, ds002338).

Raw EEG is BIDS; the preprocessed one lies beside it in ``derivatives/sub-*/eeg_pp`` and is named
``[d_]sub-*_task-*[_run-*]_eeg_pp.vhdr``. Channel 32 is the ECG. The EEG of ``eeg_pp`` starts with the
first rest block, 2 s after the scanner.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eeg2fmri.datasets.bids import Bids, _folders, _modality_folders
from eeg2fmri.errors import DatasetError, nearest

ECG_INDEX = 31


class Xp(Bids):
    """XP1 or XP2."""

    eeg = "eeg_pp"
    expected = "XP1 or XP2 with derivatives/sub-*/eeg_pp/*_eeg_pp.vhdr and sub-*/func/*_bold.nii.gz"

    def eeg_details(self, path: Path) -> dict[str, Any]:
        """The ECG channel, and the clock of preprocessed EEG."""
        derived = {} if self.eeg_choice == "raw" else {"alignment": "xp"}
        return {**super().eeg_details(path), "channel_types": ((ECG_INDEX, "ecg"),), **derived}

    def _eeg_folders(self) -> Iterable[Path]:
        if self.eeg_choice == "raw":
            return super()._eeg_folders()
        base = self.root / "derivatives"
        folders = list(_modality_folders(base, self.eeg_choice.lower()))
        if not folders:
            there = sorted({folder.name for subject in _folders(base) for folder in _folders(subject)})
            hint = nearest(self.eeg_choice, there) or f"; there: {', '.join(there) or 'none'}"
            raise DatasetError(
                f"{self.root}: no derivative {self.eeg_choice!r} (derivatives/sub-*/{self.eeg_choice}){hint}"
            )
        return folders
