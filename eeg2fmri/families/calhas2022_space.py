"""The search space of the published family: from an Optuna trial to a model, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eeg2fmri.config import BlockSpec, Calhas2022Config, Calhas2022Ranges, Triple
from eeg2fmri.families.calhas2022_blocks import block_parameters, suggest_blocks
from eeg2fmri.models.architectures import encoders
from eeg2fmri.models.spec import block_macs

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

NO_POOL = (1, 1, 1)
SWITCHES = ("max_pool", "batch_norm", "skip")


@dataclass(frozen=True)
class Calhas2022Space:
    """Models around `base` for windows of `eeg_shape` (C, F, T) and volumes of `grid`; see `Space`."""

    base: Calhas2022Config
    ranges: Calhas2022Ranges
    eeg_shape: Triple
    grid: Triple

    def draw(self, trial: BaseTrial) -> Calhas2022Config:
        """Draw a model with its encoders written out; settings outside the search stay as in `base`."""
        base, ranges = self.base, self.ranges
        eeg, fmri = encoders(base, self.eeg_shape, self.grid)
        learning_rate = trial.suggest_float("learning_rate", *ranges.learning_rate, log=True)
        batch_size = trial.suggest_categorical("batch_size", ranges.batch_size)
        side = trial.suggest_categorical("latent_side", ranges.latent_side)
        changes: dict[str, Any] = {
            "training": base.training.model_copy(update={"learning_rate": learning_rate, "batch_size": batch_size}),
            "latent": (side, side, side),
            "weight_decay": trial.suggest_float("weight_decay", *ranges.weight_decay, log=True),
            "filters": trial.suggest_categorical("filters", ranges.filters),
            "eeg": eeg,
            "fmri": fmri,
        }
        if base.aligns:  # dropout acts in the fMRI encoder
            changes["dropout"] = trial.suggest_float("dropout", *ranges.dropout)
        for switch in SWITCHES:
            changes[switch] = trial.suggest_categorical(switch, (True, False))
        for name, choices in self._choices().items():
            changes[name] = trial.suggest_categorical(name, choices)
        if ranges.architectures:
            changes |= self.draw_encoders(trial, max_pool=changes["max_pool"])
        return base.model_copy(update=changes)

    def draw_encoders(self, trial: BaseTrial, *, max_pool: bool) -> dict[str, BlockSpec]:
        """Draw the blocks of the EEG encoder, and those of the fMRI encoder if the base has one."""
        ranges = self.ranges
        eeg, fmri = encoders(self.base, self.eeg_shape, self.grid)
        ends = [("eeg", eeg, self.eeg_shape, ranges.eeg_target, ranges.eeg_blocks)]
        if self.base.aligns:
            ends.append(("fmri", fmri, self.grid, ranges.fmri_target, ranges.fmri_blocks))
        drawn = {}
        for name, spec, shape, target, depths in ends:
            pool = (spec.pool, spec.pool_stride) if max_pool else (NO_POOL, NO_POOL)
            drawn[name] = suggest_blocks(trial, name, shape, target, depths, *pool)
        return drawn

    def start(self) -> dict[str, Any]:
        """Invert `draw` for the base; leave values outside a range to the sampler."""
        base, ranges = self.base, self.ranges
        wanted: dict[str, Any] = {
            "learning_rate": base.training.learning_rate,
            "weight_decay": max(base.weight_decay, ranges.weight_decay[0]),
            "batch_size": base.training.batch_size,
            "latent_side": base.latent[0],
            "filters": base.filters,
        }
        if base.aligns:
            wanted["dropout"] = base.dropout
        for switch in SWITCHES:
            wanted[switch] = getattr(base, switch)
        choices = self._choices()
        wanted.update({name: {"output_filter": base.filter, "fourier": base.fourier}[name] for name in choices})
        for name in ("batch_size", "latent_side", "filters", *choices):
            if wanted[name] not in getattr(ranges, name):
                del wanted[name]
        if ranges.architectures:
            eeg, fmri = encoders(base, self.eeg_shape, self.grid)
            wanted.update(block_parameters(eeg, "eeg", self.eeg_shape, ranges.eeg_target))
            if base.aligns:
                wanted.update(block_parameters(fmri, "fmri", self.grid, ranges.fmri_target))
        return wanted

    def costs(self, model: Calhas2022Config) -> Mapping[str, tuple[float, float]]:
        """Count multiply-adds of the encoders for one window, and weights of the decoder."""
        eeg, fmri = encoders(model, self.eeg_shape, self.grid)
        parts = [(self.eeg_shape, eeg), *([(self.grid, fmri)] if model.aligns else [])]
        macs = sum(block_macs(shape, spec, model.filters, max_pool=model.max_pool) for shape, spec in parts)
        return {
            "weights": (decoder_weights(model, self.eeg_shape[0], self.grid), self.ranges.max_weights),
            "multiply_adds": (macs, self.ranges.max_multiply_adds),
        }

    def _choices(self) -> dict[str, tuple[str, ...]]:
        """Return the choices that make sense for the base: its decoder may have no filter, its variant no features."""
        choices: dict[str, tuple[str, ...]] = {}
        if self.base.decoder == "dense":
            choices["output_filter"] = self.ranges.output_filter
        if self.base.projects:
            choices["fourier"] = self.ranges.fourier
        return choices


def decoder_weights(model: Calhas2022Config, channels: int, grid: Triple) -> int:
    """Count the weights between the latent and the volume that grow with the latent or the grid."""
    latent, voxels = math.prod(model.latent), math.prod(grid)
    style = channels**2 if model.variant == "tafp-style" else 0
    projection = 0 if model.projects and model.fourier == "fixed" else latent
    if model.decoder == "pca":
        return latent * (model.components + style + projection) + model.components * voxels
    return latent * (voxels + style + projection) + (2 * voxels if model.filter == "local" else 0)
