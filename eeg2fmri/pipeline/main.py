"""The whole job as one parent run with a child run per step."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mlflow

from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError, DivergenceError, GateRefusal, LeakageError, ModelError, without_secrets
from eeg2fmri.evaluation import p_number
from eeg2fmri.pipeline.data import preprocess_step, simulate_step
from eeg2fmri.pipeline.describe import dynamics_picture, paragraphs, serving, table
from eeg2fmri.pipeline.evaluate import Evaluation, evaluate_step, scoring_key, sentence, space_key
from eeg2fmri.pipeline.feasible import feasible, feasible_by_headers, say_left_out
from eeg2fmri.pipeline.promote import promote_step
from eeg2fmri.pipeline.train import check_training, train_step
from eeg2fmri.reporting import bounds, ceilings_text
from eeg2fmri.scorable import atlas_to_score, recordings_to_score
from eeg2fmri.scoring import NULLS, strongest_baseline
from eeg2fmri.search import search_step
from eeg2fmri.store import SIMULATED, Store, dataset_name, recordings_digest, split_store, with_names
from eeg2fmri.tracking import alone, describe_experiment, tracked_run, version_evidence
from eeg2fmri.tracking.registry import champion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobResult:
    """Result of the job: scores per model and version, and the champion or the reason why there is no new one.

    name: of the registered model.  not_trained: by variant, why a model of the list was left out.
    """

    name: str
    models: dict[str, tuple[str, Evaluation]]
    champion: str | None
    refusal: str | None
    not_trained: Mapping[str, str] = field(default_factory=dict)

    @property
    def ceilings(self) -> str:
        """Ceilings of the test subjects in a sentence; empty for measured data."""
        overall = next(iter(self.models.values()))[1].overall
        return ceilings_text({name: scores["r2_temporal"] for name, scores in overall.items()})


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
    name = dataset_name(root) if root else SIMULATED
    config = with_names(config, name)
    lock = workdir / ".main.lock"
    with alone(lock, str(workdir), "main", "give another --workdir"), \
         tracked_run("main", experiment=config.run.experiment, name=f"main · {name}",
                     params={"main.workdir": str(workdir)}, tags={"dataset": name}) as log:  # fmt: skip
        if root is None:
            root = workdir / "dataset"
            simulate_step(config, root)
        able, not_trained = feasible_by_headers(config, root)
        store, _ = preprocess_step(config, root, workdir / "store", workers=workers, scheduler=scheduler,
                                   allow_failures=allow_failures)  # fmt: skip
        # Refuse now, not after hours of training.
        atlas_to_score(config, store, recordings_to_score(config, store, "test"))
        able, unable = feasible(able, lambda model: check_training(config, [model], store))
        not_trained.update(unable)
        config = config.model_copy(update={"models": able})
        if trials:
            storage = f"sqlite:///{(workdir / 'optuna.db').resolve()}"
            study = f"main-{store.digest[:8]}"
            config = search_step(config, store, study=study, storage=storage, trials=trials, timeout=None,
                                 out=workdir / "best.yaml", workers=workers, scheduler=scheduler)  # fmt: skip
        _score_old_champion(config, store)
        models, validation, diverged = _train_all(config, store, workdir)
        not_trained.update(diverged)
        # Test subjects score the winner; they do not choose it.
        result = _promote(config, models, max(validation, key=validation.__getitem__))
        result = replace(result, not_trained=not_trained)
        log.metrics({f"test/r2_temporal_{n}": e.overall["model"]["r2_temporal"] for n, (_, e) in models.items()})
        log.text(summary(result, config), "summary.md")
        told = _story(result)
        log.describe(told)
        describe_experiment(log.experiment_id, told)
        return result


def _train_all(
    config: Config, store: Store, workdir: Path
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
        scored = evaluate_step(config, trained.model_uri, store, "test")
        models[model.variant] = (trained.version, scored)
        validation[model.variant] = trained.validation
    return models, validation, diverged


def _promote(config: Config, models: dict[str, tuple[str, Evaluation]], winner: str) -> JobResult:
    name = config.registered_model
    try:
        promoted = promote_step(config, models[winner][0])
    except GateRefusal as refusal:
        present = champion(name, config.registry.alias)
        return JobResult(name, models, str(present.version) if present else None, str(refusal))
    return JobResult(name, models, promoted, None)


def _score_old_champion(config: Config, store: Store) -> None:
    """Score the present champion on this store in today's way, if it has not been: the gate compares like with like."""
    present = champion(config.registered_model, config.registry.alias)
    if present is None:
        return
    known = version_evidence(present)
    digest = recordings_digest(store.of(split_store(store, config.split).test))
    if known and (known.data_digest, known.scoring) == (digest, scoring_key(config)):
        return
    if known and known.space != space_key(store):
        return  # of other channels or another grid: it is not compared
    try:
        evaluate_step(config, f"models:/{present.name}/{present.version}", store, "test")
    except (LeakageError, ModelError) as err:
        logger.warning("the champion, version %s, cannot be compared on this data: %s", present.version, err)


