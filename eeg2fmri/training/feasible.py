"""Which instances a model of several volumes can be trained on."""

from __future__ import annotations

import numpy as np

from eeg2fmri.errors import ConfigError
from eeg2fmri.store import Windows


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
