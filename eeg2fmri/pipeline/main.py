"""The whole job as one parent run with a child run per step."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mlflow
import numpy as np

from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError, DivergenceError, GateRefusal, LeakageError, ModelError
from eeg2fmri.pipeline.data import preprocess_step, simulate_step
from eeg2fmri.pipeline.describe import paragraphs, picture, serving, table
from eeg2fmri.pipeline.evaluate import Evaluation, evaluate_step, scoring_key, sentence, space_key
from eeg2fmri.pipeline.feasible import feasible, feasible_by_headers, say_left_out
from eeg2fmri.pipeline.promote import promote_step
from eeg2fmri.pipeline.train import check_training, train_step
from eeg2fmri.scorable import recordings_to_score
from eeg2fmri.scoring import CONDITIONS
from eeg2fmri.search import search_step
from eeg2fmri.server import without_secrets
from eeg2fmri.simulation import read_best_r2
from eeg2fmri.store import Store, recordings_digest, split_subjects
from eeg2fmri.tracking import describe_experiment, tracked_run, version_evidence
from eeg2fmri.tracking.registry import champion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobResult:
    """Result of the job: scores per model and version, and the champion or the reason why there is no new one.

    not_trained: by variant, the reason why a model of the list was left out.
    """

    models: dict[str, tuple[str, Evaluation]]
    champion: str | None
    refusal: str | None
    best_reachable: float | None
    not_trained: Mapping[str, str] = field(default_factory=dict)


def main_job(
    config: Config,
    workdir: Path,
    root: Path | None,
    trials: int,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    allow_failures: bool = False,
) -> JobResult:
    """Simulate (if asked), preprocess, search (if trials > 0), train and evaluate each model, promote the better.

    The better model is the one that explains more on *validation* subjects. A model that cannot be
    trained is reported and left out; if none can, the first reason is raised.

    Parameters
    ----------
    config : the configuration; without a section `simulation`, `root` is needed.
    workdir : folder of dataset, store, studies and checkpoints.
    root : a dataset to use instead of a simulated one.
    trials : search trials before training; 0 for none.
    workers, scheduler, allow_failures : see `preprocess_step`.
    """
    if root is None and config.simulation is None:
        raise ConfigError("no dataset: give --root DATASET, or a configuration with a section simulation")
    with tracked_run("main", experiment=config.run.experiment, params={"main.workdir": str(workdir)}) as log:
        best: dict[str, float] = {}
        if root is None and config.simulation is not None:
            root = workdir / "dataset"
            simulate_step(config.simulation, root, config.run.experiment)
            best = read_best_r2(root)
        assert root is not None  # checked above
        able, not_trained = feasible_by_headers(config, root)
        store, _ = preprocess_step(config, root, workdir / "store", workers=workers, scheduler=scheduler,
                                   allow_failures=allow_failures)  # fmt: skip
        # Refuse now, not after hours of training.
        recordings_to_score(config, store, "test")
        able, unable = feasible(able, lambda model: check_training(config, [model], store))
        not_trained.update(unable)
        config = config.model_copy(update={"models": able})
        if trials:
            storage = f"sqlite:///{(workdir / 'optuna.db').resolve()}"
            study = f"main-{store.digest[:8]}"
            config = search_step(config, store, study=study, storage=storage, trials=trials, timeout=None,
                                 out=workdir / "best.yaml")  # fmt: skip
        _score_old_champion(config, store)
        test = split_subjects(store.subjects, config.split).test
        reachable = float(np.mean([best[subject] for subject in test])) if best else None
        models, validation, diverged = _train_all(config, store, workdir, reachable)
        not_trained.update(diverged)
        # Test subjects score the winner; they do not choose it.
        result = _promote(config, models, max(validation, key=validation.__getitem__), reachable)
        result = replace(result, not_trained=not_trained)
        log.metrics({f"test/r2_temporal_{n}": e.overall["model"]["r2_temporal"] for n, (_, e) in models.items()})
        log.text(summary(result, config), "summary.md")
        told = _story(config, result)
        log.describe(told)
        describe_experiment(log.experiment_id, told)
        return result


def _train_all(
    config: Config, store: Store, workdir: Path, best_reachable: float | None = None
) -> tuple[dict[str, tuple[str, Evaluation]], dict[str, float], dict[str, str]]:
    """Return by variant: version and test scores, the validation score, and the reason if a fit gave no model."""
    models: dict[str, tuple[str, Evaluation]] = {}
    validation: dict[str, float] = {}
    diverged: dict[str, str] = {}
    for model in config.models:
        try:
            trained = train_step(config, model.variant, store, workdir)
        except DivergenceError as err:
            if len(diverged) + 1 == len(config.models):
                raise
            diverged[model.variant] = say_left_out(model.variant, err)
            continue
        uri = f"models:/{config.registry.name}/{trained.version}"
        models[model.variant] = (trained.version, evaluate_step(config, uri, store, "test", best_reachable))
        validation[model.variant] = trained.validation
    return models, validation, diverged


def _promote(config: Config, models: dict[str, tuple[str, Evaluation]], winner: str, best: float | None) -> JobResult:
    try:
        promoted = promote_step(config, models[winner][0])
    except GateRefusal as refusal:
        present = champion(config.registry.name, config.registry.alias)
        return JobResult(models, str(present.version) if present else None, str(refusal), best)
    return JobResult(models, promoted, None, best)


def _score_old_champion(config: Config, store: Store) -> None:
    """Score the present champion on this store with today's code, if it has no such score, for the gate."""
    present = champion(config.registry.name, config.registry.alias)
    if present is None:
        return
    known = version_evidence(present)
    digest = recordings_digest(store.of(split_subjects(store.subjects, config.split).test))
    if known and (known.data_digest, known.scoring) == (digest, scoring_key(config)):
        return
    if known and known.space != space_key(store):
        return  # of other channels or another grid: it is not compared
    try:
        evaluate_step(config, f"models:/{config.registry.name}/{present.version}", store, "test")
    except (LeakageError, ModelError) as err:
        logger.warning("the champion, version %s, cannot be compared on this data: %s", present.version, err)


