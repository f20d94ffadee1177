"""Scaling of EEG windows and BOLD volumes for a network; each way is an object with a name.

x: (windows, channels, frequencies, context) magnitudes.  volumes: (volumes, x, y, z), scanner intensity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from eeg2fmri.errors import ConfigError, nearest
from eeg2fmri.signals.bold import BoldStatistics

Scaling = TypeVar("Scaling")


@dataclass(frozen=True)
class EegStatistics:
    """Mean and standard deviation of the training spectrograms, each (channels, frequencies)."""

    mean: np.ndarray
    sd: np.ndarray


class EegScaling(Protocol):
    """A way to bring EEG windows to the scale that a network takes."""

    def standardise(self, x: np.ndarray, statistics: EegStatistics) -> np.ndarray:
        """Scale windows; `statistics` are those of the training set."""
        ...


class Channels:
    """The reference's z-score across channels per (frequency, time)."""

    def standardise(self, x: np.ndarray, statistics: EegStatistics) -> np.ndarray:
        """Scale windows as in `EegScaling`; ConfigError if there is only one channel."""
        if x.shape[1] < 2:
            raise ConfigError("eeg_scaling 'channels' needs at least 2 channels, found 1; use 'training'")
        centred = x - x.mean(axis=1, keepdims=True)
        return _divided(centred, centred.std(axis=1, keepdims=True))


class Training:
    """By the training set's mean and deviation per (channel, frequency)."""

    def standardise(self, x: np.ndarray, statistics: EegStatistics) -> np.ndarray:
        """Scale windows as in `EegScaling`."""
        return _divided(x - statistics.mean[None, :, :, None], statistics.sd[None, :, :, None])


class Unscaled:
    """Magnitudes as they are."""

    def standardise(self, x: np.ndarray, statistics: EegStatistics) -> np.ndarray:
        """Return windows unchanged, see `EegScaling`."""
        return x


class BoldScaling(Protocol):
    """A way to standardise the volumes of one recording by its own statistics, and to undo it.

    The BOLD of an unseen subject is not known when a volume is synthesised. So `restore` gets the statistics of the
    training set, and its intensities have the average scale of the training recordings.
    """

    def standardise(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Scale volumes to the scaling's unit."""
        ...

    def restore(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Return intensities of synthesised volumes."""
        ...

    def mean(self, statistics: BoldStatistics) -> np.ndarray:
        """Return the mean intensity of every voxel in the unit of its fluctuations, (x, y, z)."""
        ...


class Recording:
    """One mean and deviation of the recording (the reference's)."""

    def standardise(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Scale volumes as in `BoldScaling`."""
        return ((volumes - statistics.mean) / statistics.sd).astype(np.float32)

    def restore(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Return intensities as in `BoldScaling`."""
        return volumes * np.float32(statistics.sd) + np.float32(statistics.mean)

    def mean(self, statistics: BoldStatistics) -> np.ndarray:
        """Return mean intensities as in `BoldScaling`."""
        return _divided(statistics.voxel_mean, np.float32(statistics.sd))


class Volume(Recording):
    """Mean and deviation of each volume; `restore` and `mean` are those of `Recording`."""

    def standardise(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Scale volumes as in `BoldScaling`."""
        axes = (1, 2, 3)
        return (volumes - volumes.mean(axes, keepdims=True)) / volumes.std(axes, keepdims=True)


class Voxel:
    """Mean and deviation of each voxel over time."""

    def standardise(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Scale volumes as in `BoldScaling`; 0 for a voxel that does not vary."""
        return _divided(volumes - statistics.voxel_mean, statistics.voxel_sd)

    def restore(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Return intensities as in `BoldScaling`."""
        return volumes * statistics.voxel_sd + statistics.voxel_mean

    def mean(self, statistics: BoldStatistics) -> np.ndarray:
        """Return mean intensities as in `BoldScaling`."""
        return _divided(statistics.voxel_mean, statistics.voxel_sd)


class PercentSignalChange:
    """Percent of each voxel's mean, 0 outside the mask."""

    def standardise(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Scale volumes as in `BoldScaling`."""
        scale = np.where(statistics.mask, statistics.voxel_mean / 100, np.float32(0))
        return _divided(volumes - statistics.voxel_mean, scale)

    def restore(self, volumes: np.ndarray, statistics: BoldStatistics) -> np.ndarray:
        """Return intensities as in `BoldScaling`."""
        change = volumes * statistics.voxel_mean / 100
        return np.where(statistics.mask, change, 0).astype(np.float32) + statistics.voxel_mean

    def mean(self, statistics: BoldStatistics) -> np.ndarray:
        """Return mean intensities as in `BoldScaling`."""
        return np.where(statistics.voxel_mean > 0, np.float32(100), np.float32(0))


EEG_SCALINGS: Mapping[str, EegScaling] = {"channels": Channels(), "training": Training(), "none": Unscaled()}
BOLD_SCALINGS: Mapping[str, BoldScaling] = {
    "recording": Recording(),
    "volume": Volume(),
    "voxel": Voxel(),
    "psc": PercentSignalChange(),
}


def eeg_scaling(name: str) -> EegScaling:
    """Return the scaling of EEG windows called `name`; ConfigError if there is none."""
    return _called(name, EEG_SCALINGS, "eeg_scaling")


def bold_scaling(name: str) -> BoldScaling:
    """Return the scaling of volumes called `name`; ConfigError if there is none."""
    return _called(name, BOLD_SCALINGS, "bold_scaling")


def _called(name: str, scalings: Mapping[str, Scaling], setting: str) -> Scaling:
    if name not in scalings:
        expected = ", ".join(scalings)
        raise ConfigError(f"{setting} {name!r} is not known; expected one of {expected}{nearest(name, scalings)}")
    return scalings[name]


def _divided(values: np.ndarray, scale: np.ndarray | np.float32) -> np.ndarray:
    """Return `values / scale`, and 0 if the scale is not above 0."""
    return np.divide(values, scale, out=np.zeros_like(values), where=np.broadcast_to(scale > 0, values.shape))
