"""XP1 and XP2: neurofeedback of motor imagery (OpenNeuro ds002336, ds002338).

Raw EEG is BIDS; preprocessed EEG is in ``derivatives/sub-*/eeg_pp`` and is named
``[d_]sub-*_task-*[_run-*]_eeg_pp.vhdr``. Channel 32 is the ECG. The EEG of ``eeg_pp`` starts with the
first rest block, 2 s after the scanner.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eeg2fmri.datasets.bids import Bids, _comparable, _folders, _modality_folders, entities
from eeg2fmri.errors import DatasetError, nearest

ECG_INDEX = 31


class Xp(Bids):
    """XP1 or XP2."""

    eeg = "eeg_pp"
    expected = "XP1 or XP2 with derivatives/sub-*/eeg_pp/*_eeg_pp.vhdr and sub-*/func/*_bold.nii.gz"

    def eeg_details(self, path: Path) -> dict[str, Any]:
        """Return the ECG channel, and the clock of preprocessed EEG.

        Markers without a volume follow the run; the check is that the first one precedes the first rest block.
        """
        details = {**super().eeg_details(path), "channel_types": ((ECG_INDEX, "ecg"),)}
        if not self.config.surplus_markers:
            details["surplus_markers"] = "end"
        return details if self.eeg_choice == "raw" else {**details, "alignment": "xp", **self._raw_clock(path)}

    def _raw_clock(self, path: Path) -> dict[str, Any]:
        """Return header and event table of the run's raw EEG, if they exist."""
        names = _comparable(entities(path))
        for folder in _modality_folders(self.root, "eeg"):
            for raw in sorted(folder.glob("*_eeg.vhdr")):
                if _comparable(entities(raw)) == names:
                    return {"clock_path": raw, "clock_events_path": _events_of(raw)}
            for table in sorted(folder.glob("*_events.tsv")):
                if _comparable(entities(table)) == names:
                    return {"clock_events_path": table}
        return {}

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


def _events_of(header: Path) -> Path | None:
    table = header.with_name(header.name.replace("_eeg.vhdr", "_events.tsv"))
    return table if table.exists() else None
