"""A BOLD run, whole or its header alone, as every reader of the package passes it on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bold:
    """BOLD of one recording in the closest RAS+: (volumes, x, y, z) intensity, TR in seconds, affine in mm.

    volumes: float32, or integers as in a file without scaling; a view on the file's bytes if
    nothing had to be converted.  orientation: as stored, e.g. ``LAS``.  notes: what was not read as written.
    """

    volumes: np.ndarray
    tr: float
    affine: np.ndarray
    orientation: str = "RAS"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoldHeader:
    """Header of a BOLD file: (x, y, z), number of volumes, TR in seconds, affine in mm; grid and affine in RAS+.

    orientation: as stored, e.g. ``LAS``.  notes: what was not read as written.
    """

    grid: tuple[int, int, int]
    n_volumes: int
    tr: float
    affine: np.ndarray
    orientation: str
    notes: tuple[str, ...]
