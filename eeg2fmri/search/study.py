"""Search over the settings of a model, by the space of its family.

One study is one run in MLflow, with a child run per trial, independent of the processes that take part and of how
often they are started. The description of the run is in `eeg2fmri.search.report`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import yaml
from optuna.trial import TrialState

from eeg2fmri.config import Config, ModelConfig, flatten
from eeg2fmri.errors import ConfigError, Eeg2FmriError, IncompleteError, one_line
from eeg2fmri.families import FitSettings
from eeg2fmri.files import written_whole
from eeg2fmri.processes import Owner
from eeg2fmri.progress import progress_display
from eeg2fmri.search.judge import judge
from eeg2fmri.search.report import LINEAR, best_trial, log_study, model_of
from eeg2fmri.search.samplers import check_sampler
from eeg2fmri.search.space import LAST, check_space
from eeg2fmri.search.storage import SharedStudy
from eeg2fmri.search.trial import Done, one_trial, opened
from eeg2fmri.search.workplace import RUN_ATTRIBUTE, Job, Workplace
from eeg2fmri.store import Location, Store, check_digest, named, settled, split_store
from eeg2fmri.store.parallel import each
from eeg2fmri.tracking import RunLog, tracked_run
from eeg2fmri.tracking.database import OWNER

logger = logging.getLogger(__name__)
INPUTS = "inputs"
WAIT_S = 10  # for the process that made a study to say what it is of


def search_step(
    config: Config,
    store: Store,
    *,
    study: str,
    storage: str,
    trials: int,
    timeout: float | None,
    out: Path,
    workers: int = 1,
    scheduler: str | None = None,
) -> Config:
    """Search until the study has `trials` finished trials, and write the best configuration.

    Started several times with the same study and storage, the processes share the trials.

    Parameters
    ----------
    config : its model `search.variant` (the first one that can be searched) is the base of every trial, and the first
        trial.
    store : trials train on its training subjects, see `search.folds` for those that judge them.
    study, storage : name and Optuna URL; an existing study continues.
    trials : finished trials (complete or pruned) that the study will have.
    timeout : seconds after which no new trial starts; ``None`` for no limit.
    out : YAML file of the best configuration, for `train`.
    workers : local processes, which share the processor's cores.
    scheduler : address of a Dask scheduler whose workers are used instead.

    Returns
    -------
    `config` with the best model in place of its base, for this store only (`run.store_digest`).
    """
    if workers > 1 and scheduler:
        raise ConfigError(f"--workers {workers} and --scheduler {scheduler}: give one of them")
    # What is found is good for the split that it was found on, whatever the store keeps later.
    config = named(config, store).model_copy(update={"split": settled(config.split, store.split)})
    check_digest(store, config.run.store_digest)
    check_sampler(config.search)
    command = uuid.uuid4().hex
    job = Job(
        config=config,
        source=store,
        study=study,
        storage=storage,
        wanted=trials,
        deadline=None,
        checkpoints=out.parent.absolute() / "checkpoints",
        parent=("", mlflow.get_tracking_uri(), mlflow.get_registry_uri()),
        command=command,
    )
    here = Workplace(job)
    _check_inputs(here)
    check_space(config, here.base, here.space, here.parts)
    if config.search.mode == "mixture":
        here.mixture(LAST)
    with _study_run(here) as log:
        _reference(here)
        _run(here, timeout, workers, scheduler)
        best = best_trial(here.shared.study)
        tuned = _with_model(config, here.base, model_of(best, here.base), store.digest)
        _write(tuned, out)
        log_study(log, here, tuned, out)
        return tuned


def _run(here: Workplace, timeout: float | None, workers: int, scheduler: str | None) -> None:
    """Run the trials that the study lacks, here or in other processes, and report each."""
    shared = here.shared
    job = here.job = replace(here.job, deadline=time.time() + timeout if timeout else None)
    left = max(job.wanted - shared.finished, 0)
    logger.info("search: study %s has %d finished trials, %d to go", job.study, shared.finished, left)
    if workers == 1 and scheduler is None:
        opened[job.command] = here
    else:
        job = replace(job, source=Location.of(here.store.path).absolute())
    threads = max(1, (os.cpu_count() or 1) // workers)
    results = each(partial(one_trial, job=job), range(left), workers=workers, scheduler=scheduler, threads=threads)
    visible = sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)
    try:
        with progress_display(visible=visible) as display:
            task = display.add_task("search", total=job.wanted, completed=shared.finished, status="")
            for _, result in results:
                if isinstance(result, Eeg2FmriError):
                    raise result
                if isinstance(result, BaseException):
                    raise IncompleteError(
                        f"search: a trial failed ({one_line(result)}); use --workers 1 --debug to see where; what is "
                        f"finished is kept"
                    ) from result
                if result is not None:
                    best = _say(shared, result, job.wanted)
                    display.update(task, completed=shared.finished, status=best)
    finally:
        results.close()
        opened.pop(job.command, None)
        shared.give_back(job.command)


def _say(shared: SharedStudy, done: Done, wanted: int) -> str:
    """Report a trial; return the best score so far in words."""
    complete = shared.trials(TrialState.COMPLETE)
    top = max(complete, key=lambda trial: trial.values[0], default=None)
    best = f"best {top.values[0]:+.4f} in trial {top.number}" if top else "none is complete"
    value = f"pruned ({done.pruned})" if done.pruned else f"{done.value:+.4f}"
    logger.info("search: trial %d: %s, %s, %.1f s; %d of %d, %s", done.number, value, done.changes, done.seconds,
                shared.finished, wanted, best)  # fmt: skip
    return best


@contextmanager
def _study_run(here: Workplace) -> Iterator[RunLog]:
    """Hold the run of the study open, which may be that of an earlier command or of one beside this one."""
    client, study = mlflow.MlflowClient(), here.shared.study
    run_id = _known_run(here)
    if run_id is None:
        config, base = here.job.config, here.base
        params = {**flatten(config.search.model_copy(update={"ranges": {}}), "search."),
                  **flatten(here.ranges, f"search.ranges.{base.family}."), "search.study": here.job.study,
                  "run.seed": config.run.seed, "data.digest": here.store.digest}  # fmt: skip
        with tracked_run("search", experiment=config.run.experiment, name=f"search {base.variant} · {here.store.name}",
                         params=params, tags={"variant": base.variant, "dataset": here.store.name}) as log:  # fmt: skip
            run_id = log.run_id
            study.set_user_attr(RUN_ATTRIBUTE, run_id)
    here.job = replace(here.job, parent=(run_id, *here.job.parent[1:]))
    status = "FAILED"
    try:
        with mlflow.start_run(run_id=run_id, nested=True, tags={OWNER: str(Owner.here())}):
            yield RunLog(run_id)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if here.shared.trials(TrialState.RUNNING):  # of another command, which ends it
            client.update_run(run_id, status="RUNNING")
        else:
            client.set_terminated(run_id, status)


def _known_run(here: Workplace) -> str | None:
    """Return the study's run, if it has one here; the process that made the study makes it."""
    study, until = here.shared.study, time.monotonic() + WAIT_S
    while (found := study.user_attrs.get(RUN_ATTRIBUTE)) is None:
        if here.created or time.monotonic() > until:
            return None
        time.sleep(0.1)
    try:
        run = mlflow.get_run(found)
    except mlflow.MlflowException:  # another tracking server than before
        return None
    return str(found) if run.info.lifecycle_stage == "active" else None


