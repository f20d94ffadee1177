"""Standardisation of EEG windows.

x: (windows, channels, frequencies, context) magnitudes in µV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eeg2fmri.errors import ConfigError


@dataclass(frozen=True)
class EegStatistics:
    """Mean and standard deviation of the training spectrograms, each (channels, frequencies)."""

    mean: np.ndarray
    sd: np.ndarray


def standardise_eeg(x: np.ndarray, kind: str, statistics: EegStatistics) -> np.ndarray:
    """Bring EEG windows to the scale that a model was trained on.

    Parameters
    ----------
    x : (windows, channels, frequencies, context) in µV.
    kind : ``"channels"``, the reference's z-score across channels per (frequency, time);
        ``"training"``, by the training set's mean and deviation per (channel, frequency);
        ``"none"``, magnitudes as they are.
    statistics : of the training set; used by ``"training"`` only.

    Raises
    ------
    ConfigError
        If `kind` is ``"channels"`` and there is only one channel.
    """
    if kind == "channels":
        if x.shape[1] < 2:
            raise ConfigError("eeg_scaling 'channels' needs at least 2 channels, found 1; use 'training'")
        centred = x - x.mean(axis=1, keepdims=True)
        return _divide(centred, centred.std(axis=1, keepdims=True))
    if kind == "training":
        return _divide(x - statistics.mean[None, :, :, None], statistics.sd[None, :, :, None])
    return x


def _divide(x: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """`x / sd`, and 0 where nothing varies."""
    return np.divide(x, sd, out=np.zeros_like(x), where=sd > 0)
