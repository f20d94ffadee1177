"""The `mean` family: the mean training volume for any EEG, the null that every other family must exceed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri.config import MeanConfig
from eeg2fmri.families.networks import ArrayFamily

if TYPE_CHECKING:
    from eeg2fmri.store import Windows
    from eeg2fmri.training import FitResult, FitSettings, OnEpoch


@dataclass(frozen=True)
class MeanNetwork:
    """mean_volume: (x, y, z), mean training volume in standardised units."""

    mean_volume: np.ndarray

    def predict(self, eeg: np.ndarray) -> np.ndarray:
        """Return the same volume for each of the windows (n, C, F, T): (n, x, y, z)."""
        return np.repeat(self.mean_volume[None], len(eeg), axis=0)


class Mean(ArrayFamily[MeanConfig]):
    """The family; validation subjects only score it."""

    config = MeanConfig
    network = MeanNetwork

    def fit(
        self, config: MeanConfig, train: Windows, validation: Windows, settings: FitSettings, on_epoch: OnEpoch | None
    ) -> FitResult:
        """Fit the model, see `Family`."""
        from eeg2fmri.training.closed_form import closed_form_result
        from eeg2fmri.training.settings import fitted_model

        model = fitted_model(config, MeanNetwork(train.mean_volume(config.bold_scaling)), train)
        return closed_form_result(model, validation, {"parameters": int(model.mean_volume.size)}, settings, on_epoch)


FAMILY = Mean()
