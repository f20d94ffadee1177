"""Confounds of a BOLD run, as fMRIPrep writes them beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eeg2fmri.datasets.files import read_table
from eeg2fmri.errors import DatasetError

COLUMN = "framewise_displacement"
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


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
    return _column(path, COLUMN, n_volumes, "mm", lowest=0.0, first="n/a")


def motion_parameters(path: Path, n_volumes: int) -> dict[str, np.ndarray]:
    """Return the six parameters of the head's rigid motion, ``trans_*`` in mm and ``rot_*`` in radians.

    Parameters and errors as `framewise_displacement`.

    Returns
    -------
    Each (n_volumes,) float32, by the name of its column.
    """
    return {name: _column(path, name, n_volumes, "mm or rad") for name in MOTION}


def _column(path: Path, column: str, n_volumes: int, unit: str, lowest: float = -np.inf, first: str = "") -> np.ndarray:
    """Return numbers of a column, (n_volumes,) float32; that of the first volume is 0 where it is the text `first`."""
    rows = read_table(path)
    if not rows or column not in rows[0]:
        raise DatasetError(f"{path}: a column {column} is expected, there is none; remove the file or make it again")
    texts = [row[column] for row in rows]
    if len(texts) != n_volumes:
        raise DatasetError(
            f"{path}: {len(texts)} rows, one for each of the {n_volumes} volumes is expected; fetch both again"
        )
    values = np.zeros(n_volumes, np.float32)
    for volume, text in enumerate(texts):
        try:
            values[volume] = 0.0 if volume == 0 and text == first else float(text)
        except ValueError:
            values[volume] = np.nan
        if not np.isfinite(values[volume]) or values[volume] < lowest:
            raise DatasetError(
                f"{path}: {column} of volume {volume} is {text!r}, a number of {unit} is expected; correct it or "
                f"remove the file"
            )
    return values
