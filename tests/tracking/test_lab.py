"""Tracking as in a lab: a server on PostgreSQL with proxied artifacts, which is killed in the middle of a training."""

from __future__ import annotations

import threading
import time

import mlflow
import pytest

from eeg2fmri.config import Config
from eeg2fmri.pipeline import evaluate_step, promote_step, train, train_step
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


@pytest.fixture
def server(tmp_path, monkeypatch):
    use_tracking(tmp_path, monkeypatch)
    with postgres_server() as database:
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
