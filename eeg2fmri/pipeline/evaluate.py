"""The evaluation step: scores of a model on unseen subjects, each beside its nulls, and figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric

from eeg2fmri import plotting
from eeg2fmri.config import Config
from eeg2fmri.devices import use_backend
from eeg2fmri.evaluation import has_ssim
from eeg2fmri.pipeline.code import SCORING_CODE, evaluation_code
from eeg2fmri.pipeline.data import say_skipped
from eeg2fmri.scorable import check_fits, check_unseen, recordings_to_score
from eeg2fmri.scoring import CONDITIONS, score_windows, scores_by_subject, summarise
from eeg2fmri.store import Store, Windows, check_digest, recordings_digest, split_subjects
from eeg2fmri.tracking import RunLog, Scores, finished_run, load_model, tracked_run
from eeg2fmri.tracking.registry import store_scores
from eeg2fmri.tracking.runs import STEP_KEY, step_key

logger = logging.getLogger(__name__)
P_VALUE = "null/r2_temporal_p_value"


@dataclass(frozen=True)
class Evaluation:
    """Overall scores per condition (the mean over subjects), and the run that holds them.

    p_value: chance that the same model scores its `r2_temporal` with shuffled EEG.
    """

    run_id: str
    overall: Mapping[str, Mapping[str, float]]
    p_value: float
    skipped: bool


def evaluate_step(config: Config, model_uri: str, store: Store, split_name: str) -> Evaluation:
    """Score a model on one part of a store, beside the mean volume and the same model on shuffled EEG.

    Scores on the test split also go to the training run and to the tags of the registered version,
    where the gate reads them.

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
    settings = [identity, split_name, subjects, config.evaluation.model_dump(mode="json")]
    digest = recordings_digest(recordings)
    key = step_key("evaluate", evaluation_code(bundle.model.config), settings, digest)
    scoring = scoring_key(config)
    if run := finished_run(key):
        say_skipped(f"evaluate {bundle.model.config.variant}", run.info.run_id)
        overall, p_value = _overall_of(run.data.metrics, split_name), run.data.metrics[P_VALUE]
        if split_name == "test" and version:  # another store may have been scored since
            _tag_version(version, overall, p_value, digest, scoring)
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
        table, p_value, example = score_windows(bundle.model, windows, config.evaluation)
        overall = summarise(table)
        metrics = {**metric_names(overall, split_name), P_VALUE: p_value}
        log.metrics(metrics)
        _log_figures(log, table, example, variant)
        log.table(table, "scores.json")
        if split_name == "test" and version:
            _publish(version, metrics, overall, digest, scoring)
        log.tags({STEP_KEY: key})
        logger.info("evaluate %s on %s: %s", variant, split_name, sentence(overall, p_value))
        return Evaluation(log.run_id, overall, p_value, skipped=False)


def scoring_key(config: Config) -> str:
    """Key of the way in which scores are computed: scores of two keys do not compare."""
    return step_key("scores", SCORING_CODE, config.evaluation.model_dump(mode="json"))


def metric_names(overall: Mapping[str, Mapping[str, float]], split: str) -> dict[str, float]:
    """``test/<score>`` and beside each ``null/<score>_mean_volume`` and ``null/<score>_shuffled``."""
    names = {f"{split}/{score}": value for score, value in overall["model"].items()}
    for condition in CONDITIONS[1:]:
        names.update({f"null/{score}_{condition}": value for score, value in overall[condition].items()})
    return names


def sentence(overall: Mapping[str, Mapping[str, float]], p_value: float) -> str:
    """The deciding score beside its nulls, in words."""
    score = {condition: overall[condition]["r2_temporal"] for condition in CONDITIONS}
    return (
        f"r2_temporal {score['model']:+.4f} (mean volume {score['mean_volume']:+.4f}, "
        f"shuffled EEG {score['shuffled']:+.4f}, p = {p_value:.3f}), skill {overall['model']['skill']:+.4f}"
    )


def _overall_of(metrics: Mapping[str, float], split: str) -> dict[str, dict[str, float]]:
    """The inverse of `metric_names`, from a finished run."""
    scores = [name.removeprefix(f"{split}/") for name in metrics if name.startswith(f"{split}/")]
    overall = {condition: {s: metrics[f"null/{s}_{condition}"] for s in scores} for condition in CONDITIONS[1:]}
    return {"model": {s: metrics[f"{split}/{s}"] for s in scores}, **overall}


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


def _publish(
    version: Any, metrics: dict[str, float], overall: dict[str, dict[str, float]], digest: str, scoring: str
) -> None:
    """Put the scores where people look: on the training run, and on the registered version."""
    client = mlflow.MlflowClient()
    now = int(pd.Timestamp.now().timestamp() * 1000)
    client.log_batch(version.run_id, metrics=[Metric(k, v, now, 0) for k, v in metrics.items()])
    _tag_version(version, overall, metrics[P_VALUE], digest, scoring)


def _tag_version(
    version: Any, overall: Mapping[str, Mapping[str, float]], p_value: float, digest: str, scoring: str
) -> None:
    model, shuffled = (overall[condition]["r2_temporal"] for condition in ("model", "shuffled"))
    store_scores(version, Scores(str(version.version), model, shuffled, p_value, digest, scoring))
