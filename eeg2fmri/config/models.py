"""Sections on models: one class per family, and how a deep one is trained."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from eeg2fmri.config.base import Positive, Section, Triple

VARIANTS = ("lp", "fp", "talp", "tafp", "tafp-style", "tafp-style-prior")


class BlockSpec(Section):
    """Architecture of an encoder: one kernel and stride per residual block, one pool for all."""

    kernels: Annotated[tuple[Triple, ...], Field(min_length=1)]
    strides: Annotated[tuple[Triple, ...], Field(min_length=1)]
    pool: Triple = (1, 1, 1)
    pool_stride: Triple = (1, 1, 1)

    @model_validator(mode="after")
    def _same_depth(self) -> Self:
        if len(self.kernels) != len(self.strides):
            raise ValueError(f"{len(self.kernels)} kernels but {len(self.strides)} strides: give one of each per block")
        if any(n < 1 for t in (*self.kernels, *self.strides, self.pool, self.pool_stride) for n in t):
            raise ValueError("kernels, strides and pools must be at least 1 on every axis")
        return self


PUBLISHED_EEG = BlockSpec(kernels=((7, 37, 2), (7, 7, 2)), strides=((3, 5, 1), (2, 2, 1)), pool=(2, 2, 1))
PUBLISHED_FMRI = BlockSpec(
    kernels=((14, 6, 12), (6, 4, 6), (12, 47, 5)), strides=((2, 1, 1), (1, 1, 1), (1, 1, 1)), pool=(2, 2, 2)
)


class TrainingConfig(Section):
    """Optimisation of a deep model; defaults are the published ones where there are any.

    schedule: how the learning rate falls, step by step, to `final_share` of itself at the last epoch's
    end; `warmup_epochs` of straight rise come first.  clipnorm, global_clipnorm: largest norm of the
    gradient of one weight array, or of all of them together.  precision: of the arithmetic in
    training; weights and the served model are float32.
    """

    epochs: Positive = 10
    batch_size: Positive = 4
    learning_rate: Annotated[float, Field(gt=0)] = 0.002980911194116198
    schedule: Literal["constant", "cosine", "exponential"] = "constant"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    final_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    clipnorm: Annotated[float, Field(gt=0)] | None = None
    global_clipnorm: Annotated[float, Field(gt=0)] | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    patience: Positive = 3
    monitor: Literal["val/r2_temporal", "val/loss", "val/mae"] = "val/r2_temporal"

    @model_validator(mode="after")
    def _one_clipping(self) -> Self:
        if self.clipnorm is not None and self.global_clipnorm is not None:
            raise ValueError("give clipnorm or global_clipnorm, not both")
        return self


class Calhas2022Config(Section):
    """The family of Calhas & Henriques (2022), arXiv 2203.03481; defaults as published."""

    family: Literal["calhas2022"] = "calhas2022"
    variant: Literal["lp", "fp", "talp", "tafp", "tafp-style", "tafp-style-prior"] = "tafp-style"
    latent: Triple = (7, 7, 7)
    filters: Positive = 4
    eeg: BlockSpec = PUBLISHED_EEG
    fmri: BlockSpec = PUBLISHED_FMRI
    max_pool: bool = True
    batch_norm: bool = True
    skip: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    output_conv: bool = True
    start_at_mean: bool = True
    eeg_scaling: Literal["channels", "training", "none"] = "channels"
    bold_scaling: Literal["recording", "volume", "voxel", "psc"] = "recording"
    training: TrainingConfig = TrainingConfig()


class LinearConfig(Section):
    """Distributed-lag ridge regression from log band power to principal components of BOLD.

    `lags`: ``haemodynamic`` lets a channel and band act through the canonical response and its
    latency derivative over all lags of the context, ``free`` gives every lag its own coefficient.
    `drift_cutoff`: slower changes (s) are left out of the fit (SPM's 128 s).
    """

    family: Literal["linear"] = "linear"
    variant: Literal["linear"] = "linear"
    components: Positive = 64
    lags: Literal["haemodynamic", "free"] = "haemodynamic"
    drift_cutoff: Annotated[float, Field(gt=0)] = 128.0
    penalties: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300,
    )  # fmt: skip
    bold_scaling: Literal["recording", "volume", "voxel", "psc"] = "recording"


ModelConfig = Calhas2022Config | LinearConfig
