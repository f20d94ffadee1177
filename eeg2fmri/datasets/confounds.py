"""Confounds of a BOLD run, as fMRIPrep writes them beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eeg2fmri.datasets.files import read_table
from eeg2fmri.errors import DatasetError

COLUMN = "framewise_displacement"


def framewise_displacement(path: Path, n_volumes: int) -> np.ndarray:
    """Return how far the head moved since the volume before (Power et al. 2012, NeuroImage 59:2142).

    Parameters
    ----------
    path : table with a column ``framewise_displacement``, one row per volume.
    n_volumes : volumes of the BOLD file.

    Returns
    -------
    (n_volumes,) float32 in mm; 0 for the first volume, which has none before it.

    Raises
    ------
    DatasetError
        If the column is missing, there is not one row per volume, or a value is no length.
    """
    rows = read_table(path)
    if not rows or COLUMN not in rows[0]:
        raise DatasetError(f"{path}: a column {COLUMN} is expected, there is none; remove the file or create it again")
    texts = [row[COLUMN] for row in rows]
    if len(texts) != n_volumes:
        raise DatasetError(
            f"{path}: {len(texts)} rows, one for each of the {n_volumes} volumes is expected; fetch both again"
        )
    values = np.zeros(n_volumes, np.float32)
    for volume, text in enumerate(texts):
        try:
            values[volume] = 0.0 if volume == 0 and text == "n/a" else float(text)
        except ValueError:
            values[volume] = np.nan
        if not 0 <= values[volume] < np.inf:
            raise DatasetError(
                f"{path}: {COLUMN} of volume {volume} is {text!r}, a number of mm is expected; correct it or remove "
                f"the file"
            )
    return values
