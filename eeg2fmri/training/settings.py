"""Settings of a fit besides its data, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from eeg2fmri.config import Config, EvaluationConfig, ModelConfig
from eeg2fmri.evaluation import Dynamics
from eeg2fmri.models.fitted import FittedModel, Network

if TYPE_CHECKING:  # a served model does not read a store
    from eeg2fmri.store import Windows

History = dict[str, list[float]]
MONITOR = "val/r2_temporal"  # what chooses the epoch, and the model of a search


class Example(NamedTuple):
    """Example: what an epoch shows of a validation subject.

    measured, synthesised: (x, y, z), the middle volume of the first recording in standard units.  dynamics: of that
    recording, with courses of a region that is fixed before training.
    """

    measured: np.ndarray
    synthesised: np.ndarray
    dynamics: Dynamics


OnEpoch = Callable[[int, dict[str, float], Example | None], None]


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit; what it fits depends on the seed and on `drift_cutoff` alone.

    drift_cutoff: s; `val/r2_temporal`, which chooses epochs and models, counts no slower changes, as the score that
    decides (`evaluation.drift_cutoff`).  devices: how many GPUs share a batch (``None``: all that the backend can use).
    deterministic: repeat to the last bit.  checkpoints: folder for the state after each epoch, from which an
    interrupted fit of the same `key` continues.  progress: show a bar.
    """

    seed: int = 0
    drift_cutoff: float = EvaluationConfig().drift_cutoff
    device: str = "auto"
    gpu_memory_limit: int | None = None
    devices: int | None = None
    deterministic: bool = False
    checkpoints: Path | None = None
    key: str = ""
    progress: bool = False

    @classmethod
    def of(
        cls, config: Config, *, checkpoints: Path | None = None, key: str = "", progress: bool = False
    ) -> FitSettings:
        """Return those of a configuration."""
        run = config.run
        return cls(
            seed=run.seed,
            drift_cutoff=config.evaluation.drift_cutoff,
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
