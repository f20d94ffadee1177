"""The search space: from an Optuna trial to a model of the published family, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from eeg2fmri.config import Calhas2022Config, SearchConfig
from eeg2fmri.search.architectures import block_parameters, suggest_blocks
from eeg2fmri.store import Store

if TYPE_CHECKING:
    import optuna

NO_POOL = (1, 1, 1)


def suggest_model(
    trial: optuna.Trial,
    base: Calhas2022Config,
    search: SearchConfig,
    eeg_shape: tuple[int, int, int],
    grid: tuple[int, int, int],
) -> Calhas2022Config:
    """Draw a model; what the search does not vary stays as in `base`."""
    learning_rate = trial.suggest_float("learning_rate", *search.learning_rate, log=True)
    batch_size = trial.suggest_categorical("batch_size", search.batch_size)
    side = trial.suggest_categorical("latent_side", search.latent_side)
    changes: dict[str, Any] = {
        "training": base.training.model_copy(
            update={"learning_rate": learning_rate, "batch_size": batch_size, "epochs": search.epochs}
        ),
        "latent": (side, side, side),
        "weight_decay": trial.suggest_float("weight_decay", *search.weight_decay, log=True),
        "filters": trial.suggest_categorical("filters", search.filters),
        "dropout": trial.suggest_float("dropout", *search.dropout),
    }
    for switch in ("max_pool", "batch_norm", "skip", "output_conv"):
        changes[switch] = trial.suggest_categorical(switch, (True, False))
    if search.architectures:
        for name, spec, shape, target, depths in (
            ("eeg", base.eeg, eeg_shape, search.eeg_target, search.eeg_blocks),
            ("fmri", base.fmri, grid, search.fmri_target, search.fmri_blocks),
        ):
            pool = (spec.pool, spec.pool_stride) if changes["max_pool"] else (NO_POOL, NO_POOL)
            changes[name] = suggest_blocks(trial, name, shape, target, depths, *pool)
    return base.model_copy(update=changes)


def decoder_weights(model: Calhas2022Config, channels: int, grid: tuple[int, int, int]) -> int:
    """Weights of the dense layers and the Fourier features between the latent and the volume."""
    latent = math.prod(model.latent)
    return latent * (math.prod(grid) + latent + (channels**2 if model.variant == "tafp-style" else 0))


def parameters_of(base: Calhas2022Config, search: SearchConfig, store: Store) -> dict[str, Any]:
    """The inverse of `suggest_model` for the base; values outside a range are left to the sampler."""
    signal = store.signal
    wanted: dict[str, Any] = {
        "learning_rate": base.training.learning_rate,
        "weight_decay": max(base.weight_decay, search.weight_decay[0]),
        "batch_size": base.training.batch_size,
        "latent_side": base.latent[0],
        "filters": base.filters,
        "dropout": base.dropout,
    }
    for switch in ("max_pool", "batch_norm", "skip", "output_conv"):
        wanted[switch] = getattr(base, switch)
    for name in ("batch_size", "latent_side", "filters"):
        if wanted[name] not in getattr(search, name):
            del wanted[name]
    if search.architectures:
        eeg_shape = (len(signal["channels"]), len(signal["frequencies"]), store.context)
        wanted.update(block_parameters(base.eeg, "eeg", eeg_shape, search.eeg_target))
        wanted.update(block_parameters(base.fmri, "fmri", tuple(signal["grid"]), search.fmri_target))
    return wanted