def _story(result: JobResult) -> str:
    """Return markdown of the job: who is champion, every model's scores beside nulls and ceiling, a picture, how to
    serve.
    """
    name, number = result.name, result.champion
    rows = [[variant, version, *_deciding(e)] for variant, (version, e) in result.models.items()]
    new = [
        f"{variant}, {sentence(e.overall, e.significance)}" for variant, (v, e) in result.models.items() if v == number
    ]
    headline = f"Champion: {name} version {number}" if number else "No champion"
    best = max((e for _, e in result.models.values()), key=lambda e: e.overall["model"]["r2_temporal"])
    return paragraphs(
        " – ".join([headline, *new]) + ".",
        f"No new champion: {result.refusal}." if result.refusal else "",
        "`r2_temporal` on unseen subjects:",
        table(
            (
                "model",
                "version",
                "model's score",
                "95 % interval",
                "mean volume",
                "shuffled EEG",
                "strongest baseline",
                "p",
            ),
            rows,
        ),
        result.ceilings,
        *(f"Not trained: {variant}: {reason}" for variant, reason in result.not_trained.items()),
        dynamics_picture(best.run_id),
        serving(name, number) if number else "",
    )


def summary(result: JobResult, config: Config) -> str:
    """Return markdown: every model's scores beside its nulls, the champion, and where to look next."""
    name, alias = result.name, config.registry.alias
    columns = ("model", "version", "r2_temporal", "95 % interval", "mean volume", "shuffled EEG",
               "strongest baseline", "p", "skill", "rmse", "ssim")  # fmt: skip
    lines = [_row(columns), "|" + "---|" * len(columns)]
    for variant, (version, evaluation) in result.models.items():
        model = evaluation.overall["model"]
        others = [f"{model['skill']:+.4f}", f"{model['rmse']:.4f}", f"{model['ssim']:.4f}" if "ssim" in model else "–"]
        lines.append(_row([variant, version, *_deciding(evaluation), *others]))
    lines.append("")
    lines += [f"Not trained: {variant}: {reason}" for variant, reason in result.not_trained.items()]
    if result.ceilings:
        lines.append(result.ceilings)
    lines.append(f"Champion: {name}@{alias} is version {result.champion}" if result.champion else "No champion.")
    if result.refusal:
        lines.append(f"Gate: {result.refusal}")
    uri = without_secrets(mlflow.get_tracking_uri())
    lines.append(f"Look at the runs:  mlflow ui --backend-store-uri {uri}")
    if result.champion:
        lines.append(f"Serve it:          mlflow models serve -m models:/{name}@{alias} --env-manager local -p 5001")
    return "\n".join(lines) + "\n"


def _deciding(evaluation: Evaluation) -> list[str]:
    """Return cells of the deciding score: the model's own and its interval, the nulls, the strongest baseline, p."""
    model, *nulls = (f"{evaluation.overall[condition]['r2_temporal']:+.4f}" for condition in ("model", *NULLS))
    strongest = strongest_baseline(evaluation.overall)
    beside = f"{strongest[0]} {strongest[1]:+.4f}" if strongest else "–"
    return [model, bounds(evaluation.significance.interval), *nulls, beside, p_number(evaluation.significance.p_value)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