def _check_inputs(here: Workplace) -> None:
    """Refuse to continue a study of other data, settings or ranges."""
    config, search, study = here.job.config, here.job.config.search, here.shared.study
    split = split_store(here.store, config.split)
    now = {
        "data.digest": here.store.digest,
        "split.train": split.train,
        "split.validation": split.validation,
        "run.seed": config.run.seed,  # draws depend on it
        "evaluation.drift_cutoff": config.evaluation.drift_cutoff,
        "search.epochs": search.epochs,
        "search.folds": search.folds,
        "search.objectives": search.objectives,
        **flatten(here.base, "model."),
        **flatten(here.ranges, f"search.ranges.{here.base.family}."),
    }
    if search.mode == "mixture":  # a study of trials, which may be an old one, does not say so
        now |= {"search.mode": search.mode, "search.candidates": search.candidates}
    now = json.loads(json.dumps(now))
    until = time.monotonic() + WAIT_S
    while (then := study.user_attrs.get(INPUTS)) is None and not here.created and time.monotonic() < until:
        time.sleep(0.1)
    if then is None:
        study.set_user_attr(INPUTS, now)
        return
    for name in sorted({*now, *then}):
        if now.get(name) != then.get(name):
            raise ConfigError(
                f"study {study.study_name}: {name} was {_short(then.get(name))} and is now {_short(now.get(name))}; "
                f"give another --study, or the former setting"
            )


def _short(value: Any) -> str:
    return f"{value}" if len(str(value)) <= 60 else f"{str(value)[:60]}…"


def _reference(here: Workplace) -> None:
    """Score `linear` as a trial is scored, once per study."""
    study, config = here.shared.study, here.job.config
    if here.base.variant == "linear" or LINEAR in study.user_attrs:
        return
    try:
        judged = judge(config.model("linear"), here.parts, config, FitSettings.of(config))
    except Eeg2FmriError as err:
        logger.warning("search: no score of linear to compare with (%s)", one_line(err))
        return
    study.set_user_attr(LINEAR, vars(judged))


def _with_model(config: Config, base: ModelConfig, best: ModelConfig, digest: str) -> Config:
    models = (best, *(m for m in config.models if m != base))  # `train` takes the first
    run = config.run.model_copy(update={"store_digest": digest})
    return config.model_copy(update={"models": models, "run": run})


def _write(config: Config, out: Path) -> None:
    with written_whole(out) as part:
        part.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
