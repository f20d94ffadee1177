"""Fit of a model of any family on the windows of training subjects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eeg2fmri.config import ModelConfig
from eeg2fmri.devices import import_keras, use_device
from eeg2fmri.errors import ConfigError, LeakageError
from eeg2fmri.families.family import Family, family_of
from eeg2fmri.families.networks import KerasFamily
from eeg2fmri.training.settings import FitResult, FitSettings, OnEpoch

if TYPE_CHECKING:
    from eeg2fmri.store import Windows


def check_feasible(config: ModelConfig, train: Windows, validation: Windows, settings: FitSettings) -> None:
    """Refuse what `fit` could not finish.

    Raises
    ------
    LeakageError
        If a subject is in both parts.
    ConfigError
        If a GPU is asked for and not there, or there are too few windows or subjects.
    SpecError
        If the architecture does not fit the shapes.
    """
    _check(family_of(config), config, train, validation, settings)


def _check(
    family: Family[Any], config: ModelConfig, train: Windows, validation: Windows, settings: FitSettings
) -> None:
    both = {r.subject for r in train.recordings} & {r.subject for r in validation.recordings}
    if both:
        raise LeakageError(f"{', '.join(sorted(both))} in train and in validation; split by subject")
    for number, recording in enumerate(validation.recordings):
        if (volumes := len(validation.indices(number))) < 2:
            raise ConfigError(
                f"{recording.name} validates with {volumes} volume, at least 2 are needed to score dynamics; leave "
                f"the recording out"
            )
    if settings.device == "gpu":
        use_device(settings.device, settings.gpu_memory_limit)
    if isinstance(family, KerasFamily):
        import_keras()
    family.check(config, train, validation)


def fit(
    config: ModelConfig,
    train: Windows,
    validation: Windows,
    settings: FitSettings = FitSettings(),  # noqa: B008 - frozen
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Fit a model on `train`; choose epoch or penalty on `validation`.

    Parameters
    ----------
    config : family, architecture and optimisation.
    train, validation : windows of disjoint subjects.
    settings : seed, device, checkpoints; by default seed 0, and nothing is kept of an interrupted fit.
    on_epoch : called after each epoch with its place from 0, metrics and an `Example` of a
        validation subject (``None`` for epochs restored from a checkpoint).

    Raises
    ------
    LeakageError, ConfigError, SpecError
        If `check_feasible` refuses it, before anything is trained.
    """
    family = family_of(config)
    _check(family, config, train, validation, settings)
    return family.fit(config, train, validation, settings, on_epoch)
