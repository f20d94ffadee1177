"""The training step: fit one model, log everything about it, register it."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion

from eeg2fmri import plotting
from eeg2fmri.config import Config, ModelConfig, flatten
from eeg2fmri.devices import use_backend
from eeg2fmri.evaluation import Dynamics, pearson
from eeg2fmri.families import FitResult, FitSettings, check_feasible, family_of, fit, fitted_figures
from eeg2fmri.pipeline.card import model_card
from eeg2fmri.pipeline.code import training_code
from eeg2fmri.pipeline.data import say_skipped
from eeg2fmri.pipeline.describe import paragraphs, picture, serving
from eeg2fmri.pipeline.figures import volume_figure
from eeg2fmri.serving import Bundle
from eeg2fmri.signals import Signal
from eeg2fmri.store import Split, Store, Windows, check_digest, named, split_store
from eeg2fmri.tracking import (
    RunLog,
    alone,
    describe_version,
    finished_run,
    log_bundle,
    log_unregistered,
    tracked_run,
)
from eeg2fmri.tracking.registry import model_exists, version_of_step
from eeg2fmri.tracking.runs import DATA_DIGEST, PREPROCESS_RUN, STEP_KEY, step_key

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)
VERSION_TAG = "eeg2fmri.model_version"
MODEL_TAG = "mlflow.eeg2fmri.model_uri"
BEST = "val/best_r2_temporal"
CARD = "model_card.md"


@dataclass(frozen=True)
class TrainResult:
    """A trained model: its run, address and score on validation subjects.

    version: its number in the registry; empty for a model that was not registered.
    """

    run_id: str
    model_uri: str
    version: str
    validation: float
    skipped: bool


def check_training(config: Config, models: Sequence[ModelConfig], store: Store) -> None:
    """Refuse models that this store cannot train, before any training starts."""
    check_digest(store, config.run.store_digest)
    split = split_store(store, config.split)
    train, validation = (Windows(store.of(part), store.context) for part in (split.train, split.validation))
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    settings = FitSettings.of(config)
    for model in models:
        check_feasible(model, train, validation, settings)


def train_step(
    config: Config, variant: str | None, store: Store, workdir: Path, *, register: bool = True
) -> TrainResult:
    """Train the configured model called `variant` and register it, or only log it.

    A finished run with the same inputs, settings and code is used again. An interrupted one
    continues from its last checkpoint under ``workdir/checkpoints``.
    """
    config, model = named(config, store), config.model(variant)
    check_training(config, [model], store)
    split = split_store(store, config.split)
    settings = {
        "model": model.model_dump(mode="json"),
        "split": [split.train, split.validation],
        "seed": config.run.seed,
        "drift_cutoff": config.evaluation.drift_cutoff,
        "deterministic": config.run.deterministic,
        "backend": use_backend(config.run.backend, deterministic=config.run.deterministic),
    }
    key = step_key("train", training_code(model), settings, store.digest)
    place = config.registered_model if register else None
    step = step_key("log_model", (), key, place)
    checkpoints = workdir / "checkpoints" / key[:16]
    if done := _done(step, model):
        shutil.rmtree(checkpoints, ignore_errors=True)  # a kill at the end may have left them
        return done
    lock = checkpoints.with_name(f".{checkpoints.name}.lock")
    with alone(lock, f"{workdir}, {model.variant}", "train", "give another --workdir"):
        # The process that had the lock may have trained it, or have been killed just before its run had ended.
        if done := _done(step, model) or _registered(step, place, model, checkpoints):
            return done
        return _train(config, model, store, split, place, checkpoints, key, step)


def _done(step: str, model: ModelConfig) -> TrainResult | None:
    """Return the finished training of a step, if its model is still there."""
    run = finished_run(step)
    if run is None or not model_exists(run.data.tags[MODEL_TAG]):
        return None
    say_skipped(f"train {model.variant}", run.info.run_id)
    uri, version = run.data.tags[MODEL_TAG], run.data.tags[VERSION_TAG]
    return TrainResult(run.info.run_id, uri, version, run.data.metrics[BEST], skipped=True)


def _registered(step: str, place: str | None, model: ModelConfig, checkpoints: Path) -> TrainResult | None:
    """Finish the run of a training that was stopped after its model was registered: nothing is registered twice."""
    version = version_of_step(place, step) if place else None
    if version is None or not version.run_id or not model_exists(f"models:/{version.name}/{version.version}"):
        return None
    run = mlflow.get_run(version.run_id)
    figures = mlflow.artifacts.list_artifacts(run_id=version.run_id, artifact_path="figures")
    first = min((Path(each.path).stem for each in figures), default="")
    _describe(version, mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{CARD}"), first)
    client = mlflow.MlflowClient()
    for tag, value in _tags_of(step, f"models:/{version.name}/{version.version}", str(version.version)).items():
        client.set_tag(version.run_id, tag, value)
    client.set_terminated(version.run_id, "FINISHED")
    shutil.rmtree(checkpoints, ignore_errors=True)
    return _done(step, model)


def _train(
    config: Config,
    model: ModelConfig,
    store: Store,
    split: Split,
    place: str | None,
    checkpoints: Path,
    key: str,
    step: str,
) -> TrainResult:
    name = f"train {model.variant} · {store.name}"
    tags = {"variant": model.variant, "family": model.family, "dataset": store.name}
    with tracked_run("train", experiment=config.run.experiment, name=name, params=_params(config, model, store, split),
                     tags=tags, system_metrics=True) as log:  # fmt: skip
        if place:
            log.params({"registry.name": place})
        log.describe(f"Trains {model.variant} (family {model.family}) on {len(split.train)} subjects of {store.name}.")
        train = Windows(store.of(split.train), store.context)
        validation = Windows(store.of(split.validation), store.context)
        _log_data(log, store, train, validation)
        for part, subjects in (("training", split.train), ("validation", split.validation), ("test", split.test)):
            # A split may have no test subjects.
            windows = len(Windows(store.of(subjects), store.context)) if subjects else 0
            logger.info("%s: %d windows of %s", part, windows, ", ".join(subjects) or "nobody")
        fit_settings = FitSettings.of(config, checkpoints=checkpoints, key=key, progress=sys.stderr.isatty())
        on_epoch = _EpochLog(log, model, validation, int(store.settings["dropped_volumes"]))
        result = fit(model, train, validation, fit_settings, on_epoch)
        on_epoch.say_restored()
        best = result.history["val/r2_temporal"][result.best_epoch]
        log.metrics({BEST: best}, step=result.best_epoch + family_of(model).first_epoch)
        uri, version = _log_model(log, place, model, store, split, train, result, step, config.evaluation.drift_cutoff)
        log.tags(_tags_of(step, uri, version))
        # Only now is the model safe in the registry, and the way there no longer needed.
        shutil.rmtree(checkpoints, ignore_errors=True)
        logger.info("train %s: %s", model.variant, f"registered {place} version {version}" if version else "done")
        return TrainResult(log.run_id, uri, version, best, skipped=False)


def _tags_of(step: str, uri: str, version: str) -> dict[str, str]:
    return {STEP_KEY: step, MODEL_TAG: uri, VERSION_TAG: version}


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
    }


def _log_data(log: RunLog, store: Store, train: Windows, validation: Windows) -> None:
    for context, windows in (("training", train), ("validation", validation)):
        # A name of its own: MLflow keeps one input of each name and digest.
        name = f"{store.name}-{context}"
        log.dataset(store.digest, str(store.path), name, context, windows.eeg(np.arange(1)))
    made_by = mlflow.search_runs(
        experiment_ids=[mlflow.get_run(log.run_id).info.experiment_id],
        filter_string=f"tags.`{DATA_DIGEST}` = '{store.digest}'",
        output_format="list",
        max_results=1,
    )
    if made_by:
        log.tags({PREPROCESS_RUN: made_by[0].info.run_id})


class _EpochLog:
    """Log epochs as they end, by the numbers that figures have; those of an interrupted fit are said in one line."""

    def __init__(self, log: RunLog, model: ModelConfig, validation: Windows, dropped_volumes: int) -> None:
        self.log, self.variant, self.first = log, model.variant, family_of(model).first_epoch
        self.validation, self.dropped_volumes = validation, dropped_volumes
        self.restored = 0

    def __call__(self, epoch: int, metrics: dict[str, float], example: Any) -> None:
        number = epoch + self.first
        self.log.metrics(metrics, step=number)
        if example is None:  # of an interrupted fit: this run shows it, but did not train it
            self.restored += 1
            return
        self.say_restored()
        shown = "  ".join(f"{key} {metrics[key]:.4g}" for key in sorted(metrics) if not key.endswith("rate"))
        logger.info("%s, epoch %d: %s", self.variant, number, shown)
        if all(np.isfinite(volume).all() for volume in example[:2]):
            title = f"{self.variant}, epoch {number}"
            volume = volume_figure(self.validation, example[:2], self.dropped_volumes, title=title)
            self.log.image(volume, "validation_volume", number)
            dynamics = _dynamics_figure(example.dynamics, f"{title}, validation subject", self.validation.signal)
            self.log.image(dynamics, "validation_dynamics", number)

    def say_restored(self) -> None:
        """Say once which epochs come from a checkpoint: when the next one ends, or the fit without a next one."""
        if self.restored:
            last = self.first + self.restored - 1
            which = f"epochs {self.first} to {last}" if self.restored > 1 else f"epoch {last}"
            logger.info("%s: %s restored from a checkpoint", self.variant, which)
        self.restored = 0


def _dynamics_figure(dynamics: Dynamics, title: str, signal: Signal) -> Figure:
    courses = "No region: training subjects do not vary"
    if dynamics.courses is not None:
        r = pearson(*dynamics.courses)
        courses = f"Most variable region of training subjects (outlined) in {dynamics.subject}: r = {r:+.2f}"
    return plotting.dynamics_figure(
        plotting.DynamicsPage(
            title=title,
            correlation=dynamics.correlation,
            background=dynamics.background,
            mask=dynamics.mask,
            region=dynamics.region,
            courses=dynamics.courses,
            courses_title=courses,
            tr=signal.tr,
            affine=np.asarray(signal.affine),
        )
    )


def _log_model(
    log: RunLog,
    place: str | None,
    model: ModelConfig,
    store: Store,
    split: Split,
    train: Windows,
    result: FitResult,
    step: str,
    drift_cutoff: float,
) -> tuple[str, str]:
    """Return address and version of the model, which is registered at `place`; without one it has no version."""
    bundle = Bundle.of(result, store, split, drift_cutoff)
    bundle = replace(bundle, provenance={**bundle.provenance, "run_id": log.run_id})
    log.params({f"result.{key}": value for key, value in result.facts.items()})
    figures = fitted_figures(result.model, result.history, store.signal)
    for name, figure in figures.items():
        log.figure(figure, f"figures/{name}.png")
    card = model_card(bundle, result)
    log.text(card, CARD)
    facts = {"data_digest": store.digest, "variant": model.variant}
    example, epoch = train.eeg(np.arange(1))[0], result.best_epoch + family_of(model).first_epoch
    if place is None:
        log.describe(card)
        return log_unregistered(bundle, example=example, metadata_=facts, step=epoch), ""
    version = log_bundle(bundle, place, dataset=store.name, example=example, metadata_=facts, step=epoch, key=step)
    _describe(version, card, next(iter(figures), ""))
    return f"models:/{place}/{version.version}", str(version.version)


def _describe(version: ModelVersion, card: str, figure: str) -> None:
    """Describe a version by its card and a figure of its run."""
    shown = [picture(str(version.run_id), f"figures/{figure}.png", figure.replace("_", " "))] if figure else []
    describe_version(version, paragraphs(card, *shown, serving(version.name, str(version.version))))
