"""The evaluation step: scores of a model on unseen subjects, their nulls, and figures."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
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
from eeg2fmri.evaluation import Relevance, has_ssim, p_text
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
from eeg2fmri.scoring import NULLS, Significance, by_importance, score_windows
from eeg2fmri.store import Store, Windows, check_digest, named, recordings_digest, split_store
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
    check_digest(store, config.run.store_digest)
    recordings = recordings_to_score(config, store, split_name)
    atlas = atlas_to_score(config, store, recordings)
    subjects = split_store(store, config.split).part(split_name)
    use_backend(config.run.backend, deterministic=config.run.deterministic)
    bundle, version = load_model(model_uri or f"models:/{config.registered_model}/latest", config.run.device)
    model_uri = f"models:/{version.name}/{version.version}" if version else str(model_uri)
    check_fits(bundle, store)
    check_unseen(bundle, recordings, split_name)
    identity = f"{version.name}/{version.version}/{version.run_id}" if version else model_uri
    digest, seen = recordings_digest(recordings), [seen_windows(bundle, store, p) for p in ("train", "validation")]
    fitted_on = [recordings_digest(part.recordings) if part else "" for part in seen]
    sections = [
        config.evaluation.model_dump(mode="json", exclude={"atlas"}),
        config.explanation.model_dump(mode="json"),
    ]
    settings = [LAYOUT, identity, split_name, subjects, fitted_on, *sections, atlas.digest if atlas else ""]
    people = len({recording.subject for recording in recordings})  # `subjects` may be sessions
    key = step_key("evaluate", evaluation_code(bundle.model.config), settings, digest)

    def evidence(
        version: ModelVersion | None, overall: Mapping[str, Mapping[str, float]], sure: Significance
    ) -> Evidence:
        number, keys = str(version.version) if version else "", (digest, scoring_key(config), space_key(store))
        return Evidence(number, overall, sure.p_value, sure.smallest_p, people, *keys)

    if run := finished_run(key):
        say_skipped(f"evaluate {bundle.model.config.variant}", run.info.run_id)
        overall = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/{OVERALL}")
        significance = _significance(run.data.metrics, split_name)
        if split_name == "test" and version:  # another store may have been scored since
            store_evidence(version, evidence(version, overall, significance))
        return Evaluation(run.info.run_id, overall, significance, skipped=True)
    variant = bundle.model.config.variant
    params = {
        "evaluation.model": identity,
        "evaluation.split": split_name,
        "evaluation.subjects": subjects,
        "evaluation.shuffles": config.evaluation.shuffles,
        "data.digest": store.digest,
        "evaluation.data_digest": digest,
        "evaluation.scoring": scoring_key(config),
    }
    if atlas:
        params |= {"evaluation.atlas": Path(str(config.evaluation.atlas)).name, "evaluation.atlas_digest": atlas.digest}
        if store.signal.space == "native":
            logger.warning("evaluate %s: the store is in native space, so a region is not the same anatomy in every "
                           "subject", variant)  # fmt: skip
    with tracked_run("evaluate", experiment=config.run.experiment, params=params,
                     name=f"evaluate {variant} · {store.name} {split_name}",
                     tags={"variant": variant, "dataset": store.name}) as log:  # fmt: skip
        if not has_ssim(store.signal.grid):
            logger.info("evaluate %s: no ssim, its window is larger than the axial slices", variant)
        windows = Windows(recordings, store.context)
        scored = score_windows(bundle.model, windows, config.evaluation, seen[0], seen[1], atlas)
        for name, reason in scored.absent.items():
            logger.info("evaluate %s: no baseline %s (%s)", variant, name, reason)
        overall, significance = scored.overall, scored.significance
        metrics = metric_names(overall, split_name, significance)
        data = log.dataset(digest, str(store.path), f"{store.name}-{split_name}", split_name,
                           windows.eeg(np.arange(1)))  # fmt: skip
        log.metrics(metrics, model_id=logged_model_id(model_uri), dataset=data)
        log.numbers(overall, OVERALL)
        log.numbers({"observed": scored.null.observed, "draws": scored.null.draws.tolist()}, NULL)
        for name, content in voxel_maps(scored).items():
            log.file(content, f"maps/{name}")
        log.numbers(scored.absent, ABSENT)
        log.table(scored.table, "scores.json")
        if scored.regions:
            log.table(scored.regions.table, "regions.json")
            for note in scored.regions.notes:
                logger.info("evaluate %s: regions %s", variant, note)
        explained, unexplained = _explain(log, bundle.model, windows, config, overall["model"][DECIDING])
        found = evidence(version, overall, significance)
        page, figures = evaluation_report(
            config, bundle, store, split_name, (windows, seen[0], seen[1]), scored, found,
            found=explained, unexplained=unexplained, lineage=_lineage(model_uri, version, log.run_id, digest),
        )  # fmt: skip
        for name, png in figures.items():
            log.file(png, f"figures/{name}.png")
        log.text(page, REPORT)
        who = scored_on(split_name, {r.subject for r in recordings}, {r.subject for part in seen if part
                        for r in part.recordings})  # fmt: skip
        text = paragraphs(
            scored_text(argue(config.policy, found), found, significance, log.run_id, who),
            report_line(log.run_id, log.experiment_id),
        )
        log.describe(paragraphs(f"Scores of {model_uri} on the {split_name} subjects {', '.join(subjects)}.", text))
        if split_name == "test" and version:
            _publish(version, metrics)
            store_evidence(version, found)
            sheet = table(("", ""), data_sheet(bundle))
            describe_version(version, paragraphs(text, serving(version.name, str(version.version)), sheet))
        log.tags({STEP_KEY: key})
        logger.info("evaluate %s on %s: %s", variant, split_name, sentence(overall, significance))
        return Evaluation(log.run_id, overall, significance, skipped=False)


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
