"""The evaluation step: scores of a model on unseen subjects, their nulls, and figures."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion

from eeg2fmri import plotting
from eeg2fmri.config import Config
from eeg2fmri.devices import use_backend
from eeg2fmri.evaluation import has_ssim
from eeg2fmri.pipeline.card import data_sheet
from eeg2fmri.pipeline.code import SCORING_CODE, evaluation_code
from eeg2fmri.pipeline.data import say_skipped
from eeg2fmri.pipeline.describe import paragraphs, scored_text, serving, table
from eeg2fmri.scorable import check_fits, check_unseen, recordings_to_score
from eeg2fmri.scoring import CONDITIONS, by_importance, score_windows, scores_by_subject, summarise
from eeg2fmri.store import Store, Windows, check_digest, recordings_digest, split_subjects
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
DECIDING = "r2_temporal"
OVERALL = "overall.json"
LAYOUT = 3  # of metrics and artifacts: a run of another one does not continue


@dataclass(frozen=True)
class Evaluation:
    """Overall scores per condition (the mean over subjects), and the run that holds them.

    p_value: chance that the same model scores its `r2_temporal` with shuffled EEG.
    """

    run_id: str
    overall: Mapping[str, Mapping[str, float]]
    p_value: float
    skipped: bool


def evaluate_step(
    config: Config, model_uri: str, store: Store, split_name: str, best_reachable: float | None = None
) -> Evaluation:
    """Score a model on one part of a store, and the mean volume and the same model on shuffled EEG.

    Scores on the test split also go to the training run and to the tags of the registered version,
    where the gate reads them. `best_reachable`, which a simulator knows, is the ceiling of `r2_temporal`.

    Raises
    ------
    LeakageError
        If a test recording was used to train or validate the model, or a validation recording to train it.
    ModelError
        If the model does not fit the store.
    """
    check_digest(store, config.run.store_digest)
    recordings = recordings_to_score(config, store, split_name)
    subjects = split_subjects(store.subjects, config.split).part(split_name)
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    bundle, version = load_model(model_uri, config.run.device)
    check_fits(bundle, store)
    check_unseen(bundle, recordings, split_name)
    identity = f"{version.name}/{version.version}/{version.run_id}" if version else model_uri
    settings = [LAYOUT, identity, split_name, subjects, config.evaluation.model_dump(mode="json")]
    digest = recordings_digest(recordings)
    key = step_key("evaluate", evaluation_code(bundle.model.config), settings, digest)

    def evidence(version: ModelVersion | None, overall: Mapping[str, Mapping[str, float]], p_value: float) -> Evidence:
        number = str(version.version) if version else ""
        return Evidence(number, overall, p_value, len(subjects), digest, scoring_key(config), space_key(store))

    if run := finished_run(key):
        say_skipped(f"evaluate {bundle.model.config.variant}", run.info.run_id)
        overall = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/{OVERALL}")
        p_value = run.data.metrics[f"{split_name}/{DECIDING}_p_value"]
        if split_name == "test" and version:  # another store may be the last one scored
            store_evidence(version, evidence(version, overall, p_value))
        return Evaluation(run.info.run_id, overall, p_value, skipped=True)
    variant = bundle.model.config.variant
    params = {
        "evaluation.model": identity,
        "evaluation.split": split_name,
        "evaluation.subjects": subjects,
        "evaluation.shuffles": config.evaluation.shuffles,
        "data.digest": store.digest,
        "evaluation.data_digest": digest,
    }
    with tracked_run("evaluate", experiment=config.run.experiment, name=f"evaluate-{variant}", params=params,
                     tags={"variant": variant, "dataset": store.path.name}) as log:  # fmt: skip
        if not has_ssim(store.signal.grid):
            logger.info("evaluate %s: no ssim, its window is larger than the axial slices", variant)
        windows = Windows(recordings, store.context)
        each, p_value, example = score_windows(bundle.model, windows, config.evaluation)
        overall = summarise(each)
        metrics = metric_names(overall, split_name, p_value, best_reachable)
        data = log.dataset(digest, str(store.path), f"{store.path.name}-{split_name}", split_name,
                           windows.eeg(np.arange(1)))  # fmt: skip
        log.metrics(metrics, model_id=logged_model_id(model_uri), dataset=data)
        log.numbers(overall, OVERALL)
        _log_figures(log, each, example, variant)
        log.table(each, "scores.json")
        found = evidence(version, overall, p_value)
        scored = scored_text(argue(config.policy, found), found, log.run_id, best_reachable)
        log.describe(paragraphs(f"Scores of {model_uri} on the {split_name} subjects {', '.join(subjects)}.", scored))
        if split_name == "test" and version:
            _publish(version, metrics)
            store_evidence(version, found)
            sheet = table(("", ""), data_sheet(bundle))
            describe_version(version, paragraphs(scored, serving(version.name, str(version.version)), sheet))
        log.tags({STEP_KEY: key})
        logger.info("evaluate %s on %s: %s", variant, split_name, sentence(overall, p_value))
        return Evaluation(log.run_id, overall, p_value, skipped=False)


def scoring_key(config: Config) -> str:
    """Return the key of the way to compute scores: scores of two keys do not compare."""
    return step_key("scores", SCORING_CODE, config.evaluation.model_dump(mode="json"))


def space_key(store: Store) -> str:
    """Return the key of a data space: models of two spaces do not compare."""
    return hashlib.sha256(json.dumps(store.signal.to_json(), sort_keys=True).encode()).hexdigest()


def metric_names(
    overall: Mapping[str, Mapping[str, float]], split: str, p_value: float, best_reachable: float | None = None
) -> dict[str, float]:
    """Name metrics: ``test/r2_temporal`` with nulls, p and ceiling; then ``test_others/<score>``, by importance.

    MLflow sorts the charts of a group by name. The nulls of the other scores are only in `OVERALL`.
    """
    deciding = f"{split}/{DECIDING}"
    names = {deciding: overall["model"][DECIDING]}
    names.update({f"{deciding}_{condition}": overall[condition][DECIDING] for condition in CONDITIONS[1:]})
    names[f"{deciding}_p_value"] = p_value
    if best_reachable is not None:
        names[f"{deciding}_best_reachable"] = best_reachable
    return names | {f"{split}_others/{score}": overall["model"][score] for score in by_importance(overall["model"])[1:]}


def sentence(overall: Mapping[str, Mapping[str, float]], p_value: float) -> str:
    """Write the deciding score and its nulls, in words."""
    score = {condition: overall[condition]["r2_temporal"] for condition in CONDITIONS}
    return (
        f"r2_temporal {score['model']:+.4f} (mean volume {score['mean_volume']:+.4f}, "
        f"shuffled EEG {score['shuffled']:+.4f}, p = {p_value:.3f}), skill {overall['model']['skill']:+.4f}"
    )


def _log_figures(log: RunLog, table: pd.DataFrame, example: tuple[np.ndarray, np.ndarray], variant: str) -> None:
    measured, synthesised = example
    limits = (float(measured.min()), float(measured.max()))
    log.figure(
        plotting.slice_figure(synthesised, title=f"{variant}: synthesised", limits=limits), "figures/synthesised.png"
    )
    log.figure(plotting.slice_figure(measured, title="measured", limits=limits), "figures/measured.png")
    residual = plotting.slice_figure(measured - synthesised, title=f"{variant}: residual", signed=True, threshold=0.1)
    log.figure(residual, "figures/residual.png")
    log.figure(
        plotting.score_figure(scores_by_subject(table), title=f"{variant}, unseen subjects"), "figures/scores.png"
    )


def _publish(version: Any, metrics: dict[str, float]) -> None:
    """Write the scores to the training run, where people look for them."""
    client = mlflow.MlflowClient()
    now = int(pd.Timestamp.now().timestamp() * 1000)
    client.log_batch(version.run_id, metrics=[Metric(k, v, now, 0) for k, v in metrics.items()])
