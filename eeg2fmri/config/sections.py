"""Sections on the search, the evaluation, the registry and the run, and the whole configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from eeg2fmri.config.base import Above, Count, Positive, Section
from eeg2fmri.config.calhas2022 import Calhas2022Config
from eeg2fmri.config.classify import ClassifyConfig
from eeg2fmri.config.data import CrossvalConfig, DataConfig, DatasetConfig, SimulationConfig, SplitConfig
from eeg2fmri.config.families import AnyModel, AnyRanges, model_called
from eeg2fmri.config.linear import LinearConfig
from eeg2fmri.config.model import ModelConfig

Objective = Literal["score", "multiply_adds", "training_seconds", "weights"]


def _score_first(objectives: tuple[str, ...]) -> tuple[str, ...]:
    if objectives[0] != "score" or len(set(objectives)) < len(objectives):
        raise ValueError(f"must begin with score and name each objective once, found {', '.join(objectives)}")
    return objectives


class SearchConfig(Section):
    """Search around a model of any family; each family has ranges of its own."""

    variant: str | None = None
    """The model to search around; by default the first one that can be searched."""
    mode: Literal["trials", "mixture"] = "trials"
    """``trials``: a trial is one draw of all ranges. ``mixture``: a trial draws `candidates` encoders for each side,
    trains them together, weighted by a softmax, and keeps the heaviest; other settings stay as configured. Only
    `calhas2022` has it. Source: published code, which does both."""
    candidates: Annotated[int, Field(ge=2)] = 15
    """Encoders of each side that a ``mixture`` trains together [-]. Source: published."""
    sampler: Literal["tpe", "gp", "random", "qmc"] = "tpe"
    """Optuna's sampler: multivariate ``tpe``, a Gaussian process (``gp``, the published one, Snoek et al. 2012; it
    needs PyTorch), ``random``, or an evenly spread sequence (``qmc``). Source: Optuna."""
    pruner: Literal["median", "hyperband", "patient", "none"] = "median"
    """Rule that ends a poor trial after an epoch: worse than the ``median`` of at least three complete trials; the
    same with `patience`; Li et al. 2018 (``hyperband``); or ``none``. Source: measured, see ``docs/attempts.md``."""
    patience: Count = 2
    """Epochs without improvement that the pruner ``patient`` allows [epochs]. Source: ours."""
    epochs: Positive = 2
    """Epochs of a trial [epochs]. Source: ours."""
    startup_trials: Count = 5
    """Random trials before the sampler begins [trials]. Source: ours."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """Folds of training subjects by which a trial is judged: each is trained without a fold and scored on it; every
    subject is in one fold [folds]. By default the validation subjects judge."""
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1), AfterValidator(_score_first)] = ("score",)
    """``score`` (`val/r2_temporal`), and what shall be small beside it: ``multiply_adds`` of the encoders, seconds of
    the training (``training_seconds``) or ``weights``. With several the result is a Pareto front, without pruning.
    Source: by definition."""
    heartbeat: Positive = 20
    """Time between signs of life of a worker; a trial without one for three times as long is given to another [s].
    Source: ours, a database under load may need seconds."""
    ranges: AnyRanges = Field(default_factory=dict)
    """Ranges by family: ``{linear: {components: [16, 32]}}``; by default each family's own ranges."""

    @model_validator(mode="after")
    def _mixture_by_validation(self) -> Self:
        if self.mode == "mixture" and self.folds is not None:
            raise ValueError(
                f"folds: {self.folds}, but mode: mixture trains on all training subjects, so they cannot judge; leave "
                f"folds out"
            )
        return self


Baseline = Literal["swapped", "arousal", "motion_pulse", "task", "linear", "subject_mean"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)


def _all_or_none(value: Any) -> Any:
    """Return ``true`` is all of them, ``false`` none."""
    return (BASELINES if value else ()) if isinstance(value, bool) else value


