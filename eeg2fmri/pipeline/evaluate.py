"""The evaluation step: scores of a model on unseen subjects, their nulls, and figures."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion

from eeg2fmri.config import Config
from eeg2fmri.devices import use_backend
from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation import Atlas, Relevance, has_ssim, p_text
from eeg2fmri.explanation import relevance
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.pipeline.card import data_sheet
from eeg2fmri.pipeline.code import SCORING_CODE, evaluation_code
from eeg2fmri.pipeline.data import say_skipped
from eeg2fmri.pipeline.describe import DECIDING, REPORT, paragraphs, report_line, scored_on, scored_text, serving, table
from eeg2fmri.pipeline.maps import voxel_maps
from eeg2fmri.pipeline.report import evaluation_report
from eeg2fmri.reporting import beaten_by, interval_text
from eeg2fmri.scorable import atlas_to_score, check_fits, check_unseen, recordings_to_score, seen_windows
from eeg2fmri.scoring import NULLS, Scoring, Significance, by_importance, score_windows
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Store, StoredRecording, Windows, check_digest, named, recordings_digest, split_store
from eeg2fmri.tracking import (
    Evidence,
    RunLog,
    argue,
    describe_version,
    finished_run,
    load_model,
    store_evidence,
    tracked_run,
)
from eeg2fmri.tracking.registry import logged_model_id
from eeg2fmri.tracking.runs import STEP_KEY, step_key

logger = logging.getLogger(__name__)
OVERALL, NULL, ABSENT = "overall.json", "null.json", "absent.json"
LAYOUT = 9  # of metrics and artifacts: a run of another one is not taken up again


@dataclass(frozen=True)
class Evaluation:
    """Overall scores per condition (the mean over subjects), how sure the deciding one is, and the run of both."""

    run_id: str
    overall: Mapping[str, Mapping[str, float]]
    significance: Significance
    skipped: bool


def evaluate_step(config: Config, model_uri: str | None, store: Store, split_name: str) -> Evaluation:
    """Score a model on one part of a store, beside its nulls and the baselines of ``evaluation.baselines``.

    Without `model_uri` it is the newest version of the registered model that is called as the store's data set.
    Scores on the test split also go to the training run and to the tags of the registered version,
    where the gate reads them.

    Raises
    ------
    LeakageError
        If a test recording was used to train or validate the model, or a validation recording to train it.
    ModelError
        If the model does not fit the store.
    """
    config = named(config, store)
    task = _task_of(config, model_uri, store, split_name)
    key = task.key()
    if run := finished_run(key):
        say_skipped(f"evaluate {task.variant}", run.info.run_id)
        overall = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/{OVERALL}")
        significance = _significance(run.data.metrics, split_name)
        if split_name == "test" and task.version:  # another store may have been scored since
            store_evidence(task.version, task.evidence(overall, significance))
        return Evaluation(run.info.run_id, overall, significance, skipped=True)
    if task.atlas and store.signal.space == "native":
        logger.warning("evaluate %s: the store is in native space, so a region is not the same anatomy in every "
                       "subject", task.variant)  # fmt: skip
    with tracked_run("evaluate", experiment=config.run.experiment, params=task.params(),
                     name=f"evaluate {task.variant} · {store.name} {split_name}",
                     tags={"variant": task.variant, "dataset": store.name}) as log:  # fmt: skip
        evaluation = _score(task, log)
        log.tags({STEP_KEY: key})
        logger.info("evaluate %s on %s: %s", task.variant, split_name,
                    sentence(evaluation.overall, evaluation.significance))  # fmt: skip
        return evaluation


@dataclass(frozen=True)
class _Task:
    """A model, and the recordings that score it."""

    config: Config
    store: Store
    split: str
    subjects: tuple[str, ...]  # or sessions
    recordings: Sequence[StoredRecording]
    atlas: Atlas | None
    bundle: Bundle
    version: ModelVersion | None
    model_uri: str
    train: Windows | None  # windows that the model has seen
    validation: Windows | None

    @property
    def variant(self) -> str:
        return self.bundle.model.config.variant

    @property
    def identity(self) -> str:
        if self.version is None:
            return self.model_uri
        return f"{self.version.name}/{self.version.version}/{self.version.run_id}"

    @cached_property
    def digest(self) -> str:
        return recordings_digest(self.recordings)

    def key(self) -> str:
        """Return the key of the step: one run of it is enough."""
        config = self.config
        fitted_on = [recordings_digest(part.recordings) if part else "" for part in (self.train, self.validation)]
        sections = [config.evaluation.model_dump(mode="json", exclude={"atlas"}),
                    config.explanation.model_dump(mode="json")]  # fmt: skip
        atlas = self.atlas.digest if self.atlas else ""
        settings = [LAYOUT, self.identity, self.split, self.subjects, fitted_on, *sections, atlas]
        return step_key("evaluate", evaluation_code(self.bundle.model.config), settings, self.digest)

    def params(self) -> dict[str, Any]:
        """Return parameters of the run."""
        params = {
            "evaluation.model": self.identity,
            "evaluation.split": self.split,
            "evaluation.subjects": self.subjects,
            "evaluation.shuffles": self.config.evaluation.shuffles,
            "data.digest": self.store.digest,
            "evaluation.data_digest": self.digest,
            "evaluation.scoring": scoring_key(self.config),
        }
        if self.atlas is None:
            return params
        name = Path(str(self.config.evaluation.atlas)).name
        return params | {"evaluation.atlas": name, "evaluation.atlas_digest": self.atlas.digest}

    def evidence(self, overall: Mapping[str, Mapping[str, float]], sure: Significance) -> Evidence:
        """Return what the gate reads."""
        number = str(self.version.version) if self.version else ""
        people = len({recording.subject for recording in self.recordings})
        keys = self.digest, scoring_key(self.config), space_key(self.store)
        return Evidence(number, overall, sure.p_value, sure.smallest_p, people, *keys)


def _task_of(config: Config, model_uri: str | None, store: Store, split: str) -> _Task:
    """Load the model, and refuse what cannot score it."""
    check_digest(store, config.run.store_digest)
    recordings = recordings_to_score(config, store, split)
    atlas = atlas_to_score(config, store, recordings)
    subjects = split_store(store, config.split).part(split)
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    bundle, version = load_model(model_uri or f"models:/{config.registered_model}/latest", config.run.device)
    model_uri = f"models:/{version.name}/{version.version}" if version else str(model_uri)
    check_fits(bundle, store)
    check_unseen(bundle, recordings, split)
    train, validation = (seen_windows(bundle, store, part) for part in ("train", "validation"))
    return _Task(config, store, split, subjects, recordings, atlas, bundle, version, model_uri, train, validation)


def _score(task: _Task, log: RunLog) -> Evaluation:
    """Compute all scores, and log them with figures and report."""
    config, store, split, bundle, variant = task.config, task.store, task.split, task.bundle, task.variant
    if not has_ssim(store.signal.grid):
        logger.info("evaluate %s: no ssim, its window is larger than the axial slices", variant)
    windows = Windows(task.recordings, store.context)
    scored = score_windows(bundle.model, windows, config.evaluation, task.train, task.validation, task.atlas)
    for name, reason in scored.absent.items():
        logger.info("evaluate %s: no baseline %s (%s)", variant, name, reason)
    metrics = metric_names(scored.overall, split, scored.significance)
    data = log.dataset(task.digest, str(store.path), f"{store.name}-{split}", split, windows.eeg(np.arange(1)))
    log.metrics(metrics, model_id=logged_model_id(task.model_uri), dataset=data)
    _log_scores(log, scored, variant)
    explained, unexplained = _explain(log, bundle.model, windows, config, scored.overall["model"][DECIDING])
    found = task.evidence(scored.overall, scored.significance)
    page, figures = evaluation_report(
        config, bundle, store, split, (windows, task.train, task.validation), scored, found,
        found=explained, unexplained=unexplained,
        lineage=_lineage(task.model_uri, task.version, log.run_id, task.digest),
    )  # fmt: skip
    for name, png in figures.items():
        log.file(png, f"figures/{name}.png")
    log.text(page, REPORT)
    fitted = {r.subject for part in (task.train, task.validation) if part for r in part.recordings}
    who = scored_on(split, {recording.subject for recording in task.recordings}, fitted)
    text = paragraphs(
        scored_text(argue(config.policy, found), found, scored.significance, log.run_id, who),
        report_line(log.run_id, log.experiment_id),
    )
    log.describe(paragraphs(f"Scores of {task.model_uri} on the {split} subjects {', '.join(task.subjects)}.", text))
    if split == "test" and task.version:
        _publish(task.version, metrics)
        store_evidence(task.version, found)
        sheet = table(("", ""), data_sheet(bundle))
        about = serving(task.version.name, str(task.version.version))
        describe_version(task.version, paragraphs(text, about, sheet))
    return Evaluation(log.run_id, scored.overall, scored.significance, skipped=False)


def _log_scores(log: RunLog, scored: Scoring, variant: str) -> None:
    """Log scores as files: of conditions, surrogates, voxels, recordings and regions."""
    log.numbers(scored.overall, OVERALL)
    log.numbers({"observed": scored.null.observed, "draws": scored.null.draws.tolist()}, NULL)
    for name, content in voxel_maps(scored).items():
        log.file(content, f"maps/{name}")
    log.numbers(scored.absent, ABSENT)
    log.table(scored.table, "scores.json")
    if scored.regions:
        log.table(scored.regions.table, "regions.json")
        for note in scored.regions.notes:
            logger.info("evaluate %s: regions %s", variant, note)


def _lineage(model_uri: str, version: ModelVersion | None, run_id: str, digest: str) -> dict[str, str]:
    """Return names and values of what a report comes from."""
    training = {"run of the training": str(version.run_id)} if version else {}
    return {"model": model_uri, **training, "run of the evaluation": run_id, "digest of the recordings": digest}


def scoring_key(config: Config) -> str:
    """Return key of the way in which scores are computed: scores of two keys do not compare."""
    return step_key("scores", SCORING_CODE, config.evaluation.model_dump(mode="json", exclude={"baselines", "atlas"}))


def space_key(store: Store) -> str:
    """Return the key of a data space: models of two spaces do not compare."""
    return hashlib.sha256(json.dumps(store.signal.to_json(), sort_keys=True).encode()).hexdigest()


def metric_names(
    overall: Mapping[str, Mapping[str, float]], split: str, significance: Significance
) -> dict[str, float]:
    """Return ``test/r2_temporal``, its nulls, baselines and ceilings, p-value, effect size and interval in one group;
    then ``test_others/<score>``, by importance.

    MLflow sorts the charts of a group by name. The nulls of the other scores are only in `OVERALL`.
    """
    deciding = f"{split}/{DECIDING}"
    beside = {f"{deciding}_{condition}": scores[DECIDING] for condition, scores in overall.items()}
    names = {deciding: beside.pop(f"{deciding}_model"), **beside}
    names[f"{deciding}_p_value"] = significance.p_value
    names[f"{deciding}_smallest_p"] = significance.smallest_p
    if significance.effect_size is not None:
        names[f"{deciding}_effect_size"] = significance.effect_size
    if significance.interval:
        names[f"{deciding}_ci_low"], names[f"{deciding}_ci_high"] = significance.interval
    return names | {f"{split}_others/{score}": overall["model"][score] for score in by_importance(overall["model"])[1:]}


def _significance(metrics: Mapping[str, float], split: str) -> Significance:
    """Read what `metric_names` has named."""
    found = {name: metrics.get(f"{split}/{DECIDING}_{name}") for name in ("effect_size", "ci_low", "ci_high")}
    low, high = found["ci_low"], found["ci_high"]
    return Significance(
        p_value=metrics[f"{split}/{DECIDING}_p_value"],
        smallest_p=metrics[f"{split}/{DECIDING}_smallest_p"],
        effect_size=found["effect_size"],
        interval=None if low is None or high is None else (low, high),
    )


def sentence(overall: Mapping[str, Mapping[str, float]], significance: Significance) -> str:
    """Return the deciding score with its interval beside its nulls, in words."""
    score = {condition: overall[condition]["r2_temporal"] for condition in ("model", *NULLS)}
    beaten = "".join(f"; {line}" for line in [beaten_by(overall)] if line)
    return (
        f"r2_temporal {score['model']:+.4f} ({interval_text(significance)}; mean volume {score['mean_volume']:+.4f}, "
        f"shuffled EEG {score['shuffled']:+.4f}, {p_text(significance.p_value, significance.smallest_p)}), "
        f"skill {overall['model']['skill']:+.4f}{beaten}"
    )


def _explain(
    log: RunLog, model: FittedModel, windows: Windows, config: Config, score: float
) -> tuple[Relevance | None, str]:
    """Log where in the EEG the score comes from, and return it; or nothing, and the reason."""
    if not config.explanation.enabled:
        return None, "`explanation.enabled` is false"
    if score <= 0:  # there is nothing to explain
        return None, "the score is not above 0"
    try:
        found = relevance(model, windows, most=config.explanation.windows, drift_cutoff=config.evaluation.drift_cutoff)
    except EvaluationError as err:
        logger.info("evaluate %s: no relevance, %s", model.config.variant, err)
        return None, str(err)
    log.numbers(found.to_json(), "relevance.json")
    return found, ""


def _publish(version: Any, metrics: dict[str, float]) -> None:
    """Write the scores to the training run, where people look for them."""
    client = mlflow.MlflowClient()
    now = int(pd.Timestamp.now().timestamp() * 1000)
    client.log_batch(version.run_id, metrics=[Metric(k, v, now, 0) for k, v in metrics.items()])
