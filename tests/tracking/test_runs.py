"""Runs in a real tracking database: what they hold, how they nest, how they end, how they are found."""

from __future__ import annotations

import subprocess
import threading
import time

import mlflow
import pandas as pd
import pytest

from eeg2fmri.provenance import code_digest
from eeg2fmri.tracking import RunLog, children_ended, children_of, finished_run, runs, tracked_run
from eeg2fmri.tracking.runs import DIGEST_LENGTH, ENTRY_POINT, STEP_KEY, git_commit, step_key

EXPERIMENT = "tests"
pytestmark = pytest.mark.usefixtures("tracking")


def status(run_id: str) -> str:
    return mlflow.get_run(run_id).info.status


def step(key: str, experiment: str = EXPERIMENT) -> str:
    with tracked_run("train", experiment=experiment) as log:
        log.tags({STEP_KEY: key})
    return log.run_id


def test_a_run_holds_parameters_tags_and_versions():
    params = {"model.latent": (2, 3, 4), "data.iqr": False, "run.seed": 3}
    with tracked_run("train", experiment=EXPERIMENT, name="train-x", params=params, tags={"variant": "x"}) as log:
        log.metrics({"val/mae": 0.5}, step=2)
        log.table(pd.DataFrame({"subject": ["sub-01"], "mae": [0.5]}), "scores.json")
    run = mlflow.get_run(log.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "train-x"
    assert mlflow.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert run.data.params["model.latent"] == "[2, 3, 4]"
    assert run.data.params["run.seed"] == "3"
    assert {"version.python", "version.eeg2fmri", "version.mlflow", "version.numpy"} <= run.data.params.keys()
    assert run.data.tags["variant"] == "x"
    assert run.data.tags[ENTRY_POINT] == "train"
    assert run.data.params["version.git_commit"] == git_commit()
    assert run.data.metrics == {"val/mae": 0.5}
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/scores.json")["data"] == [["sub-01", 0.5]]


def test_more_parameters_than_one_request_takes():
    many = {f"model.p{n:03d}": n for n in range(2 * runs.PARAMS_AT_ONCE + 1)}
    with tracked_run("train", experiment=EXPERIMENT, params=many) as log:
        pass
    assert many.keys() <= mlflow.get_run(log.run_id).data.params.keys()


def test_a_project_run_is_adopted_and_its_parameters_are_not_met(monkeypatch):
    # As `mlflow run` does: its own parameters first, in its own spelling, then the command.
    mlflow.set_experiment(EXPERIMENT)
    client = mlflow.MlflowClient()
    project = client.create_run(mlflow.get_experiment_by_name(EXPERIMENT).experiment_id).info.run_id
    for key, value in {"subjects": "''", "seed": "03", "out": "work/x"}.items():
        client.log_param(project, key, value)
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    params = {"simulation.subjects": 6, "simulation.seed": 3, "simulation.out": "work/x"}
    with tracked_run("simulate", experiment="elsewhere", name="simulate-x", params=params) as log:
        assert log.run_id == project
        with tracked_run("trial", experiment="elsewhere") as child:
            pass
    run = mlflow.get_run(project)
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "03"
    assert run.data.params["simulation.seed"] == "3"
    assert run.data.tags["mlflow.runName"] == "simulate-x"
    assert mlflow.get_run(child.run_id).data.tags["mlflow.parentRunId"] == project
    assert mlflow.get_experiment_by_name("elsewhere") is None


def test_a_project_run_in_mlflow_s_default_experiment_says_where_the_work_is(monkeypatch):
    client = mlflow.MlflowClient()
    project = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", project)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    with (
        tracked_run("main", experiment=EXPERIMENT, name="main · a-study") as log,
        tracked_run("train") as child,
    ):
        pass
    assert log.run_id != project
    assert mlflow.get_experiment_by_name(EXPERIMENT).experiment_id == log.experiment_id == child.experiment_id != "0"
    assert mlflow.get_run(child.run_id).data.tags["mlflow.parentRunId"] == log.run_id
    tags = mlflow.get_run(project).data.tags
    assert tags["mlflow.runName"] == "main · a-study"
    assert f"[main · a-study](#/experiments/{log.experiment_id}/runs/{log.run_id})" in tags["mlflow.note.content"]
    assert f"experiment {EXPERIMENT}." in tags["mlflow.note.content"]
    assert ENTRY_POINT not in tags


