"""Sections on the search, the evaluation, the registry and the run, and the whole configuration."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from eeg2fmri.config.base import Above, Count, Positive, Section
from eeg2fmri.config.calhas2022 import Calhas2022Config
from eeg2fmri.config.data import DataConfig, DatasetConfig, SimulationConfig, SplitConfig
from eeg2fmri.config.families import AnyModel, AnyRanges, model_called
from eeg2fmri.config.models import ModelConfig
from eeg2fmri.config.power import LinearConfig


class SearchConfig(Section):
    """Search around a model of any family; each family has ranges of its own."""

    variant: str | None = None
    """The model to search around; by default the first one that can be searched."""
    sampler: Literal["tpe", "gp", "random"] = "tpe"
    """Optuna's sampler; the published one is ``gp`` (Snoek et al. 2012), which needs PyTorch. Source: Optuna."""
    epochs: Positive = 2
    """Epochs of a trial [epochs]. Source: ours."""
    startup_trials: Count = 5
    """Random trials before the sampler and the pruner begin [trials]. Source: Optuna's pruner."""
    ranges: AnyRanges = Field(default_factory=dict)
    """Ranges by family: ``{linear: {components: [16, 32]}}``; by default each family's own ranges."""


class EvaluationConfig(Section):
    """The shuffled-EEG control."""

    shuffles: Positive = 5
    """Shuffles in the average of every score of the control [-]. Source: ours."""
    permutations: Annotated[int, Field(ge=19)] = 999
    """Shuffles for the p-value, which is at least 1/(n + 1) [-]. Source: common practice."""
    drift_cutoff: Above = 128.0
    """Longest period [s]; slower changes are removed before the p-value. A shift cuts a drift in two, so a chance
    agreement of drifts would look significant. Source: SPM; measured, 3.4 % of p < 0.05 on real BOLD."""


class PolicyConfig(Section):
    """The promotion gate: conditions for a version to become champion."""

    metric: Annotated[str, Field(min_length=1)] = "r2_temporal"
    """Score that is compared with its nulls and with the champion's. Source: ours; anatomy does not raise it."""
    nulls: tuple[str, ...] | None = None
    """Conditions that the score must exceed, e.g. ``[mean_volume, shuffled]``; by default every null with a score."""
    margin: Annotated[float, Field(ge=0)] = 0.0
    """Least amount by which the score exceeds each null [-]. Source: ours."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The p-value must be below it [-]. Source: common practice; a lab that tries many models sets it lower."""
    subjects: Positive = 1
    """Least number of test subjects [subjects]. Source: ours; one subject gives no information on others."""


class RegistryConfig(Section):
    """Registry of models."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^/:]+$")] = "eeg2fmri"
    """Name of the registered model. Source: ours."""
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "champion"
    """Alias that `promote` moves and serving follows. Source: MLflow's documentation."""


class RunConfig(Section):
    """Reproducibility and hardware."""

    seed: Count = 2
    """Seed of weights, dropout, order of windows and the search [-]. Source: the published code."""
    deterministic: bool = False
    """Repeat every operation to the last bit on the same machine and versions. An interrupted training then ends
    exactly like one without interruption. Source: measured, it costs time."""
    store_digest: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")] | None = None
    """Start of the digest of the one store of this configuration; any by default. A search writes it."""
    backend: Literal["tensorflow", "jax", "torch"] | None = None
    """Backend of Keras; by default the value of ``KERAS_BACKEND``, or TensorFlow."""
    devices: Positive | None = None
    """GPUs that share a batch [devices]; by default all (JAX). Experimental: checked on CPUs only."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Device of training and prediction; ``auto`` is a GPU if there is one."""
    gpu_memory_limit: Positive | None = None
    """Memory of TensorFlow on the GPU [MiB]; by default as much as it needs."""
    experiment: Annotated[str, Field(min_length=1)] = "eeg2fmri"
    """MLflow experiment of the runs. Source: ours."""


class Config(Section):
    """The whole configuration, one section per concern."""

    run: RunConfig = RunConfig()
    """Reproducibility and hardware."""
    simulation: SimulationConfig | None = None
    """Simulated dataset; by default that of the demo, if one is asked for."""
    dataset: DatasetConfig = DatasetConfig()
    """Recordings to use."""
    data: DataConfig = DataConfig()
    """Preparation of spectrograms and volumes."""
    split: SplitConfig = SplitConfig()
    """Subjects of validation and test."""
    models: Annotated[tuple[AnyModel, ...], Field(min_length=1)] = (Calhas2022Config(), LinearConfig())
    """Models to train."""
    search: SearchConfig = SearchConfig()
    """Search before the training."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Control for every score."""
    policy: PolicyConfig = PolicyConfig()
    """Conditions for a version to become champion."""
    registry: RegistryConfig = RegistryConfig()
    """Registry of models."""

    @model_validator(mode="after")
    def _distinct_models(self) -> Self:
        names = [m.variant for m in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"models: every variant may appear once, found {names}; remove the others")
        return self

    def model(self, variant: str | None) -> ModelConfig:
        """Return the configured model called `variant`, or the first one; see `model_called` for others."""
        return self.models[0] if variant is None else model_called(variant, self.models)
