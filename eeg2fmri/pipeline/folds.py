"""Plan of a cross-validation: its folds, the models that can be trained in them, and all checks of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eeg2fmri.config import Config, ExplanationConfig, ModelConfig, SplitConfig
from eeg2fmri.pipeline.evaluate import scoring_key
from eeg2fmri.pipeline.feasible import feasible
from eeg2fmri.pipeline.train import check_training
from eeg2fmri.scorable import atlas_to_score, recordings_to_score
from eeg2fmri.store import Split, Store, check_digest, folds_content, make_folds, named, read_folds, recordings_digest


@dataclass(frozen=True)
class Plan:
    """Plan of a cross-validation.

    models: those that can be trained.  left_out: reasons by variant of the others.  split: content of the split's file.
    digest: of all tested recordings.
    """

    config: Config
    protocol: str
    folds: tuple[Split, ...]
    models: Sequence[ModelConfig]
    left_out: Mapping[str, str]
    split: Mapping[str, Any]
    digest: str


def plan_crossval(config: Config, store: Store, split_file: Path | None) -> Plan:
    """Divide the subjects of a store into folds, and check that each fold can be trained and scored.

    Parameters
    ----------
    config : section `crossval` says how folds are made and which models are compared.
    store : has the subjects.
    split_file : a published split to repeat, instead of making folds.

    Raises
    ------
    ConfigError, LeakageError, DatasetError, SpecError
        If there are too few subjects or sessions, or a fold could not be trained or scored.
    """
    check_digest(store, config.run.store_digest)
    config = named(config, store)
    if config.evaluation.atlas:  # a worker may be in another folder
        atlas = str(Path(config.evaluation.atlas).absolute())
        config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"atlas": atlas})})
    if split_file:
        protocol, folds = read_folds(split_file, store)
    else:
        protocol, folds = config.crossval.protocol, make_folds(store.sessions, config.crossval)
    configs = [of_fold(config, fold) for fold in folds]
    tested = [recordings_to_score(its, store, "test") for its in configs]
    for its, recordings in zip(configs, tested, strict=True):
        atlas_to_score(its, store, recordings)
    chosen = tuple(map(config.model, dict.fromkeys(config.crossval.models))) or config.models

    def check(model: ModelConfig) -> None:
        for its in configs:
            check_training(its, [model], store)

    models, left_out = feasible(chosen, check)
    split = folds_content(folds, protocol, config.run.seed, store)
    digest = recordings_digest([recording for recordings in tested for recording in recordings])
    return Plan(config, protocol, folds, models, left_out, split, digest)


def plan_params(plan: Plan, store: Store) -> dict[str, Any]:
    """Return what a run's parameters say of a plan."""
    return {
        "crossval.protocol": plan.protocol,
        "crossval.folds": len(plan.folds),
        "crossval.models": [model.variant for model in plan.models],
        "crossval.split_digest": hashlib.sha256(json.dumps(plan.split, sort_keys=True).encode()).hexdigest(),
        "run.seed": plan.config.run.seed,
        "data.digest": store.digest,
        "data.store": str(store.path),
        "evaluation.data_digest": plan.digest,
        "evaluation.scoring": scoring_key(plan.config),
    }


def of_fold(config: Config, fold: Split) -> Config:
    """Return the configuration of a fold, without explanations: of one subject they would be noise, and take long."""
    split = SplitConfig(validation=fold.validation, test=fold.test)
    return config.model_copy(update={"split": split, "explanation": ExplanationConfig(enabled=False)})
