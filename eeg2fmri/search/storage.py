"""The database of a study, which any number of processes share.

Optuna's own storage is the reference: a study continues from it after a kill. A trial is in exactly one process.
A process that ended without a word leaves a running trial; the next one that looks gives it back, so that it is
repeated: at once if the process was on the same machine, else when its signs of life are too old.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
import sqlalchemy
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from eeg2fmri.errors import ConfigError, MissingExtraError, one_line, without_secrets
from eeg2fmri.processes import Owner
from eeg2fmri.search.samplers import RETRY_OF, original_of

logger = logging.getLogger(__name__)
OWNER = "owner"  # [process, command] of a running trial
SURPLUS = "surplus"  # of a trial that was one too many, begun at the same time as another
RETRIES = 3
ANSWER_S = 5  # for a database to answer
LOCK_S = 60  # for SQLite to let a process write
ATTEMPTS = 10  # when several processes create the tables at once
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass
class SharedStudy:
    """A study in its database.

    study : Optuna's, with sampler and pruner.
    closed : called with each trial that is given back.
    heartbeat : see `search.heartbeat`.
    """

    study: optuna.Study
    closed: Callable[[FrozenTrial], None]
    heartbeat: int
    _seen: dict[int, float] = field(default_factory=dict)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """List trials, of any state by default."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    def trial(self, number: int) -> FrozenTrial:
        """Return one trial."""
        return self.trials()[number]

    @property
    def finished(self) -> int:
        """Number of trials that are complete or pruned."""
        return len(self.trials(*FINISHED))

    @property
    def claimed(self) -> int:
        """Number of trials that are finished or in a process."""
        return len(self.trials(*FINISHED, TrialState.RUNNING))

    def is_surplus(self, trial: FrozenTrial, wanted: int) -> bool:
        """Say whether a trial that has just begun is one too many: others claimed the last place, or repeat the same.

        The earlier trial keeps its place.
        """
        before = [t for t in self.trials() if t.number < trial.number and t.state != TrialState.FAIL]
        again = original_of(trial)
        same = again != trial.number and any(original_of(t) == again for t in before)
        return same or len(before) >= wanted

    def give_back(self, command: str | None = None) -> None:
        """Mark running trials whose process is gone as failed, and put them up for repetition.

        Parameters
        ----------
        command : also those of this command, whose processes have been stopped.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(self.study)
        for trial in self.trials(TrialState.RUNNING):
            owner = _owner(trial)
            if owner is None:  # its process has not said so yet, or never will
                first = self._seen.setdefault(trial.number, time.monotonic())
                gone = time.monotonic() - first > 3 * self.heartbeat
            else:
                gone = owner[1] == command or owner[0].is_dead()
            if gone:
                self._fail(trial)

    def repeat(self, trial: FrozenTrial) -> None:
        """Put a failed trial up for repetition."""
        _repeat(self.closed)(self.study, trial)

    def repeat_failed(self) -> None:
        """Put trials up for repetition that failed for the first time and that nothing repeats.

        An error ended them, of the disk or the memory for example, or their process was killed before it said more. The
        study would lack their models, the configured one among them. A model that fails twice is left out.
        """
        trials = self.trials()
        repeated = {original_of(trial) for trial in trials if RETRY_OF in trial.system_attrs}
        for trial in trials:
            first = RETRY_OF not in trial.system_attrs and trial.number not in repeated
            if trial.state == TrialState.FAIL and first and not trial.user_attrs.get(SURPLUS):
                self.repeat(trial)

    def _fail(self, trial: FrozenTrial) -> None:
        storage = self.study._storage
        try:
            if storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL):
                self.repeat(storage.get_trial(trial._trial_id))
        except UpdateFinishedTrialError:  # it has ended, or another process was faster
            return


def owner_of(command: str) -> list[str]:
    """Return the owner of a trial in this process."""
    return [str(Owner.here()), command]


def _owner(trial: FrozenTrial) -> tuple[Owner, str] | None:
    """Return process and command of a trial; ``None`` if they are not there, or in the form of a former version."""
    try:
        process, command = trial.user_attrs[OWNER]
        return Owner.parse(process), command
    except (KeyError, TypeError, ValueError):
        return None


def open_storage(url: str, heartbeat: int, closed: Callable[[FrozenTrial], None]) -> RDBStorage:
    """Open the database of studies, and make its tables if there are none.

    Raises
    ------
    MissingExtraError
        If its driver is not installed.
    ConfigError
        If it cannot be opened; the message has host and database, never the password.
    """
    where = f"storage {without_secrets(url)}"
    try:
        parsed = sqlalchemy.engine.make_url(url)
        kind = parsed.get_backend_name()
    except Exception as err:  # SQLAlchemy raises its own, with the address
        raise ConfigError(f"{where}: not a database address; write e.g. postgresql://USER@HOST/DATABASE") from err
    if url.partition("?")[0].count("@") > 1:  # SQLAlchemy would look for a host by the rest of the password
        raise ConfigError(f"{where}: its password has a sign that must be escaped; write %40 for @, %2F for /")
    if kind == "postgresql" and importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError(f"{where} needs psycopg 3: pip install 'eeg2fmri[postgres]'")
    if kind == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    timeout = {"sqlite": {"timeout": LOCK_S}, "postgresql": {"connect_timeout": ANSWER_S}}.get(kind, {})
    for attempt in range(ATTEMPTS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                storage = RDBStorage(
                    parsed.render_as_string(hide_password=False),
                    engine_kwargs={"connect_args": timeout, "pool_pre_ping": True},
                    heartbeat_interval=heartbeat,
                    grace_period=3 * heartbeat,
                    heartbeat_stale_trial_callback=_repeat(closed),
                )
            break
        except Exception as err:
            if attempt + 1 < ATTEMPTS and _is_race(err):
                time.sleep(0.2)
                continue
            raise ConfigError(f"{where}: cannot be opened ({_reason(err, parsed)})") from err
    if kind == "sqlite":
        _one_writer(storage.engine)
    return storage


def create_or_load(
    name: str,
    storage: RDBStorage,
    directions: Sequence[Literal["maximize", "minimize"]],
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner,
) -> tuple[optuna.Study, bool]:
    """Return the study of that name, and whether this process made it; of several processes exactly one does."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # this module reports
    options: dict[str, Any] = {"study_name": name, "storage": storage, "sampler": sampler, "pruner": pruner}
    try:
        return optuna.create_study(**options, directions=list(directions)), True
    except DuplicatedStudyError:
        return optuna.load_study(**options), False


def _repeat(closed: Callable[[FrozenTrial], None]) -> Callable[[optuna.Study, FrozenTrial], None]:
    def repeat(study: optuna.Study, trial: FrozenTrial) -> None:
        logger.info("search: trial %d ended without a score; it is repeated", trial.number)
        closed(trial)
        again = copy.deepcopy(trial)
        again.user_attrs = {}  # those of the lost attempt
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)(study, again)

    return repeat


def _one_writer(engine: sqlalchemy.Engine) -> None:
    """Let SQLite begin each transaction as a writer.

    Otherwise two processes may both read that a trial waits, and both take it.
    """
    engine.dispose()

    @sqlalchemy.event.listens_for(engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def _(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_race(err: Exception) -> bool:
    text = str(err)
    return any(sign in text for sign in ("already exists", "UNIQUE", "duplicate key", "database is locked"))


def _reason(err: Exception, url: sqlalchemy.URL) -> str:
    """Return why a database cannot be opened, without the statement, hints of SQLAlchemy and the password."""
    text = one_line(getattr(err, "orig", None) or err)
    return re.sub(rf"(?<!\w){re.escape(url.password)}(?!\w)", "***", text) if url.password else text
