"""What can be refused before any training starts: shapes, sizes, devices. Keras is not needed, but for a GPU."""

from __future__ import annotations

import numpy as np

from eeg2fmri.config import Calhas2022Config, FactorisedConfig, ModelConfig
from eeg2fmri.devices import use_backend, use_device
from eeg2fmri.errors import ConfigError, LeakageError
from eeg2fmri.models.factorised_fit import members
from eeg2fmri.models.spec import check_shapes
from eeg2fmri.store import Windows
from eeg2fmri.training.settings import FitSettings


def check_feasible(config: ModelConfig, train: Windows, validation: Windows, settings: FitSettings) -> None:
    """Refuse what `fit` could not finish.

    Raises
    ------
    LeakageError
        If a subject is in both parts.
    ConfigError
        If a GPU is asked for that is not there, or there are too few windows or subjects.
    SpecError
        If the architecture does not fit the shapes.
    """
    both = {r.subject for r in train.recordings} & {r.subject for r in validation.recordings}
    if both:
        raise LeakageError(f"{', '.join(sorted(both))} in train and in validation; split by subject")
    if settings.device == "gpu":
        use_backend()
        use_device(settings.device, settings.gpu_memory_limit)
    if isinstance(config, FactorisedConfig):
        members([recording.subject for recording in train.recordings], config.members)
    if isinstance(config, Calhas2022Config):
        _check_deep(config, train, validation)


def _check_deep(config: Calhas2022Config, train: Windows, validation: Windows) -> None:
    recording = train.recordings[0]
    _, channels, frequencies = recording.spectrogram.shape
    x, y, z = recording.mask.shape
    check_shapes(config, (channels, frequencies, train.context), (x, y, z))
    instances, batch = len(complete(train, config.volumes)), config.training.batch_size
    if batch > instances:
        raise ConfigError(
            f"training.batch_size {batch} is larger than the training set of {instances} windows; make it smaller"
        )
    # Dynamics are scored, which takes two volumes.
    complete(validation, config.volumes + 1)


def complete(windows: Windows, volumes: int) -> np.ndarray:
    """Instances that have `volumes` consecutive volumes of their recording from their own on.

    Raises
    ------
    ConfigError
        If a recording has none.
    """
    each = [windows.indices(number) for number in range(len(windows.recordings))]
    for recording, rows in zip(windows.recordings, each, strict=True):
        if len(rows) < volumes:
            raise ConfigError(
                f"volumes: {volumes} in a row are needed, but {recording.name} has {len(rows)} with an EEG context; "
                f"set volumes to less or leave the recording out"
            )
    return np.concatenate([rows[: len(rows) - volumes + 1] for rows in each])
