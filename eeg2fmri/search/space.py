"""The search space: from an Optuna trial to a model of the published family, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from eeg2fmri.config import Calhas2022Config, SearchConfig
from eeg2fmri.models.architectures import encoders
from eeg2fmri.search.architectures import block_parameters, suggest_blocks
from eeg2fmri.store import Store

if TYPE_CHECKING:
    import optuna

NO_POOL = (1, 1, 1)
SWITCHES = ("max_pool", "batch_norm", "skip")


def suggest_model(
    trial: optuna.Trial,
    base: Calhas2022Config,
    search: SearchConfig,
    eeg_shape: tuple[int, int, int],
    grid: tuple[int, int, int],
) -> Calhas2022Config:
    """Draw a model with its encoders written out; what the search does not vary stays as in `base`."""
    eeg, fmri = encoders(base, eeg_shape, grid)
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
        "eeg": eeg,
        "fmri": fmri,
    }
    if base.aligns:  # dropout acts in the fMRI encoder
        changes["dropout"] = trial.suggest_float("dropout", *search.dropout)
    for switch in SWITCHES:
        changes[switch] = trial.suggest_categorical(switch, (True, False))
    for name, choices in _choices(base, search).items():
        changes[name] = trial.suggest_categorical(name, choices)
    if search.architectures:
        drawn = [("eeg", eeg, eeg_shape, search.eeg_target, search.eeg_blocks)]
        if base.aligns:
            drawn.append(("fmri", fmri, grid, search.fmri_target, search.fmri_blocks))
        for name, spec, shape, target, depths in drawn:
            pool = (spec.pool, spec.pool_stride) if changes["max_pool"] else (NO_POOL, NO_POOL)
            changes[name] = suggest_blocks(trial, name, shape, target, depths, *pool)
    return base.model_copy(update=changes)


def decoder_weights(model: Calhas2022Config, channels: int, grid: tuple[int, int, int]) -> int:
    """Weights of the layers between the latent and the volume that grow with the latent or the grid."""
    latent, voxels = math.prod(model.latent), math.prod(grid) * model.volumes
    style = channels**2 if model.variant == "tafp-style" else 0
    projection = 0 if model.projects and model.fourier == "fixed" else latent
    if model.decoder == "pca":
        return latent * (model.components * model.volumes + style + projection) + model.components * math.prod(grid)
    return latent * (voxels + style + projection) + (2 * voxels if model.filter == "local" else 0)


def _choices(base: Calhas2022Config, search: SearchConfig) -> dict[str, tuple[str, ...]]:
    """Choices that make sense for the base: its decoder may take no filter, its variant no Fourier features."""
    choices: dict[str, tuple[str, ...]] = {}
    if base.decoder == "dense":
        choices["output_filter"] = search.output_filter
    if base.projects:
        choices["fourier"] = search.fourier
    return choices


def parameters_of(base: Calhas2022Config, search: SearchConfig, store: Store) -> dict[str, Any]:
    """The inverse of `suggest_model` for the base; values outside a range are left to the sampler."""
    signal = store.signal
    wanted: dict[str, Any] = {
        "learning_rate": base.training.learning_rate,
        "weight_decay": max(base.weight_decay, search.weight_decay[0]),
        "batch_size": base.training.batch_size,
        "latent_side": base.latent[0],
        "filters": base.filters,
    }
    if base.aligns:
        wanted["dropout"] = base.dropout
    for switch in SWITCHES:
        wanted[switch] = getattr(base, switch)
    choices = _choices(base, search)
    wanted.update({name: {"output_filter": base.filter, "fourier": base.fourier}[name] for name in choices})
    for name in ("batch_size", "latent_side", "filters", *choices):
        if wanted[name] not in getattr(search, name):
            del wanted[name]
    if search.architectures:
        eeg_shape = (len(signal["channels"]), len(signal["frequencies"]), store.context)
        x, y, z = signal["grid"]
        eeg, fmri = encoders(base, eeg_shape, (x, y, z))
        wanted.update(block_parameters(eeg, "eeg", eeg_shape, search.eeg_target))
        if base.aligns:
            wanted.update(block_parameters(fmri, "fmri", (x, y, z), search.fmri_target))
    return wanted
