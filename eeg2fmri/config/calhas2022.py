"""Settings of the published family, and the ranges of a search around it.

Defaults are those of Calhas & Henriques (2022), arXiv 2203.03481, or of its code, if there are any.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from eeg2fmri.config.base import Above, Positive, Range, Section, Share, Triple, ordered
from eeg2fmri.config.model import ModelConfig

Variant = Literal["lp", "fp", "talp", "tafp", "tafp-style", "tafp-style-prior"]
VARIANTS: tuple[str, ...] = get_args(Variant)
EegScaling = Literal["channels", "training", "none"]
BoldScaling = Literal["recording", "volume", "voxel", "psc"]
Positives = Annotated[tuple[Positive, ...], Field(min_length=1)]


class BlockSpec(Section):
    """Architecture of an encoder: one kernel and stride per residual block, one pool for all."""

    kernels: Annotated[tuple[Triple, ...], Field(min_length=1)]
    """Kernel of each block along the three axes [bins]."""
    strides: Annotated[tuple[Triple, ...], Field(min_length=1)]
    """Stride of each block [bins]."""
    pool: Triple = (1, 1, 1)
    """Max-pool after each convolution [bins]; 1 is none. Source: no pool; the published ones are larger."""
    pool_stride: Triple = (1, 1, 1)
    """Stride of the pool [bins]. Source: published."""

    @model_validator(mode="after")
    def _same_depth(self) -> Self:
        if len(self.kernels) != len(self.strides):
            raise ValueError(f"{len(self.kernels)} kernels but {len(self.strides)} strides: set one of each per block")
        if any(n < 1 for t in (*self.kernels, *self.strides, self.pool, self.pool_stride) for n in t):
            raise ValueError("kernels, strides and pools must be at least 1 on every axis")
        return self


PUBLISHED_EEG = BlockSpec(kernels=((7, 37, 2), (7, 7, 2)), strides=((3, 5, 1), (2, 2, 1)), pool=(2, 2, 1))
PUBLISHED_FMRI = BlockSpec(
    kernels=((14, 6, 12), (6, 4, 6), (12, 47, 5)), strides=((2, 1, 1), (1, 1, 1), (1, 1, 1)), pool=(2, 2, 2)
)


class TrainingConfig(Section):
    """Optimisation of a deep model.

    Schedule, warm-up, clipping and precision are experimental: other published models train with them, but they are
    not measured here.
    """

    epochs: Positive = 10
    """Most passes over the training windows [epochs]. Source: published."""
    batch_size: Positive = 4
    """Windows of one step [windows]. Source: published."""
    shuffle: bool = True
    """Draw windows in random order each epoch; false: in the order of recording, subject by subject, as the published
    code. Source: common practice."""
    learning_rate: Above = 0.002980911194116198
    """Step size of Adam [-]. Source: published."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Decrease of the learning rate, step by step. Source: published."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Straight rise of the learning rate at the start [epochs]. Source: published."""
    final_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Share of the learning rate that ``cosine`` leaves at the end [-]. Source: between those of NT-ViT and
    NeuroBOLT."""
    global_clipnorm: Above | None = None
    """Largest norm of the gradient of all weights together [-]; none by default."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Arithmetic in training; weights and the served model are float32. Source: published."""
    patience: Positive = 3
    """Epochs without improvement after which training stops [epochs]. Source: ours; the published code never
    stops."""


