"""The table of a BIDS dataset on its subjects, ``participants.tsv``."""

from __future__ import annotations

from pathlib import Path

from eeg2fmri.datasets.events import EMPTY
from eeg2fmri.datasets.files import read_table
from eeg2fmri.errors import DatasetError, nearest


def read_labels(root: Path, column: str) -> dict[str, str]:
    """Read the label of each subject, ``sub-01`` and so on; leave out those without one (``n/a``).

    Raises
    ------
    DatasetError
        If the table is missing or damaged, has no such column, or names a subject more than once.
    """
    path = root / "participants.tsv"
    rows = read_table(path, ("participant_id",))
    there = [name for name in (rows[0] if rows else {}) if name != "participant_id"]
    if column.lower() not in there:
        hint = nearest(column.lower(), there) or f"; there: {', '.join(there) or 'none'}"
        raise DatasetError(f"{path}: no column {column!r} with labels{hint}; give another --column")
    labels: dict[str, str] = {}
    for row in rows:
        subject = f"sub-{row['participant_id'].removeprefix('sub-')}"
        if subject in labels:
            raise DatasetError(f"{path}: {subject} is there more than once; leave one row")
        labels[subject] = row[column.lower()]
    return {subject: label for subject, label in labels.items() if label not in EMPTY}
