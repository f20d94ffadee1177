"""Fitting a model of any family on the windows of training subjects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri.config import FactorisedConfig, LinearConfig, MeanConfig, ModelConfig
from eeg2fmri.store import Windows
from eeg2fmri.training.feasible import check_feasible
from eeg2fmri.training.linear import fit_linear_model
from eeg2fmri.training.mean import fit_mean_model
from eeg2fmri.training.settings import FitResult, FitSettings

if TYPE_CHECKING:
    from eeg2fmri.training.callbacks import OnEpoch


def fit(
    config: ModelConfig,
    train: Windows,
    validation: Windows,
    frequencies: np.ndarray,
    settings: FitSettings = FitSettings(),  # noqa: B008 - frozen
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Fit a model on `train`, choosing epoch or penalty on `validation`.

    Parameters
    ----------
    config : family, architecture and optimisation.
    train, validation : windows of disjoint subjects.
    frequencies : (F,) Hz of the spectrogram.
    settings : seed, device, checkpoints; by default seed 0, and nothing is kept of an interrupted fit.
    on_epoch : called after each epoch with its number, metrics and an example of a
        measured and a synthesised validation volume (``None`` for epochs restored from a checkpoint).

    Raises
    ------
    LeakageError, ConfigError, SpecError
        What `check_feasible` refuses, before anything is trained.
    """
    check_feasible(config, train, validation, settings)
    if isinstance(config, LinearConfig):
        return fit_linear_model(config, train, validation, frequencies, on_epoch)
    if isinstance(config, MeanConfig):
        return fit_mean_model(config, train, validation, on_epoch)
    # Keras takes seconds to import; the other families do without it.
    if isinstance(config, FactorisedConfig):
        from eeg2fmri.training.factorised import fit_factorised_model

        return fit_factorised_model(config, train, validation, frequencies, settings, on_epoch)
    from eeg2fmri.training.deep import fit_deep_model

    return fit_deep_model(config, train, validation, settings, on_epoch)
