"""Cross-validation: every subject tested once by models that never saw it, each fold an own training and evaluation."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import mlflow
import numpy as np
import pandas as pd

from eeg2fmri import plotting
from eeg2fmri.config import Config
from eeg2fmri.devices import forget_networks
from eeg2fmri.errors import ConfigError, DivergenceError, Eeg2FmriError, IncompleteError, one_line
from eeg2fmri.evaluation import Null, pooled_null
from eeg2fmri.pipeline.crossed import SEEN, Crossvalidation, by_subject, summary, verdict
from eeg2fmri.pipeline.describe import DECIDING, REPORT, paragraphs, picture, report_line
from eeg2fmri.pipeline.evaluate import ABSENT, NULL, Evaluation, evaluate_step
from eeg2fmri.pipeline.feasible import say_left_out
from eeg2fmri.pipeline.folds import Plan, of_fold, plan_crossval, plan_params
from eeg2fmri.pipeline.report import crossval_report
from eeg2fmri.pipeline.train import train_step
from eeg2fmri.scoring import SEED, scores_by_subject
from eeg2fmri.store import Location, Split, Store, open_store
from eeg2fmri.store.parallel import each
from eeg2fmri.tracking import RunLog, children_ended, children_of, tracked_run

logger = logging.getLogger(__name__)
SPLIT_FILE = "split.json"


class Part(NamedTuple):
    """One model in one fold, counted from 1."""

    fold: int
    split: Split
    variant: str

    def __str__(self) -> str:
        return f"{self.variant}, fold {self.fold}"


def crossval_step(
    config: Config,
    store: Store,
    workdir: Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    split_file: Path | None = None,
) -> Crossvalidation:
    """Train and score each model in each fold, and compare the models by subject.

    A fold's training and evaluation are steps as any other: those that are finished are used again, and an
    interrupted training continues from its checkpoint. Their models are logged, but not registered.

    Parameters
    ----------
    config : section `crossval` says how folds are made and which models are compared.
    store : whose subjects are turned.
    workdir : where checkpoints go; workers must see the same folder.
    workers : local processes, which share the processor's cores.
    scheduler : address of a Dask scheduler whose workers are used instead.
    split_file : a published split to repeat, instead of making folds.

    Raises
    ------
    ConfigError, LeakageError, DatasetError, SpecError
        If there are too few subjects or sessions, or a fold could not be trained or scored; before any training.
    IncompleteError
        If a worker dies again and again; what is finished is kept.
    """
    if workers > 1 and scheduler:
        raise ConfigError(f"--workers {workers} and --scheduler {scheduler}: give one of them")
    plan = plan_crossval(config, store, split_file)
    config, folds, models = plan.config, plan.folds, plan.models
    with tracked_run("crossval", experiment=config.run.experiment, name=f"crossval · {store.name}",
                     params=plan_params(plan, store), tags={"dataset": store.name}) as log:  # fmt: skip
        log.numbers(plan.split, SPLIT_FILE)
        log.describe(f"{plan.protocol}, {len(folds)} folds of {store.name}. {SEEN.get(plan.protocol, '')}")
        logger.info(
            "crossval: %s, %d folds, %s", plan.protocol, len(folds), ", ".join(model.variant for model in models)
        )
        parts = [Part(n, fold, model.variant) for n, fold in enumerate(folds, 1) for model in models]
        done, diverged = _run(parts, config, store, workdir, log, workers, scheduler)
        scores = pd.concat([_scores(part, found) for part, found in done.items()], ignore_index=True)
        result = _result(plan, log.run_id, done, scores, diverged)
        _log(log, plan, store, result, scores, done)
        return result


def _result(
    plan: Plan, run_id: str, done: Mapping[Part, Evaluation], scores: pd.DataFrame, diverged: Mapping[str, str]
) -> Crossvalidation:
    """Return scores by subject and nulls of the models whose fits ended in every fold."""
    variants = [model.variant for model in plan.models if model.variant not in diverged]
    own = {v: scores[scores.model == v].drop(columns=["model", "fold"]) for v in variants}
    return Crossvalidation(
        run_id,
        plan.protocol,
        plan.folds,
        {v: scores_by_subject(found)[DECIDING] for v, found in own.items()},
        {v: _null({part: found for part, found in done.items() if part.variant == v}, scores) for v in variants},
        {**plan.left_out, **diverged},
    )


def _run(
    parts: Sequence[Part],
    config: Config,
    store: Store,
    workdir: Path,
    log: RunLog,
    workers: int,
    scheduler: str | None,
) -> tuple[dict[Part, Evaluation], dict[str, str]]:
    """Return evaluations by part, in order, without those of models of which a fit diverged; and why it did."""
    here = workers == 1 and scheduler is None
    # The models of a fold share what a process keeps of its recordings: components, statistics.
    folds = [tuple(own) for _, own in itertools.groupby(parts, key=lambda part: part.fold)]
    if scheduler or workers > len(folds):
        folds = [(part,) for part in parts]
    task = partial(
        _fold_models,
        config=config,
        source=store if here else Location.of(store.path).absolute(),
        workdir=workdir.absolute(),
        parent=(log.run_id, mlflow.get_tracking_uri(), mlflow.get_registry_uri()),
    )
    threads = max(1, (os.cpu_count() or 1) // workers)
    done: dict[Part, Evaluation] = {}
    diverged: dict[str, str] = {}
    results = each(task, folds, workers=workers, scheduler=scheduler, threads=threads)
    with children_ended(log.run_id, results.close):
        for fold, ended in results:
            if isinstance(ended, Eeg2FmriError):
                raise ended
            if isinstance(ended, BaseException):
                raise IncompleteError(
                    f"{fold[0]}: failed ({one_line(ended)}); give workers more memory, or --workers 1 --debug to see "
                    f"where; what is done is kept"
                ) from ended
            for part, result in zip(fold, ended, strict=True):
                if isinstance(result, DivergenceError):
                    diverged.setdefault(part.variant, say_left_out(str(part), result))
                    if len(diverged) == len({p.variant for p in parts}):
                        raise result
                    continue
                done[part] = result
                score = result.overall["model"][DECIDING]
                logger.info("crossval: %d of %d: %s: %s %+.4f", len(done), len(parts), part, DECIDING, score)
    return {part: done[part] for part in parts if part in done and part.variant not in diverged}, diverged


def _fold_models(
    parts: Sequence[Part], config: Config, source: Store | Location, workdir: Path, parent: tuple[str, str, str]
) -> list[Evaluation | DivergenceError]:
    """Train and score models of one fold, in any process."""
    store = source if isinstance(source, Store) else open_store(source)
    return [_fold_model(part, of_fold(config, part.split), store, workdir, parent) for part in parts]


def _fold_model(
    part: Part, config: Config, store: Store, workdir: Path, parent: tuple[str, str, str]
) -> Evaluation | DivergenceError:
    """Train and score one model in one fold."""
    forget_networks()
    with children_of(*parent, ending=f" · fold {part.fold}"):
        try:
            trained = train_step(config, part.variant, store, workdir, register=False)
        except DivergenceError as err:
            return err
        return evaluate_step(config, trained.model_uri, store, "test")


def _scores(part: Part, evaluation: Evaluation) -> pd.DataFrame:
    """Return the table of an evaluation, a row per recording and condition, with the columns model and fold before
    it.
    """
    uri = mlflow.get_run(evaluation.run_id).info.artifact_uri
    found = pd.DataFrame(**mlflow.artifacts.load_dict(f"{uri}/scores.json"))
    return pd.concat([pd.DataFrame({"model": part.variant, "fold": part.fold}, index=found.index), found], axis=1)


def _null(done: Mapping[Part, Evaluation], scores: pd.DataFrame) -> Null:
    """Return the null of one model over all of its folds."""
    nulls, subjects = [], []
    for part, found in done.items():
        content = mlflow.artifacts.load_dict(f"{mlflow.get_run(found.run_id).info.artifact_uri}/{NULL}")
        least = found.significance.smallest_p
        nulls.append(Null(content["observed"], np.asarray(content["draws"]), np.empty(0), least))
        subjects.append(scores[scores.fold == part.fold].subject.nunique())
    return pooled_null(nulls, subjects, np.random.default_rng(SEED))


def _absent(done: Mapping[Part, Evaluation]) -> dict[str, dict[str, str]]:
    """Return by model why a baseline is absent, in the first fold without it."""
    absent: dict[str, dict[str, str]] = {}
    for part, found in done.items():
        reasons = mlflow.artifacts.load_dict(f"{mlflow.get_run(found.run_id).info.artifact_uri}/{ABSENT}")
        absent[part.variant] = reasons | absent.get(part.variant, {})
    return absent


def _log(
    log: RunLog,
    plan: Plan,
    store: Store,
    result: Crossvalidation,
    scores: pd.DataFrame,
    done: Mapping[Part, Evaluation],
) -> None:
    intervals = result.intervals
    metrics: dict[str, float] = {}
    for variant, interval in intervals.items():
        name = f"crossval/{DECIDING}_{variant}"
        metrics |= {name: result.mean(variant), f"{name}_shuffled": result.mean(variant, "shuffled")}
        metrics |= dict(zip((f"{name}_low", f"{name}_high"), interval or (), strict=False))
        metrics[f"{name}_p_value"] = result.nulls[variant].p_value
    log.metrics(metrics)
    log.table(scores, "scores.json")
    content = {
        "protocol": result.protocol,
        "data_digest": plan.digest,
        DECIDING: result.scores,
        "intervals": intervals,
        "p_values": {variant: null.p_value for variant, null in result.nulls.items()},
        "pairs": [{"first": one, "second": other, **asdict(c)} for (one, other), c in result.pairs.items()],
        "left_out": dict(result.left_out),
        "evaluations": [{"model": p.variant, "fold": p.fold, "run": found.run_id} for p, found in done.items()],
    }
    log.numbers(content, "crossval.json")
    own, shuffled = ({v: of[condition] for v, of in result.scores.items()} for condition in ("model", "shuffled"))
    figure = plotting.models_figure(own, shuffled, intervals, title=result.protocol)
    figures = {"subjects": plotting.figure_to_png(figure)}
    for name, png in figures.items():
        log.file(png, f"figures/{name}.png")
    text = paragraphs(verdict(result, plan.config.policy.level), summary(result))
    log.text(text, "summary.md")
    runs = [(part.variant, part.fold, found.run_id) for part, found in done.items()]
    page = crossval_report(
        plan.config, store, [model for model in plan.models if model.variant in result.scores], result, scores, figures,
        absent=_absent(done), runs=runs,
        lineage={"run of the cross-validation": log.run_id, "digest of the recordings": plan.digest},
    )  # fmt: skip
    log.text(page, REPORT)
    shown = picture(log.run_id, "figures/subjects.png", "scores of every subject beside shuffled EEG")
    log.describe(paragraphs(text, shown, by_subject(result), report_line(log.run_id, log.experiment_id)))
