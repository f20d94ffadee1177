"""The `mean` family: the mean training volume for any EEG, the null that every other family must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MeanNetwork:
    """mean_volume: (x, y, z), mean training volume in standardised units."""

    mean_volume: np.ndarray

    def predict(self, eeg: np.ndarray) -> np.ndarray:
        """The same volume for each of the windows (n, C, F, T): (n, x, y, z)."""
        return np.repeat(self.mean_volume[None], len(eeg), axis=0)
