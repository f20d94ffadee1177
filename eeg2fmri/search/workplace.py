"""A study opened in one process, with everything that its trials share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import mlflow
import optuna

from eeg2fmri.config import Config, ModelConfig
from eeg2fmri.devices import use_backend
from eeg2fmri.families import Mixture, family_of
from eeg2fmri.search.judge import Part, parts_of, reports_of, shortened
from eeg2fmri.search.samplers import SeededSampler, pruner_of
from eeg2fmri.search.space import NUMBER, space_of, start_of, together_of
from eeg2fmri.search.storage import SharedStudy, create_or_load, open_storage
from eeg2fmri.store import Location, Store, open_store, split_store

RUN_ATTRIBUTE = "mlflow_run_id"
STATE_TAG = "eeg2fmri.trial_state"


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to take part in a study.

    source : the store, or its address for another process.
    study, storage : name and address.
    wanted : trials that the study will have.
    deadline : time (`time.time`) after which no new trial starts.
    checkpoints : folder of the states of trials.
    parent : run of the study, tracking and registry address.
    command : id of the command that started this process.
    """

    config: Config
    source: Store | Location
    study: str
    storage: str = field(repr=False)  # a worker's log shows arguments, and addresses may hold passwords
    wanted: int
    deadline: float | None
    checkpoints: Path
    parent: tuple[str, str, str] = field(repr=False)
    command: str


class Workplace:
    """A study opened in this process, with everything that its trials share."""

    def __init__(self, job: Job) -> None:
        self.job, config = job, job.config
        use_backend(config.run.backend, deterministic=config.run.deterministic)
        self.store = job.source if isinstance(job.source, Store) else open_store(job.source)
        split = split_store(self.store, config.split)
        self.parts: list[Part] = parts_of(self.store, split, config.search.folds)
        self.base, self.ranges, self.space = space_of(config, self.parts)
        self.start = {NUMBER: 0} if config.search.mode == "mixture" else start_of(self.space)
        sampler = SeededSampler(config.search, config.run.seed, self.start, together_of(self.space, self.start))
        self.shared, self.created = open_shared(config, self.base, sampler, job.study, job.storage, self.close_runs)

    def mixture(self, number: int) -> Mixture:
        """Return the candidates with this number, the same in every process; refuse what cannot be mixed."""
        train, _ = self.parts[0]
        count = self.job.config.search.candidates
        return family_of(self.base).mixture(self.base, self.ranges, train, count, number)

    def close_runs(self, trial: optuna.trial.FrozenTrial) -> None:
        """Mark the runs of a trial as killed, which its process has left open, or finished without saying so.

        A run that failed says so already.
        """
        client = mlflow.MlflowClient()
        parent = self.job.parent[0] or self.shared.study.user_attrs.get(RUN_ATTRIBUTE)
        own = trial.user_attrs.get(RUN_ATTRIBUTE)
        found: set[str] = {own} if own else set()
        if parent:
            mine = f"tags.`mlflow.parentRunId` = '{parent}' and attributes.run_name LIKE 'trial {trial.number} %'"
            runs = client.search_runs([client.get_run(parent).info.experiment_id], mine)
            found |= {run.info.run_id for run in runs}
        for run_id in found:
            if client.get_run(run_id).info.status == "FAILED":
                continue
            client.set_tag(run_id, STATE_TAG, "lost")
            client.set_terminated(run_id, "KILLED")


def open_shared(
    config: Config, base: ModelConfig, sampler: SeededSampler, name: str, storage: str, closed: Any
) -> tuple[SharedStudy, bool]:
    """Open or create a study, see `create_or_load`."""
    search = config.search
    directions: list[Literal["maximize", "minimize"]] = ["maximize"]
    directions += ["minimize"] * (len(search.objectives) - 1)
    database = open_storage(storage, search.heartbeat, closed)
    pruner = pruner_of(search, reports_of(search.folds, shortened(base, search.epochs)))
    study, created = create_or_load(name, database, directions, sampler, pruner)
    shared = SharedStudy(study, closed, search.heartbeat)
    sampler.trials = shared.trials
    return shared, created