def _story(config: Config, result: JobResult) -> str:
    """Describe the job in Markdown: the champion, every model's scores, a picture, a way to serve."""
    name, number = config.registry.name, result.champion
    rows = [
        [variant, version, *(f"{e.overall[c]['r2_temporal']:+.4f}" for c in CONDITIONS), f"{e.p_value:.3f}"]
        for variant, (version, e) in result.models.items()
    ]
    new = [f"{variant}, {sentence(e.overall, e.p_value)}" for variant, (v, e) in result.models.items() if v == number]
    headline = f"Champion: {name} version {number}" if number else "No champion"
    best = max((e for _, e in result.models.values()), key=lambda e: e.overall["model"]["r2_temporal"])
    ceiling = ""
    if result.best_reachable is not None:
        ceiling = f"Best reachable on these subjects: {result.best_reachable:+.4f} (the simulator knows it)."
    return paragraphs(
        " – ".join([headline, *new]) + ".",
        f"No new champion: {result.refusal}." if result.refusal else "",
        "`r2_temporal` on unseen subjects:",
        table(("model", "version", "model's score", "mean volume", "shuffled EEG", "p"), rows),
        ceiling,
        *(f"Not trained: {variant}: {reason}" for variant, reason in result.not_trained.items()),
        picture(best.run_id, "figures/scores.png", "scores of every subject, and their nulls"),
        serving(name, number) if number else "",
    )


def summary(result: JobResult, config: Config) -> str:
    """Write a Markdown summary: every model's scores with its nulls, the champion, and the next commands."""
    name, alias = config.registry.name, config.registry.alias
    columns = ("model", "version", "r2_temporal", "mean volume", "shuffled EEG", "p", "skill", "rmse", "ssim")
    lines = [_row(columns), "|" + "---|" * len(columns)]
    for variant, (version, evaluation) in result.models.items():
        model, mean, shuffled = (evaluation.overall[c] for c in ("model", "mean_volume", "shuffled"))
        signed = [f"{scores['r2_temporal']:+.4f}" for scores in (model, mean, shuffled)]
        others = [f"{model['skill']:+.4f}", f"{model['rmse']:.4f}", f"{model['ssim']:.4f}" if "ssim" in model else "–"]
        lines.append(_row([variant, version, *signed, f"{evaluation.p_value:.3f}", *others]))
    lines.append("")
    lines += [f"Not trained: {variant}: {reason}" for variant, reason in result.not_trained.items()]
    if result.best_reachable is not None:
        lines.append(f"Best reachable r2_temporal on these subjects (the simulator knows): {result.best_reachable:.4f}")
    lines.append(f"Champion: {name}@{alias} is version {result.champion}" if result.champion else "No champion.")
    if result.refusal:
        lines.append(f"Gate: {result.refusal}")
    uri = without_secrets(mlflow.get_tracking_uri())
    lines.append(f"Look at the runs:  mlflow ui --backend-store-uri {uri}")
    if result.champion:
        lines.append(f"Serve it:          mlflow models serve -m models:/{name}@{alias} --env-manager local -p 5001")
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