def test_runs_nest():
    with tracked_run("main", experiment=EXPERIMENT) as parent:
        with tracked_run("train", experiment="not used") as child, tracked_run("trial", experiment="") as grandchild:
            pass
        with tracked_run("evaluate", experiment="not used") as sibling:
            pass
    for inner, outer in ((child, parent), (grandchild, child), (sibling, parent)):
        run = mlflow.get_run(inner.run_id)
        assert run.data.tags["mlflow.parentRunId"] == outer.run_id
        assert run.info.experiment_id == mlflow.get_run(parent.run_id).info.experiment_id
    assert "mlflow.parentRunId" not in mlflow.get_run(parent.run_id).data.tags
    assert mlflow.active_run() is None


@pytest.mark.parametrize(("error", "ending"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_failure_closes_every_open_run(error, ending):
    opened: list[RunLog] = []

    def work():
        with tracked_run("main", experiment=EXPERIMENT) as parent:
            opened.append(parent)
            with tracked_run("simulate", experiment=EXPERIMENT) as done:
                opened.append(done)
            with tracked_run("train", experiment=EXPERIMENT) as child:
                opened.append(child)
                raise error("disk full")

    with pytest.raises(error, match="disk full"):
        work()
    assert [status(log.run_id) for log in opened] == [ending, "FINISHED", ending]
    assert mlflow.active_run() is None


def test_finished_run_finds_the_newest_with_the_same_key():
    step("a")
    newest, other = step("a"), step("b")
    assert finished_run("a").info.run_id == newest
    assert finished_run("b").info.run_id == other
    assert finished_run("c") is None


def test_a_finished_run_is_found_from_any_experiment():
    run_id = step("a")
    assert finished_run("a").info.run_id == run_id
    with tracked_run("main", experiment="other"):
        assert finished_run("a").info.run_id == run_id


@pytest.mark.parametrize("ending", ["FAILED", "KILLED", "RUNNING"])
def test_a_run_that_did_not_finish_is_not_found(ending):
    run_id = step("a")
    if ending == "RUNNING":
        mlflow.MlflowClient().update_run(run_id, status="RUNNING")
    else:
        mlflow.MlflowClient().set_terminated(run_id, ending)
    assert status(run_id) == ending
    assert finished_run("a") is None


def test_an_interrupted_run_and_its_parent_are_killed():
    opened = []
    with pytest.raises(KeyboardInterrupt), tracked_run("main", experiment=EXPERIMENT) as parent:  # noqa: PT012
        opened.append(parent.run_id)
        with tracked_run("train", experiment=EXPERIMENT) as child:
            opened.append(child.run_id)
            raise KeyboardInterrupt
    assert [status(run_id) for run_id in opened] == ["KILLED", "KILLED"]
    assert mlflow.active_run() is None


def test_a_deleted_run_is_not_found():
    run_id = step("a")
    mlflow.delete_run(run_id)
    assert finished_run("a") is None


def test_the_dataset_of_a_run_has_the_digest_of_the_store():
    digest = "0123456789abcdef" * 4
    with tracked_run("train", experiment=EXPERIMENT) as log:
        log.dataset(digest, "/some/store", "store", "training", pd.DataFrame({"a": [1.0]}).to_numpy())
    (used,) = mlflow.get_run(log.run_id).inputs.dataset_inputs
    assert used.dataset.digest == digest[:DIGEST_LENGTH]
    assert used.dataset.name == "store"
    assert {tag.key: tag.value for tag in used.tags}["mlflow.data.context"] == "training"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two parts, in the place of the real one."""
    for name in ("models/linear.py", "models/deep/layers.py", "signals/bold.py", "__init__.py"):
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a = 1\n")
    monkeypatch.setattr(runs.eeg2fmri, "__file__", str(tmp_path / "package" / "__init__.py"))
    code_digest.cache_clear()
    yield tmp_path / "package"
    code_digest.cache_clear()


def test_step_key_is_that_of_the_inputs(package):
    code, other_code = ("eeg2fmri.models.linear",), ("eeg2fmri.signals.bold",)
    key = step_key("train", code, {"a": 1, "b": [1, 2]}, "digest")
    assert key == step_key("train", code, {"b": [1, 2], "a": 1}, "digest")
    assert len(key) == 64
    others = [
        step_key("evaluate", code, {"a": 1, "b": [1, 2]}, "digest"),
        step_key("train", other_code, {"a": 1, "b": [1, 2]}, "digest"),
        step_key("train", code, {"a": 1, "b": [2, 1]}, "digest"),
        step_key("train", code, {"a": 1, "b": [1, 2]}, "other digest"),
    ]
    assert len({key, *others}) == 5


def test_git_commit_is_that_of_the_checkout(package):
    assert git_commit() == "unknown"
    git = ["git", "-C", str(package), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert git_commit() == head
    (package / "models" / "linear.py").write_text("a = 2\n")
    assert git_commit() == f"{head}-dirty"


def test_digests_are_out_of_sight():
    with tracked_run("train", experiment=EXPERIMENT, tags={STEP_KEY: "a" * 64}) as log:
        pass
    tags = mlflow.get_run(log.run_id).data.tags
    assert tags[STEP_KEY] == "a" * 64
    assert {name for name in tags if not name.startswith("mlflow.")} == {ENTRY_POINT}


def test_a_run_shows_the_load_of_the_machine_where_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")
    found = []
    for asked in (True, False):
        with tracked_run("train", experiment=EXPERIMENT, system_metrics=asked) as log:
            deadline = time.monotonic() + 20
            while asked and time.monotonic() < deadline and not mlflow.get_run(log.run_id).data.metrics:
                time.sleep(0.05)
        found.append("system/cpu_utilization_percentage" in mlflow.get_run(log.run_id).data.metrics)
    assert found == [True, False]


def test_a_run_of_another_thread_is_a_child_with_a_name_of_its_own():
    children = []

    def work(parent: str) -> None:
        with children_of(parent, mlflow.get_tracking_uri(), mlflow.get_registry_uri(), ending="-fold-3"):
            children.append(step("own", experiment="another"))
        children.append(step("after"))

    with tracked_run("crossval", experiment=EXPERIMENT) as log:
        thread = threading.Thread(target=work, args=(log.run_id,))
        thread.start()
        thread.join()
    child, after = (mlflow.get_run(run_id) for run_id in children)
    assert child.data.tags["mlflow.parentRunId"] == log.run_id
    assert child.info.run_name == "train-fold-3"
    assert child.info.experiment_id == mlflow.get_run(log.run_id).info.experiment_id
    assert "mlflow.parentRunId" not in after.data.tags
    assert after.info.run_name == "train"


def test_children_of_processes_that_are_stopped_are_killed():
    client = mlflow.MlflowClient()

    def stop(dying: str, finishing: str) -> None:
        client.set_terminated(dying, "FAILED")  # as an interpreter that ends makes of it
        client.set_tag(finishing, STEP_KEY, "done in time")
        client.set_terminated(finishing, "FINISHED")

    opened = []

    def interrupted() -> None:
        with tracked_run("crossval", experiment=EXPERIMENT) as log:
            tags = {"mlflow.parentRunId": log.run_id}
            opened.extend(client.create_run(log.experiment_id, tags=tags).info.run_id for _ in range(3))
            client.set_terminated(opened[0], "FAILED")
            opened.append(log.run_id)
            with children_ended(log.run_id, lambda: stop(*opened[1:3])):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [status(run_id) for run_id in opened] == ["FAILED", "KILLED", "FINISHED", "KILLED"]
