"""Fitting the mean family on windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eeg2fmri.config import MeanConfig
from eeg2fmri.models.mean import MeanNetwork
from eeg2fmri.store import Windows
from eeg2fmri.training.closed_form import closed_form_result
from eeg2fmri.training.settings import FitResult, fitted_model

if TYPE_CHECKING:
    from eeg2fmri.training.callbacks import OnEpoch


def fit_mean_model(config: MeanConfig, train: Windows, validation: Windows, on_epoch: OnEpoch | None) -> FitResult:
    """Take the mean training volume; validation subjects only score it."""
    model = fitted_model(config, MeanNetwork(train.mean_volume(config.bold_scaling)), train)
    return closed_form_result(model, validation, {"parameters": int(model.mean_volume.size)}, on_epoch)
