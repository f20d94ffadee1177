"""Several processes in one study: they share its trials, and those of a killed one are repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import mlflow
import optuna
import pytest
from distributed import Client

from eeg2fmri.config import Config
from eeg2fmri.datasets.find import find_recordings
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.processes import Owner
from eeg2fmri.search import search_step
from eeg2fmri.search.samplers import original_of
from eeg2fmri.search.storage import OWNER, SURPLUS, SharedStudy, open_storage
from eeg2fmri.search.workplace import RUN_ATTRIBUTE, STATE_TAG
from eeg2fmri.store import Windows, build_store
from eeg2fmri.store.cards import CARDS
from eeg2fmri.store.parallel import each, local_cluster
from tests.fakes import CONTEXT, deep_config, recording
from tests.postgres import postgres_server
from tests.search.test_study import BASE

ROOT = Path(__file__).parents[2]
TRIALS = 6
STORAGE = "sqlite:///optuna.db"

WORKER = """
import os, signal, socket, sys, time
import pytest
from pathlib import Path
from tests.search import test_study as t

killed, storage, machine = sys.argv[1] == "killed", sys.argv[2], sys.argv[3]
socket.gethostname = lambda: machine
calls = []

def slow_fit(*args):
    calls.append(1)
    if killed and len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    return t.quick_fit(*args)

