"""Sections on the search, the evaluation, the registry and the run, and the whole configuration."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from eeg2fmri.config.base import Positive, Range, Section, Triple
from eeg2fmri.config.data import DataConfig, DatasetConfig, SimulationConfig, SplitConfig
from eeg2fmri.config.families import AnyModel, model_called
from eeg2fmri.config.models import Calhas2022Config, LinearConfig, ModelConfig


class SearchConfig(Section):
    """Ranges of the search (domain: Snoek et al. 2012 as used by the published method).

    variant: the model to search around; by default the first one that can be searched. All from `architectures`
    on are ranges of `calhas2022`; other families have their own.
    """

    variant: str | None = None
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
    output_filter: Annotated[tuple[Literal["none", "conv", "local"], ...], Field(min_length=1)] = (
        "none", "conv", "local",
    )  # fmt: skip
    fourier: Annotated[tuple[Literal["random", "fixed"], ...], Field(min_length=1)] = ("random", "fixed")
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


class RegistryConfig(Section):
    """Name of the registered model and the alias that serving follows."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^/:]+$")] = "eeg2fmri"
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "champion"


class RunConfig(Section):
    """Reproducibility and hardware.

    deterministic: every operation repeats to the last bit on the same machine and versions, so that an
    interrupted training ends exactly as one that was not.  store_digest: start (8 digits or more) of the
    digest of the only store this configuration is for.  backend: what Keras computes with; ``None``
    leaves it to ``KERAS_BACKEND``.  devices: how many GPUs share a batch; ``None`` for all (JAX).
    """

    seed: Annotated[int, Field(ge=0)] = 2
    deterministic: bool = False
    store_digest: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")] | None = None
    backend: Literal["tensorflow", "jax", "torch"] | None = None
    devices: Positive | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"
    gpu_memory_limit: Annotated[int, Field(ge=1)] | None = None
    experiment: Annotated[str, Field(min_length=1)] = "eeg2fmri"


class Config(Section):
    """The whole configuration, one section per concern."""

    run: RunConfig = RunConfig()
    simulation: SimulationConfig | None = None
    dataset: DatasetConfig = DatasetConfig()
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    models: Annotated[tuple[AnyModel, ...], Field(min_length=1)] = (Calhas2022Config(), LinearConfig())
    search: SearchConfig = SearchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registry: RegistryConfig = RegistryConfig()

    @model_validator(mode="after")
    def _distinct_models(self) -> Self:
        names = [m.variant for m in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"models: every variant may appear once, found {names}")
        return self

    def model(self, variant: str | None) -> ModelConfig:
        """The configured model called `variant`, or the first one; see `model_called` for one that is not listed."""
        return self.models[0] if variant is None else model_called(variant, self.models)
