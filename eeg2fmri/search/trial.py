"""Trials of a study, in any process: claim one, draw its model, train and judge it, mirror it in MLflow."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import optuna
from optuna.trial import TrialState

from eeg2fmri.config import ModelConfig, flatten
from eeg2fmri.devices import forget_networks
from eeg2fmri.errors import DivergenceError
from eeg2fmri.families import MONITOR, FitSettings, family_of
from eeg2fmri.search.judge import Judgement, judge, reports_of, shortened
from eeg2fmri.search.mixture import kept_model
from eeg2fmri.search.samplers import original_of
from eeg2fmri.search.space import LAST, NUMBER
from eeg2fmri.search.storage import OWNER, SURPLUS, SharedStudy, owner_of
from eeg2fmri.search.workplace import RUN_ATTRIBUTE, STATE_TAG, Job, Workplace
from eeg2fmri.tracking import RunLog, children_of, tracked_run
from eeg2fmri.tracking.runs import step_key

logger = logging.getLogger(__name__)
MODEL_ATTRIBUTE, JUDGED = "model", "judged"
PRUNED_TAG = "eeg2fmri.pruned"
NAME_TAG = "mlflow.runName"  # lists of runs cut names off, so the outcome stands before the changes
POLL_S = 1.0
NAME_LENGTH = 100


@dataclass(frozen=True)
class Done:
    """Trial that has ended; value: of its score, ``None`` if it has none."""

    number: int
    pruned: str
    value: float | None
    seconds: float
    changes: str


class Surplus(Exception):
    """A trial was one too many."""


opened: dict[str, Workplace] = {}  # of this process, by command


def one_trial(_number: int, job: Job) -> Done | None:
    """Run one trial if the study still needs one; wait as long as it may be needed for one that gets lost.

    Returns
    -------
    The trial, or ``None`` if there was none to do.
    """
    here = opened.get(job.command)
    if here is None:  # the first trial in this process
        opened.clear()
        here = opened[job.command] = Workplace(job)
    shared = here.shared
    while job.deadline is None or time.time() < job.deadline:
        shared.give_back()
        shared.repeat_failed()
        if shared.finished >= job.wanted:
            return None
        if shared.claimed < job.wanted and (done := _try(here)):
            return done
        time.sleep(POLL_S)  # a trial of another worker may get lost
    return None


def _try(here: Workplace) -> Done | None:
    """Run a trial; return nothing if it was one too many, or was given to another process meanwhile."""
    objective, study = Objective(here), here.shared.study
    try:
        study.optimize(objective, n_trials=1, catch=(Surplus,))
    except KeyboardInterrupt:
        if objective.trial is not None:
            here.shared.repeat(here.shared.trial(objective.trial.number))
        raise
    except Exception as err:
        trial = objective.trial
        if trial is None or not _was_lost(here.shared, trial.number, err):
            raise
        logger.warning("search: trial %d was given to another worker, which had no sign of life of this one",
                       trial.number)  # fmt: skip
        here.close_runs(here.shared.trial(trial.number))
        return None
    assert objective.trial is not None
    ended = here.shared.trial(objective.trial.number)
    if ended.state == TrialState.FAIL:
        return None
    _log_best(here, ended.number)
    value = ended.values[0] if ended.values else None
    pruned = objective.pruned
    return Done(ended.number, pruned, value, ended.duration.total_seconds() if ended.duration else 0.0,
                changes(ended.params, here.start))  # fmt: skip


def _was_lost(shared: SharedStudy, number: int, err: Exception) -> bool:
    """Say whether a trial of this process was given back by another one."""
    updated = isinstance(err, optuna.exceptions.UpdateFinishedTrialError) or str(err).endswith(" a FAIL trial.")
    return updated and shared.trial(number).state == TrialState.FAIL


def _log_best(here: Workplace, number: int) -> None:
    complete = here.shared.trials(TrialState.COMPLETE)
    if complete:
        best = max(trial.values[0] for trial in complete)
        mlflow.MlflowClient().log_metric(here.job.parent[0], "search/best_so_far", best, step=here.shared.finished)


class Objective:
    """One trial: draw a model, train and judge it, report its scores on the way."""

    def __init__(self, here: Workplace) -> None:
        self.here, self.pruned = here, ""
        self.trial: optuna.Trial | None = None

    def __call__(self, trial: optuna.Trial) -> float | list[float]:
        here, self.trial = self.here, trial
        job = here.job
        trial.set_user_attr(OWNER, owner_of(job.command))
        if here.shared.is_surplus(here.shared.trial(trial.number), job.wanted):
            trial.set_user_attr(SURPLUS, True)
            raise Surplus
        number, drawn = 0, here.base
        if job.config.search.mode == "mixture":
            number = trial.suggest_int(NUMBER, 0, LAST)
        else:
            drawn = here.space.draw(trial)
        epochs = job.config.search.epochs
        params = {"search.trial": trial.number, "data.digest": here.store.digest}
        if card := os.environ.get("CUDA_VISIBLE_DEVICES"):
            params["search.card"] = card
        told = changes(trial.params, here.start)
        values = list[float]()
        with (
            children_of(*job.parent),
            tracked_run("trial", name=f"trial {trial.number} · {told}", params=params,
                        tags={"variant": drawn.variant, "dataset": here.store.name}) as log,
        ):  # fmt: skip
            trial.set_user_attr(RUN_ATTRIBUTE, log.run_id)
            log.describe(f"Trial {trial.number} of study {job.study}: {told}. Scored by `{MONITOR}`.")
            folder = job.checkpoints / f"{job.study}-{original_of(here.shared.trial(trial.number))}"
            try:
                if number:
                    drawn = kept_model(here, shortened(drawn, epochs), number, folder, log)
                trial.set_user_attr(MODEL_ATTRIBUTE, drawn.model_dump(mode="json"))
                model = shortened(drawn, epochs)
                log.params(flatten(model, "model."))
                values = self._train(trial, model, folder, log)
                log.tags({STATE_TAG: "complete", NAME_TAG: f"trial {trial.number} · {values[0]:+.4f} · {told}"})
            except (optuna.TrialPruned, DivergenceError) as err:
                self.pruned = str(err)
                log.tags({PRUNED_TAG: self.pruned, STATE_TAG: "pruned",
                          NAME_TAG: f"trial {trial.number} · pruned · {told}"})  # fmt: skip
        if self.pruned:
            mlflow.MlflowClient().set_terminated(log.run_id, "KILLED")
            raise optuna.TrialPruned(self.pruned)
        return values if len(values) > 1 else values[0]

    def _train(self, trial: optuna.Trial, model: ModelConfig, folder: Path, log: RunLog) -> list[float]:
        here, search = self.here, self.here.job.config.search
        costs = here.space.costs(model)
        log.params({f"search.{name}": cost for name, (cost, _) in costs.items()})
        for name, (cost, most) in costs.items():
            if cost > most:
                raise optuna.TrialPruned(f"{cost:.2e} {name}, more than max_{name} of search.ranges")
        forget_networks()
        reports = reports_of(search.folds, model)
        single = len(search.objectives) == 1

        def on_score(number: int, metrics: dict[str, float]) -> None:
            unit, step = ("fold", number) if search.folds else ("epoch", number - 1 + family_of(model).first_epoch)
            log.metrics(metrics, step=step)
            if single:
                trial.report(metrics[MONITOR], number)
                if number < reports and trial.should_prune():  # the last score costs nothing more
                    raise optuna.TrialPruned(f"not promising after {unit} {step}")

        key = step_key("trial", (), model.model_dump(mode="json"), here.store.digest, here.job.config.run.seed)
        settings = FitSettings.of(here.job.config, checkpoints=folder, key=key)
        try:
            judged = judge(model, here.parts, here.job.config, settings, on_score)
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)  # a process that is stopped or killed leaves it for the repetition
        trial.set_user_attr(JUDGED, vars(judged))
        log.metrics({f"search/{name}": value for name, value in vars(judged).items()})
        return [_objective(name, judged, costs) for name in search.objectives]


def _objective(name: str, judged: Judgement, costs: Mapping[str, tuple[float, float]]) -> float:
    own = {"score": judged.score, "weights": judged.weights, "training_seconds": judged.seconds}
    return float(own[name] if name in own else costs[name][0])


def changes(params: Mapping[str, Any], start: Mapping[str, Any]) -> str:
    """Return the parameters that differ from the configured model, in short."""
    parts = []
    for name, value in params.items():
        if ".axis" in name or start.get(name) == value:  # an encoder has dozens of numbers
            continue
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)
        parts.append(f"{name.rsplit('training.', 1)[-1]} {shown}")
    if not parts and any(".axis" in name and start.get(name) != value for name, value in params.items()):
        parts = ["other encoders"]
    text = " · ".join(parts) or "as configured"
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1]}…"
