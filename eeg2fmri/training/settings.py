"""Settings of a fit besides its data, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri.config import ModelConfig, RunConfig
from eeg2fmri.models.fitted import FittedModel, Network

if TYPE_CHECKING:  # a served model does not read a store
    from eeg2fmri.store import Windows

History = dict[str, list[float]]
Example = tuple[np.ndarray, np.ndarray]
MONITOR = "val/r2_temporal"  # the score that chooses the epoch, and the model of a search
OnEpoch = Callable[[int, dict[str, float], Example | None], None]


@dataclass(frozen=True)
class FitSettings:
    """Place and mode of a fit; of these settings only the seed changes the model.

    devices: how many GPUs share a batch (``None``: all that the backend can use).  deterministic: repeat
    to the last bit.  checkpoints: folder for the state after each epoch, from which an interrupted fit of the same
    `key` continues.  progress: show a bar.
    """

    seed: int = 0
    device: str = "auto"
    gpu_memory_limit: int | None = None
    devices: int | None = None
    deterministic: bool = False
    checkpoints: Path | None = None
    key: str = ""
    progress: bool = False

    @classmethod
    def of(
        cls, run: RunConfig, *, checkpoints: Path | None = None, key: str = "", progress: bool = False
    ) -> FitSettings:
        """Make them from a configuration's section ``run``."""
        return cls(
            seed=run.seed,
            device=run.device,
            gpu_memory_limit=run.gpu_memory_limit,
            devices=run.devices,
            deterministic=run.deterministic,
            checkpoints=checkpoints,
            key=key,
            progress=progress,
        )


@dataclass(frozen=True)
class FitResult:
    """A fitted model, its scores per epoch (a closed form has one) and the epoch that was kept.

    refitted: the model was fitted once more, on training and validation subjects; the scores are older.
    """

    model: FittedModel
    history: History
    best_epoch: int
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    refitted: bool = False


def fitted_model(config: ModelConfig, network: Network, train: Windows) -> FittedModel:
    """Put the training subjects' statistics around a fitted network."""
    return FittedModel(config, network, train.eeg_statistics(), train.bold_statistics(), train.mean_volume("recording"))
