"""Recordings in memory, as `eeg2fmri.testing` ships them, and the published family on their shapes."""

from __future__ import annotations

from eeg2fmri.config import BlockSpec, Calhas2022Config, TrainingConfig
from eeg2fmri.testing import (
    CHANNELS,
    CONTEXT,
    EEG_SHAPE,
    FREQUENCIES,
    GRID,
    LAG,
    SAMPLING_RATE,
    SIGNAL,
    TR,
    recording,
)

__all__ = [
    "CHANNELS",
    "CONTEXT",
    "EEG_SHAPE",
    "FREQUENCIES",
    "GRID",
    "LAG",
    "SAMPLING_RATE",
    "SIGNAL",
    "TR",
    "deep_config",
    "recording",
]

LATENT = (2, 3, 4)
EEG_SPEC = BlockSpec(kernels=((2, 4, 2),), strides=((1, 2, 1),), pool=(2, 1, 1))
FMRI_SPEC = BlockSpec(kernels=((3, 2, 2),), strides=((1, 2, 1),), pool=(1, 1, 2))


def deep_config(**changes: object) -> Calhas2022Config:
    """The published family on tiny shapes; keys of `TrainingConfig` go to its training section."""
    training = {"epochs": 3, "batch_size": 5, "patience": 10}
    training |= {key: changes.pop(key) for key in list(changes) if key in TrainingConfig.model_fields}
    base = {"latent": LATENT, "filters": 2, "eeg": EEG_SPEC, "fmri": FMRI_SPEC, "training": TrainingConfig(**training)}
    return Calhas2022Config(**(base | changes))
