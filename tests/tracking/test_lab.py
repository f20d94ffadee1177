"""Tracking as in a lab: a server on PostgreSQL with proxied artifacts, killed in the middle of a training or search."""

from __future__ import annotations

import threading
import time

import mlflow
import optuna
import pytest
import yaml

from eeg2fmri.config import Config
from eeg2fmri.datasets import find_recordings
from eeg2fmri.pipeline import evaluate_step, promote_step, train, train_step
from eeg2fmri.search import search_step
from eeg2fmri.search.storage import OWNER, open_storage
from eeg2fmri.search.workplace import RUN_ATTRIBUTE, STATE_TAG
from eeg2fmri.store import build_store
from eeg2fmri.tracking import load_model
from tests.mlflow_store import LINEAR, memory_store, use_tracking
from tests.postgres import postgres_server
from tests.tracking_server import TrackingServer

CONFIG = {
    "models": [LINEAR],
    "split": {"validation": 1, "test": 2},
    "evaluation": {"shuffles": 2, "permutations": 99, "baselines": False},
    "explanation": {"enabled": False},
    "policy": {"level": 0.9, "nulls": []},
}


@pytest.fixture(scope="module")
def database():
    with postgres_server() as make:
        yield make


@pytest.fixture
def server(database, tmp_path, monkeypatch):
    use_tracking(tmp_path, monkeypatch)
    found = TrackingServer(tmp_path, database())
    found.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    mlflow.set_tracking_uri(found.address)
    yield found
    mlflow.set_tracking_uri(None)
    found.kill()


@pytest.mark.slow
def test_a_server_that_is_killed_and_started_again_loses_nothing(server, tmp_path, monkeypatch):
    store, config = memory_store(), Config.model_validate(CONFIG)
    fit, restarts = train.fit, []

    def interrupted(*args):
        server.kill()  # with the run open; the next request waits for a server

        def later() -> None:
            time.sleep(1)
            server.start()

        restarts.append(threading.Thread(target=later))
        restarts[0].start()
        return fit(*args)

    monkeypatch.setattr(train, "fit", interrupted)
    trained = train_step(config, None, store, tmp_path / "work")
    restarts[0].join()
    scored = evaluate_step(config, trained.model_uri, store, "test")
    assert promote_step(config, None) == trained.version == "1"

    run = mlflow.get_run(trained.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert run.data.metrics["val/best_r2_temporal"] == pytest.approx(trained.validation)
    assert {"data.digest", "split.train", "version.mlflow"} <= run.data.params.keys()
    assert "val/r2_temporal" in run.data.metrics
    names = {each.path for each in mlflow.artifacts.list_artifacts(run_id=trained.run_id)}
    assert {"model_card.md", "figures", "images"} <= names
    overall = mlflow.artifacts.load_dict(f"{mlflow.get_run(scored.run_id).info.artifact_uri}/overall.json")
    assert overall == scored.overall
    bundle, version = load_model("models:/memory@champion")
    assert (bundle.model.config.variant, str(version.version)) == ("linear", "1")
    every = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert {found.info.status for found in every} == {"FINISHED"}
    assert len(every) == 3


TRIALS = 12
SEARCH = {
    "models": [{"family": "linear", "components": 2}],
    "search": {"sampler": "random", "ranges": {"linear": {"components": [2, 3, 4]}}},
    "split": {"validation": 1, "test": 1},
    "evaluation": {"permutations": 39},
}


@pytest.mark.slow
def test_a_search_of_two_workers_outlives_its_server(server, database, bids_root, tiny_config, tmp_path):
    store = build_store(find_recordings(bids_root)[0], tmp_path / "store", tiny_config, name="tiny").store
    storage, at_the_kill = database(), []

    def study() -> optuna.Study:
        return optuna.load_study(study_name="s", storage=open_storage(storage, 20, print))

    def interrupt() -> None:
        """Kill the server when both workers have a trial, and start it again."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            time.sleep(0.1)
            try:
                trials = study().get_trials(deepcopy=False)
            except KeyError:  # not there yet
                continue
            if len({t.user_attrs[OWNER][0] for t in trials if OWNER in t.user_attrs}) == 2:
                server.kill()
                at_the_kill.extend(t.state.name for t in trials)
                time.sleep(1)
                server.start()
                return

    killer = threading.Thread(target=interrupt)
    killer.start()
    best = search_step(Config.model_validate(SEARCH), store, study="s", storage=storage, trials=TRIALS, timeout=None,
                       out=tmp_path / "best.yaml", workers=2)  # fmt: skip
    killer.join()
    assert 2 <= len(at_the_kill) < TRIALS

    trials = study().trials
    assert [t.state.name for t in trials if "surplus" not in t.user_attrs] == ["COMPLETE"] * TRIALS
    assert len({t.user_attrs[OWNER][0] for t in trials}) == 2
    parent = mlflow.get_run(study().user_attrs[RUN_ATTRIBUTE])
    every = mlflow.search_runs(search_all_experiments=True, output_format="list")
    children = {run.info.run_id: run for run in every if run.info.run_id != parent.info.run_id}
    assert {run.info.status for run in every} == {"FINISHED"}
    finished = [t for t in trials if t.state.name == "COMPLETE"]
    assert {t.user_attrs[RUN_ATTRIBUTE] for t in finished} == children.keys()  # each trial once
    for t in finished:
        run = children[t.user_attrs[RUN_ATTRIBUTE]]
        assert run.data.tags[STATE_TAG] == "complete"
        assert run.data.params["search.trial"] == str(t.number)
        assert run.data.metrics["search/score"] == pytest.approx(t.value)
    history = mlflow.MlflowClient().get_metric_history(parent.info.run_id, "search/best_so_far")
    assert max(point.value for point in history) == pytest.approx(max(t.value for t in finished))
    logged = yaml.safe_load(mlflow.artifacts.load_text(f"{parent.info.artifact_uri}/best.yaml"))
    assert logged == best.model_dump(mode="json") == yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert not [t for t in study().trials if t.state.name in ("RUNNING", "WAITING")]