class Calhas2022Config(ModelConfig):
    """The published model: its variant, architecture and training."""

    family: Literal["calhas2022"] = "calhas2022"
    """Calhas & Henriques 2022."""
    variant: Variant = "tafp-style"
    """Linear (``lp``) or Fourier projection (``fp``), with topographical attention (``talp``, ``tafp``), and with
    attention or a learned prior as style. Source: published."""
    latent: Triple = (7, 7, 7)
    """Latent between encoders and decoder along three axes [-]. Source: published."""
    filters: Positive = 4
    """Filters of each convolution [-]. Source: published."""
    eeg: BlockSpec | None = None
    """Blocks of the EEG encoder; by default the published ones on the published shapes, and the nearest ones to them
    on other shapes."""
    fmri: BlockSpec | None = None
    """Blocks of the fMRI encoder; same default."""
    max_pool: bool = True
    """Max-pool after each convolution. Source: published."""
    batch_norm: bool = True
    """Batch normalisation after each convolution. Source: published."""
    skip: bool = True
    """Residual path around each block. Source: published."""
    dropout: Share = 0.5
    """Share of the fMRI encoder's latent that is dropped in training [-]. Source: published."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty of kernels and biases of the residual blocks only [-]. Source: published; its search found
    0.00044."""
    fourier: Literal["random", "fixed"] = "random"
    """Random Fourier features, or the fixed ones of the published code. Source: published."""
    output_filter: Literal["auto", "none", "conv", "local"] = "auto"
    """Layer after the dense decoder: ``conv`` (1×1×1), ``local`` (a weight and a bias per voxel) or ``none``; ``auto``
    is ``conv`` with the dense decoder and ``none`` with ``pca``."""
    decoder: Literal["dense", "pca"] = "dense"
    """``dense``, or ``pca``: the mean volume plus a learned combination of spatial principal components of the
    training set, without fMRI encoder and cosine term. Source: published."""
    components: Positive = 64
    """Principal components of ``pca`` [-]. Source: as `linear`."""
    start_at_mean: bool = True
    """Start the last layer at the mean training volume; false: at random, as published. Source: ours, the start then
    equals the null."""
    eeg_scaling: EegScaling = "channels"
    """Standardisation of windows: over ``channels`` in each bin, by statistics of ``training`` windows, or none.
    Source: published."""
    bold_scaling: BoldScaling = "recording"
    """Standardisation of volumes: by one mean and deviation of the ``recording``, of each ``volume``, of each
    ``voxel``, or as percent signal change. Source: published."""
    training: TrainingConfig = TrainingConfig()
    """Training of the model."""

    @property
    def attends(self) -> bool:
        """Return whether the variant has topographical attention."""
        return self.variant.startswith("ta")

    @property
    def projects(self) -> bool:
        """Return whether the variant has Fourier features."""
        return "fp" in self.variant

    @property
    def filter(self) -> str:
        """Return the output filter, with `auto` resolved."""
        automatic = "conv" if self.decoder == "dense" else "none"
        return automatic if self.output_filter == "auto" else self.output_filter

    @property
    def aligns(self) -> bool:
        """Return whether there is an fMRI encoder, so that its latents and the EEG's are aligned."""
        return self.decoder == "dense"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        dense = self.decoder == "dense"
        refused = {
            f"fourier: the variant {self.variant} has no Fourier features; choose fp, tafp, tafp-style or "
            f"tafp-style-prior, or set fourier: random": self.fourier == "fixed" and not self.projects,
            f"output_filter: {self.output_filter} moves volumes out of the span of decoder: pca; set it to none or "
            f"auto": not dense and self.filter != "none",
            "start_at_mean: false, but decoder: pca is the mean volume plus components; set decoder: dense or "
            "start_at_mean: true": not dense and not self.start_at_mean,
        }
        for reason, impossible in refused.items():
            if impossible:
                raise ValueError(reason)
        return self


class Calhas2022Ranges(Section):
    """Ranges of a search around a published model: hyper-parameters, and architectures of the encoders.

    The published ranges as a whole are in ``experiments/search_published.yaml``.
    """

    learning_rate: Range = (1e-4, 1e-2)
    """`training.learning_rate`, on a logarithmic scale [-]. Source: published, without the rates at which nothing is
    learned (from 1e-10)."""
    batch_size: Positives = (4, 8, 16, 32)
    """`training.batch_size` [windows]. Source: published, without 64."""
    weight_decay: Range = (1e-6, 1e-2)
    """`weight_decay`, on a logarithmic scale [-]. Source: published, without those that change nothing (from 1e-10) or
    allow nothing (to 1e-1)."""
    latent_side: Positives = (4, 5, 6, 7, 8, 9, 10)
    """Side of `latent`, a cube [-]. Source: published, without 15 and 20, which exceed `max_weights`."""
    filters: Positives = (2, 4, 8, 16)
    """`filters` [-]. Source: published."""
    dropout: Range = (0.0, 0.5)
    """`dropout` [-]. Source: published."""
    output_filter: Annotated[tuple[Literal["none", "conv", "local"], ...], Field(min_length=1)] = (
        "none", "conv", "local",
    )  # fmt: skip
    """`output_filter` of a dense decoder. Source: published."""
    fourier: Annotated[tuple[Literal["random", "fixed"], ...], Field(min_length=1)] = ("random", "fixed")
    """`fourier` of a variant with Fourier features. Source: published."""
    architectures: bool = True
    """Draw the encoders too: `eeg` and `fmri`. Source: published."""
    eeg_target: Triple = (6, 6, 8)
    """Shape at which the EEG encoder's blocks end [bins]. Source: published."""
    fmri_target: Triple = (7, 7, 7)
    """Shape at which the fMRI encoder's blocks end [voxels]. Source: published."""
    eeg_blocks: tuple[Positive, Positive] = (2, 3)
    """Fewest and most blocks of the EEG encoder [blocks]. Source: published."""
    fmri_blocks: tuple[Positive, Positive] = (2, 3)
    """Fewest and most blocks of the fMRI encoder [blocks]. Source: published."""
    max_multiply_adds: Positive = 1_200_000_000
    """Most multiply-adds of both encoders for one window; larger models are pruned before training [-]. Source: three
    times the published pair's 3.8e8."""
    max_weights: Positive = 150_000_000
    """Most weights of the decoder; training holds 16 bytes for each [-]. Source: three times the published
    43.8 million."""

    @model_validator(mode="after")
    def _low_before_high(self) -> Self:
        return ordered(self, "learning_rate", "weight_decay", "dropout", "eeg_blocks", "fmri_blocks")
