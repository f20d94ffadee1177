"""The sections of the configuration: what can be set, to what, and what it is by default."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eeg2fmri.errors import ConfigError, nearest

Triple = tuple[int, int, int]
Positive = Annotated[int, Field(ge=1)]
Range = tuple[float, float]

VARIANTS = ("lp", "fp", "talp", "tafp", "tafp-style", "tafp-style-prior")


class Section(BaseModel):
    """Base of all sections: immutable, and nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SimulationConfig(Section):
    """What the simulator writes. `grid`, `channels` and `volumes` set the size."""

    subjects: Positive = 6
    volumes: Annotated[int, Field(ge=2)] = 120
    coupling: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0
    grid: Triple = (64, 64, 30)
    channels: Annotated[int, Field(ge=4, le=63)] = 63
    sampling_rate: Annotated[float, Field(gt=0)] = 250.0
    tr: Annotated[float, Field(gt=0)] = 2.16


class DataConfig(Section):
    """How a recording becomes a spectrogram and volumes (the reference's settings by default).

    The EEG window is one TR. `frequencies` bins after DC are kept; the context of volume v is the
    `context` windows before it; the first `bold_shift` volumes are dropped on both modalities.
    Volume markers that span fewer volumes than the BOLD file cannot say which end they miss:
    `missing_markers` is ``end`` where it is known that the first ones are there.
    """

    frequencies: Positive = 134
    context: Positive = 10
    bold_shift: Annotated[int, Field(ge=0)] = 3
    grid: Triple = (64, 64, 30)
    iqr: bool = False
    missing_markers: Literal["refuse", "end"] = "refuse"
    channel_types: tuple[str, ...] = ("eeg", "ecg")


class SplitConfig(Section):
    """Subjects of the validation and test splits: a number of subjects or their labels.

    Numbers count from the end of the sorted subjects: the last ones are the test subjects, those
    before them validate, the others train.
    """

    validation: Annotated[int, Field(ge=0)] | tuple[str, ...] = 1
    test: Annotated[int, Field(ge=0)] | tuple[str, ...] = 2


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
    """Optimisation of a deep model; defaults are the published ones where there are any."""

    epochs: Positive = 10
    batch_size: Positive = 4
    learning_rate: Annotated[float, Field(gt=0)] = 0.002980911194116198
    patience: Positive = 3
    monitor: Literal["val/r2_temporal", "val/loss", "val/mae"] = "val/r2_temporal"


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


ModelConfig = Annotated[Calhas2022Config | LinearConfig, Field(discriminator="family")]


class SearchConfig(Section):
    """Ranges of the search (domain: Snoek et al. 2012 as used by the published method)."""

    sampler: Literal["tpe", "gp", "random"] = "tpe"
    epochs: Positive = 2
    startup_trials: Annotated[int, Field(ge=0)] = 5
    architectures: bool = True
    learning_rate: Range = (1e-10, 1e-2)
    weight_decay: Range = (1e-10, 1e-1)
    batch_size: Annotated[tuple[Positive, ...], Field(min_length=1)] = (4, 8, 16, 32, 64)
    latent_side: Annotated[tuple[Positive, ...], Field(min_length=1)] = (4, 5, 6, 7, 8, 9, 10, 15, 20)
    filters: Annotated[tuple[Positive, ...], Field(min_length=1)] = (2, 4, 8, 16)
    dropout: Range = (0.0, 0.5)
    eeg_target: Triple = (6, 6, 8)
    fmri_target: Triple = (7, 7, 7)
    eeg_blocks: tuple[int, int] = (2, 3)
    fmri_blocks: tuple[int, int] = (2, 3)
    # Both encoders, one window; the published pair needs 3.8e8. Dearer draws are pruned untrained.
    max_multiply_adds: Annotated[int, Field(gt=0)] = 1_200_000_000
    # Weights of the decoder, published 43.8 million; training holds 16 bytes for each.
    max_weights: Annotated[int, Field(gt=0)] = 150_000_000

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("learning_rate", "weight_decay", "dropout", "eeg_blocks", "fmri_blocks"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be (low, high), found ({low}, {high})")
        return self


class EvaluationConfig(Section):
    """The shuffled-EEG control: how many shuffles every score averages, and how many give the p-value.

    The p-value is that of the series without drifts slower than `drift_cutoff` (s): a shift cuts a
    drift in two, so a chance agreement of drifts would look like more than chance.
    """

    shuffles: Positive = 5
    permutations: Annotated[int, Field(ge=19)] = 999
    drift_cutoff: Annotated[float, Field(gt=0)] = 128.0
    seed: Annotated[int, Field(ge=0)] = 0


class RegistryConfig(Section):
    """Name of the registered model and the alias that serving follows."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^/:]+$")] = "eeg2fmri"
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "champion"


class RunConfig(Section):
    """Reproducibility and hardware."""

    seed: Annotated[int, Field(ge=0)] = 2
    device: Literal["auto", "cpu", "gpu"] = "auto"
    gpu_memory_limit: Annotated[int, Field(ge=1)] | None = None
    experiment: Annotated[str, Field(min_length=1)] = "eeg2fmri"


class Config(Section):
    """The whole configuration, one section per concern."""

    run: RunConfig = RunConfig()
    simulation: SimulationConfig | None = None
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    models: Annotated[tuple[ModelConfig, ...], Field(min_length=1)] = (Calhas2022Config(), LinearConfig())
    search: SearchConfig = SearchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registry: RegistryConfig = RegistryConfig()

    @model_validator(mode="after")
    def _distinct_models(self) -> Self:
        names = [m.variant for m in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"models: every variant may appear once, found {names}")
        return self

    def model(self, variant: str | None) -> Calhas2022Config | LinearConfig:
        """The configured model called `variant`, or the first one.

        A variant of `calhas2022` that is not listed is derived from the listed model of that
        family by changing the variant only.
        """
        if variant is None:
            return self.models[0]
        for model in self.models:
            if model.variant == variant:
                return model
        if variant in VARIANTS:
            base = next((m for m in self.models if isinstance(m, Calhas2022Config)), Calhas2022Config())
            return Calhas2022Config.model_validate({**base.model_dump(), "variant": variant})
        if variant == "linear":
            return LinearConfig()
        raise ConfigError(
            f"variant {variant!r} is not known; expected one of {', '.join((*VARIANTS, 'linear'))}"
            f"{nearest(variant, (*VARIANTS, 'linear'))}"
        )