t.without_training(pytest.MonkeyPatch(), slow_fit)
config = t.settings(max_multiply_adds=10**12, heartbeat=1, sampler="random")
t.search(config, TRIALS, storage=storage, out=Path(f"best-{sys.argv[1]}.yaml"))
""".replace("TRIALS", str(TRIALS))


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", WORKER, *arguments], env=environment, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


@pytest.fixture(scope="module")
def database():
    with postgres_server() as make:
        yield make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "machine"),
    [("postgresql", "elsewhere"), ("sqlite", "here")],  # seen to be gone by its heartbeat, or at once
)
def test_two_commands_share_a_study_and_a_killed_one_loses_nothing(kind, machine, database, tracking, tmp_path):
    storage = database() if kind == "postgresql" else f"sqlite:///{tmp_path}/optuna.db"
    one, other = start("killed", storage, machine), start("alive", storage, "here")
    assert one.wait(60) == -signal.SIGKILL
    assert other.wait(60) == 0, other.stderr.read()
    study = optuna.load_study(study_name="s", storage=open_storage(storage, 1, print))
    finished = [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]
    assert len(finished) == TRIALS
    assert {t.state.name for t in study.trials if t not in finished} == {"FAIL"}
    lost = [t for t in study.trials if t.state.name == "FAIL" and "surplus" not in t.user_attrs]
    assert [t.params for t in lost] == [again.params for again in finished if "failed_trial" in again.system_attrs]
    assert len({t.params["learning_rate"] for t in finished}) == TRIALS  # no draw is made twice
    assert BASE.training.learning_rate in {t.params["learning_rate"] for t in finished}
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert {run.info.status for run in runs} == {"FINISHED", "KILLED"}
    parent = mlflow.get_run(study.user_attrs[RUN_ATTRIBUTE])
    assert parent.info.status == "FINISHED"
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == len(runs) - 1 == TRIALS + 1  # every trial once, and the attempt that was killed
    assert sorted(run.data.tags[STATE_TAG] for run in children) == ["complete"] * TRIALS + ["lost"]
    assert Path("best-alive.yaml").exists()


def test_a_process_with_the_number_of_a_dead_one_does_not_hold_its_trial(tmp_path):
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/optuna.db", 20, print))
    here = Owner.here()
    for owner in (here, replace(here, started=here.started - 60), replace(here, host="elsewhere")):
        study.ask().set_user_attr(OWNER, [str(owner), "command"])
    SharedStudy(study, lambda _: None, 20).give_back()
    assert [t.state.name for t in study.trials] == ["RUNNING", "FAIL", "RUNNING", "WAITING"]


def test_a_failed_trial_that_nothing_repeats_is_repeated_once(tmp_path):
    """Its process ended by an error, or before it could say so; one trial too many is not missed."""
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/optuna.db", 20, print))
    for surplus in (False, True):
        trial = study.ask()
        trial.set_user_attr(SURPLUS, surplus)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    shared = SharedStudy(study, lambda _: None, 20)
    for _ in range(2):
        shared.repeat_failed()
        assert [t.state.name for t in study.trials] == ["FAIL", "FAIL", "WAITING"]
    assert original_of(study.trials[2]) == 0
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    shared.repeat_failed()
    assert len(study.trials) == 3


@pytest.mark.parametrize("owner", [["here", 1234, "command"], "here", None])
def test_a_trial_without_a_readable_owner_is_repeated_after_three_heartbeats(owner, tmp_path, monkeypatch):
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/optuna.db", 20, print))
    study.ask().set_user_attr(OWNER, owner)  # as a former version wrote it
    shared = SharedStudy(study, lambda _: None, 20)
    shared.give_back()
    assert [t.state.name for t in study.trials] == ["RUNNING"]
    late = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: late)
    shared.give_back()
    assert [t.state.name for t in study.trials] == ["FAIL", "WAITING"]


@pytest.mark.slow
@pytest.mark.usefixtures("tracking")
def test_local_workers_and_a_dask_cluster_do_the_trials(bids_root, tmp_path, tiny_config, monkeypatch):
    store = build_store(find_recordings(bids_root)[0], tmp_path / "store", tiny_config, name="tiny").store
    tree = {
        "models": [{"family": "linear", "components": 2}],
        "search": {"ranges": {"linear": {"components": [2, 3]}}, "sampler": "random"},
        "split": {"validation": 1, "test": 1},
        "evaluation": {"permutations": 39},
    }
    found = []

    def searched(name: str, **where: object) -> list[Owner]:
        """Search, and return the processes that did the trials."""
        search_step(Config.model_validate(tree), store, study=name, storage=STORAGE, trials=4, timeout=None,
                    out=Path("best.yaml"), **where)  # fmt: skip
        study = optuna.load_study(study_name=name, storage=STORAGE)
        assert [t.state.name for t in study.trials] == ["COMPLETE"] * 4
        found.append([(t.params, t.value) for t in study.trials])
        return [Owner.parse(t.user_attrs["owner"][0]) for t in study.trials]

    assert {owner.pid for owner in searched("here")} == {os.getpid()}
    monkeypatch.setenv(CARDS, "0,1")
    assert len(set(searched("workers", workers=2)) - {Owner.here()}) == 2
    monkeypatch.delenv(CARDS)
    with local_cluster(2) as cluster, Client(cluster) as client:
        assert cluster.scheduler_address.startswith("tcp://")
        pids = {owner.pid for owner in searched("cluster", scheduler=cluster.scheduler_address)}
        assert pids == set(client.run(os.getpid).values())
    assert found[0] == found[1] == found[2]  # draws and scores do not depend on who computes them
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert [run.info.status for run in runs] == ["FINISHED"] * 15  # three studies of four trials
    assert {run.data.params.get("search.card") for run in runs} == {None, "0", "1"}


def fit_on_own_card(seed: int, folder: Path) -> tuple[str, set[str]]:
    """Train on the virtual device that has the number of this process's card; return the card and the weights' devices.

    The machine pretends to have two devices: its processor is split by TensorFlow.
    """
    import tensorflow as tf

    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    card = os.environ[CARDS]
    (folder / card).touch()
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < until:  # so that each process gets one
        time.sleep(0.05)
    train, validation = (Windows([recording(name, seed)], CONTEXT) for name in ("sub-01", "sub-02"))
    with tf.device(f"/CPU:{card}"):
        model = fit(deep_config(epochs=1, variant="lp"), train, validation, FitSettings()).model
    return card, {weight.value.device for weight in model.network.model.weights}


@pytest.mark.slow
def test_a_model_is_trained_on_the_device_of_its_process(monkeypatch, tmp_path):
    monkeypatch.setenv(CARDS, "0,1")
    found = [result for _, result in each(partial(fit_on_own_card, folder=tmp_path), [1, 2], workers=2)]
    assert sorted(card for card, _ in found) == ["0", "1"]
    for card, devices in found:
        assert {device.rsplit("device:", 1)[-1] for device in devices} == {f"CPU:{card}"}