class EvaluationConfig(Section):
    """The score that decides, and the shuffled-EEG control."""

    shuffles: Positive = 5
    """Shuffles that every other score of the control averages [-]. Source: ours."""
    permutations: Positive = 1999
    """Shuffles behind `r2_temporal` of the control and its p-value, which is no less than 1/(n + 1) [-]. Source:
    common practice, one below a round number."""
    drift_cutoff: Above = 128.0
    """Period; slower changes do not count in `r2_temporal`, in its ceiling and its null, nor in the validation score
    that chooses epochs and models [s]: they are mostly the scanner's, and a shift cuts a drift in two. Source: SPM;
    measured, 5.1 % of p < 0.05 on real BOLD of other people."""
    baselines: Annotated[tuple[Baseline, ...], BeforeValidator(_all_or_none)] = BASELINES
    """Baselines that stand beside every score; ``true`` for all, ``false`` for none: the model with another subject's
    EEG (``swapped``), one course of ``arousal``, ``motion_pulse``, ``task``, the ``linear`` family, the subject's own
    mean volume (``subject_mean``). What a recording lacks is left out. Source: ours."""
    atlas: Annotated[str, Field(min_length=1)] | None = None
    """Label image (NIfTI) whose regions are scored too, in the space of the store; by default none. The names of the
    regions are read from the table beside it (``.tsv`` with the columns index and name)."""


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


class ExplanationConfig(Section):
    """Origin of a score in the EEG: what it loses without each channel, band of frequencies and lag."""

    enabled: bool = True
    """Explain every evaluation. Source: ours."""
    windows: Positive = 150
    """Windows that are explained, which the subjects share; each costs a synthesis per part [windows]. Source:
    measured, half a minute of one core for 63 channels and `linear` or `factorised`."""


class RegistryConfig(Section):
    """Registry of models."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^/:]+$")] | None = None
    """Name of the registered model; by default that of the data set. Source: ours."""
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "champion"
    """Alias that `promote` moves and serving follows. Source: MLflow's documentation."""


class ServingConfig(Section):
    """Limits of a served model: what one request may cost."""

    max_body: Positive = 32
    """Largest body of a request to `eeg2fmri serve` [MiB]; a larger one is not kept, and refused. Source: ours."""
    max_memory: Positive = 512
    """Memory that arrays, windows, volumes and reply of one request may take [MiB]. Source: ours."""
    max_windows: Positive = 256
    """Volumes that one request may ask for [volumes]. Source: ours; nine minutes at a TR of 2.16 s."""


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
    """Memory that TensorFlow takes on the GPU [MiB]; by default as much as it needs."""
    experiment: Annotated[str, Field(min_length=1)] | None = None
    """MLflow experiment of the runs; by default it is called as the data set. Source: ours."""


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
    """Subjects that validate and test."""
    crossval: CrossvalConfig = CrossvalConfig()
    """Folds of `crossval`."""
    models: Annotated[tuple[AnyModel, ...], Field(min_length=1)] = (Calhas2022Config(), LinearConfig())
    """Models to train."""
    search: SearchConfig = SearchConfig()
    """Search before the training."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Control for every score."""
    policy: PolicyConfig = PolicyConfig()
    """When a version may become champion."""
    explanation: ExplanationConfig = ExplanationConfig()
    """Origin of a score in the EEG."""
    classify: ClassifyConfig = ClassifyConfig()
    """Classification of subjects by EEG-only recordings."""
    registry: RegistryConfig = RegistryConfig()
    """Registry of models."""
    serving: ServingConfig = ServingConfig()
    """Limits of a served model."""

    @model_validator(mode="after")
    def _level_can_be_reached(self) -> Self:
        shuffles, level = self.evaluation.permutations, self.policy.level
        if not 1 / (1 + shuffles) < level:
            raise ValueError(
                f"evaluation.permutations: {shuffles} shuffles give no p below {1 / (1 + shuffles):.3g}, policy.level "
                f"is {level:g}; at least {int(1 / level)} are needed"
            )
        return self

    @model_validator(mode="after")
    def _distinct_models(self) -> Self:
        names = [m.variant for m in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"models: every variant may appear once, found {names}; remove the others")
        return self

    @property
    def registered_model(self) -> str:
        """Name of the registered model; the steps settle it by the data set (`eeg2fmri.store.named`)."""
        assert self.registry.name is not None
        return self.registry.name

    def model(self, variant: str | None) -> ModelConfig:
        """Return the configured model called `variant`, or the first one; see `model_called` for others."""
        return self.models[0] if variant is None else model_called(variant, self.models)
