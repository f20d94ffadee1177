"""The training step: fit one model, log everything about it, register it."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from eeg2fmri import plotting
from eeg2fmri.config import Config, ModelConfig, flatten
from eeg2fmri.devices import use_backend
from eeg2fmri.families import FitResult, FitSettings, check_feasible, family_of, fit, fitted_figures
from eeg2fmri.pipeline.card import model_card
from eeg2fmri.pipeline.code import training_code
from eeg2fmri.pipeline.data import say_skipped
from eeg2fmri.pipeline.describe import paragraphs, picture, serving
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Split, Store, Windows, check_digest, split_subjects
from eeg2fmri.tracking import RunLog, describe_version, finished_run, log_bundle, tracked_run
from eeg2fmri.tracking.registry import version_exists
from eeg2fmri.tracking.runs import DATA_DIGEST, PREPROCESS_RUN, STEP_KEY, step_key

logger = logging.getLogger(__name__)
VERSION_TAG = "eeg2fmri.model_version"
BEST = "val/best_r2_temporal"


@dataclass(frozen=True)
class TrainResult:
    """The registered version of a trained model, its score on validation subjects, and its run."""

    run_id: str
    version: str
    validation: float
    skipped: bool


def check_training(config: Config, models: Sequence[ModelConfig], store: Store) -> None:
    """Refuse models that this store cannot train, before any training starts."""
    check_digest(store, config.run.store_digest)
    split = split_subjects(store.subjects, config.split)
    train, validation = (Windows(store.of(part), store.context) for part in (split.train, split.validation))
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    settings = FitSettings.of(config.run)
    for model in models:
        check_feasible(model, train, validation, settings)


def train_step(config: Config, variant: str | None, store: Store, workdir: Path) -> TrainResult:
    """Train the configured model called `variant` and register it.

    A finished run with the same inputs, settings and code is used again. An interrupted one
    continues from its last checkpoint under ``workdir/checkpoints``.
    """
    model = config.model(variant)
    check_training(config, [model], store)
    split = split_subjects(store.subjects, config.split)
    settings = {
        "model": model.model_dump(mode="json"),
        "split": [split.train, split.validation],
        "seed": config.run.seed,
        "deterministic": config.run.deterministic,
        "backend": use_backend(config.run.backend, deterministic=config.run.deterministic),
    }
    key = step_key("train", training_code(model), settings, store.digest)
    run = finished_run(step_key("register", (), key, config.registry.name))
    if run and version_exists(config.registry.name, run.data.tags[VERSION_TAG]):
        say_skipped(f"train {model.variant}", run.info.run_id)
        return TrainResult(run.info.run_id, run.data.tags[VERSION_TAG], run.data.metrics[BEST], skipped=True)
    name = f"train-{model.variant}"
    tags = {"variant": model.variant, "family": model.family, "dataset": store.path.name}
    with tracked_run("train", experiment=config.run.experiment, name=name, params=_params(config, model, store, split),
                     tags=tags, system_metrics=True) as log:  # fmt: skip
        log.describe(
            f"Training of {model.variant} (family {model.family}) on {len(split.train)} subjects of {store.path.name}."
        )
        train = Windows(store.of(split.train), store.context)
        validation = Windows(store.of(split.validation), store.context)
        _log_data(log, store, train, validation)
        for part, subjects in (("training", split.train), ("validation", split.validation), ("test", split.test)):
            # A split may have no test subjects.
            windows = len(Windows(store.of(subjects), store.context)) if subjects else 0
            logger.info("%s: %d windows of %s", part, windows, ", ".join(subjects) or "nobody")
        checkpoints = workdir / "checkpoints" / key[:16]
        fit_settings = FitSettings.of(config.run, checkpoints=checkpoints, key=key, progress=sys.stderr.isatty())
        result = fit(model, train, validation, fit_settings, on_epoch=_epoch_logger(log, model))
        best = result.history["val/r2_temporal"][result.best_epoch]
        log.metrics({BEST: best}, step=result.best_epoch)
        version = _register(log, config, model, store, split, train, result)
        log.tags({STEP_KEY: step_key("register", (), key, config.registry.name), VERSION_TAG: version})
        # Only now the model is safe in the registry, and its checkpoints are no longer needed.
        shutil.rmtree(checkpoints, ignore_errors=True)
        logger.info("train %s: registered %s version %s", model.variant, config.registry.name, version)
        return TrainResult(log.run_id, version, best, skipped=False)


def _params(config: Config, model: ModelConfig, store: Store, split: Split) -> dict[str, Any]:
    return {
        **flatten(model, "model."),
        **flatten(config.data, "data."),
        **flatten(config.run, "run."),
        "data.digest": store.digest,
        "data.store": str(store.path),
        "split.train": split.train,
        "split.validation": split.validation,
        "split.test": split.test,
        "registry.name": config.registry.name,
    }


def _log_data(log: RunLog, store: Store, train: Windows, validation: Windows) -> None:
    for context, windows in (("training", train), ("validation", validation)):
        # A name of its own: MLflow keeps one input of each name and digest.
        name = f"{store.path.name}-{context}"
        log.dataset(store.digest, str(store.path), name, context, windows.eeg(np.arange(1)))
    made_by = mlflow.search_runs(
        experiment_ids=[mlflow.get_run(log.run_id).info.experiment_id],
        filter_string=f"tags.`{DATA_DIGEST}` = '{store.digest}'",
        output_format="list",
        max_results=1,
    )
    if made_by:
        log.tags({PREPROCESS_RUN: made_by[0].info.run_id})


def _epoch_logger(log: RunLog, model: ModelConfig) -> Any:
    first = family_of(model).first_epoch

    def on_epoch(epoch: int, metrics: dict[str, float], example: Any) -> None:
        log.metrics(metrics, step=epoch)
        if example is None:  # of an interrupted fit: this run shows it, but did not train it
            logger.info("%s, epoch %d: restored from a checkpoint", model.variant, epoch + first)
            return
        shown = "  ".join(f"{key} {metrics[key]:.4g}" for key in sorted(metrics) if not key.endswith("rate"))
        logger.info("%s, epoch %d: %s", model.variant, epoch + first, shown)
        if all(np.isfinite(volume).all() for volume in example):
            title = f"{model.variant}, validation subject, epoch {epoch + first}"
            log.image(plotting.comparison_figure(*example, title=title), "validation_volume", epoch)

    return on_epoch


def _register(
    log: RunLog,
    config: Config,
    model: ModelConfig,
    store: Store,
    split: Split,
    train: Windows,
    result: FitResult,
) -> str:
    bundle = Bundle.of(result, store, split)
    bundle = replace(bundle, provenance={**bundle.provenance, "run_id": log.run_id})
    log.params({f"result.{key}": value for key, value in result.facts.items()})
    figures = fitted_figures(result.model, result.history, list(store.signal.channels))
    for name, figure in figures.items():
        log.figure(figure, f"figures/{name}.png")
    card = model_card(bundle, result)
    log.text(card, "model_card.md")
    facts = {"data_digest": store.digest, "variant": model.variant}
    name = config.registry.name
    version = log_bundle(bundle, name, example=train.eeg(np.arange(1))[0], metadata_=facts, step=result.best_epoch)
    shown = [picture(log.run_id, f"figures/{each}.png", each.replace("_", " ")) for each in figures][:1]
    describe_version(version, paragraphs(card, *shown, serving(name, str(version.version))))
    return str(version.version)
