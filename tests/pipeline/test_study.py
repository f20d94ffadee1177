"""A study of one's own beside another one in the same MLflow: names, split, comparison, offers."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest

from eeg2fmri.config import Config, load_config
from eeg2fmri.errors import ModelError
from eeg2fmri.pipeline import evaluate_step, main_job, preprocess_step, promote_step, train_step
from eeg2fmri.pipeline.main import summary
from eeg2fmri.store import open_store
from eeg2fmri.tracking import store_evidence
from eeg2fmri.tracking.registry import DATASET_TAG, champion, latest_version, logged_model_id, only_model
from eeg2fmri.tracking.runs import ENTRY_POINT
from tests.conftest import write_tiny_recording
from tests.mlflow_store import evidence, use_tracking

NAME = "my-study"
SMALL = {
    "data.frequencies": 7,
    "data.context": 3,
    "data.dropped_volumes": 2,
    "models": [{"family": "linear", "components": 3}],
    "evaluation.permutations": 39,
    "policy.level": 0.2,  # the recordings have 17 windows
    "run.device": "cpu",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """`main --root my-study --set split.test=1` with the default configuration, where the demo has a champion."""
    import numpy as np

    folder = tmp_path_factory.mktemp("lab")
    root = folder / "my study"
    for n in range(1, 5):
        write_tiny_recording(root, f"0{n}", rng=np.random.default_rng(n))
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)
        client = mlflow.MlflowClient()
        for name in ("eeg2fmri", "of-another-group"):
            client.create_registered_model(name)
            made = client.create_model_version(name, "file:///nowhere")
            client.set_registered_model_alias(name, "champion", made.version)
        store_evidence(made, evidence("1", 0.9))
        said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        logger = logging.getLogger("eeg2fmri")
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        config = load_config("demo", SMALL | {"split.test": 1})
        try:
            result = main_job(config, folder / "work", root, 0)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        yield SimpleNamespace(folder=folder, root=root, config=config, result=result, said=said)


def runs(experiment: str = NAME) -> dict[str, mlflow.entities.Run]:
    found = mlflow.search_runs(experiment_names=[experiment], output_format="list", order_by=["attributes.start_time"])
    return {run.info.run_name: run for run in found}


def again(study, **changes: object) -> Config:
    """The same settings, without a split."""
    return load_config(None, SMALL | changes)


def store(study):
    return open_store(study.folder / "work" / "store")


def test_experiment_model_and_runs_are_named_after_the_data_set(study):
    names = [f"main · {NAME}", f"preprocess · {NAME}", f"train linear · {NAME}", f"evaluate linear · {NAME} test"]
    assert list(runs())[:4] == names
    assert {run.data.tags["dataset"] for run in list(runs().values())[:4]} == {NAME}
    assert study.result.name == latest_version(NAME).name == NAME
    assert mlflow.MlflowClient().get_registered_model(NAME).tags[DATASET_TAG] == NAME
    assert store(study).name == NAME
    assert runs()[names[2]].data.params["registry.name"] == NAME
    used = {data.dataset.name for name in names[2:] for data in runs()[name].inputs.dataset_inputs}
    assert used == {f"{NAME}-training", f"{NAME}-validation", f"{NAME}-test"}


def test_nothing_of_another_data_set_is_compared_or_offered(study):
    text = summary(study.result, study.config)
    notes = [run.data.tags.get("mlflow.note.content", "") for run in runs().values()]
    notes.append(mlflow.get_experiment_by_name(NAME).tags["mlflow.note.content"])
    notes.append(mlflow.MlflowClient().get_registered_model(NAME).description)
    for said in (text, *study.said, *notes):
        for word in ("models:/eeg2fmri", "eeg2fmri@champion", "0.9000", "simulat", "demo", "best reachable"):
            assert word not in said.lower()
    assert {run.info.status for run in runs().values()} <= {"FINISHED", "FAILED"}
    assert champion("eeg2fmri", "champion").version == 1
    assert "test.r2_temporal" not in mlflow.MlflowClient().get_model_version("eeg2fmri", "1").tags


def test_the_console_says_who_is_in_which_part(study):
    parts = [line for line in study.said if "windows of" in line]
    assert parts == ["training: 34 windows of sub-01, sub-02", "validation: 17 windows of sub-03",
                     "test: 17 windows of sub-04"]  # fmt: skip


def test_train_and_evaluate_after_main_take_the_split_of_main(study):
    train_step(again(study, models=[{"family": "mean"}]), None, store(study), study.folder / "work")
    run = runs()[f"train mean · {NAME}"]
    assert json.loads(run.data.params["split.test"]) == ["sub-04"]
    assert json.loads(run.data.params["split.train"]) == ["sub-01", "sub-02"]
    result = evaluate_step(again(study), None, store(study), "test")  # the newest version
    run = mlflow.get_run(result.run_id)
    assert json.loads(run.data.params["evaluation.subjects"]) == ["sub-04"]
    assert run.data.params["evaluation.model"].startswith(f"{NAME}/{latest_version(NAME).version}/")
    assert run.info.run_name == f"evaluate mean · {NAME} test"
    labels = {"split.validation": ["sub-03"], "split.test": ["04"]}
    explicit = evaluate_step(again(study, **labels), None, store(study), "test")
    assert (explicit.run_id, explicit.skipped) == (result.run_id, True)


def test_preprocess_keeps_the_split_until_another_one_is_set(study):
    where = study.folder / "copy"
    first, _ = preprocess_step(again(study, **{"split.test": ["01"]}), study.root, where)
    kept, step = preprocess_step(again(study), study.root, where)
    assert step.skipped
    assert first.split.test == kept.split.test == ("01",)
    changed, step = preprocess_step(again(study, **{"split.test": 1}), study.root, where)
    assert step.skipped
    assert changed.split.test == open_store(where).split.test == 1
    assert changed.digest == first.digest == store(study).digest


def test_epochs_have_one_count(study):
    run = runs()[f"train linear · {NAME}"]
    client = mlflow.MlflowClient()
    for name in ("val/r2_temporal", "val/best_r2_temporal"):
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [1]
    images = [Path(item.path).name for item in client.list_artifacts(run.info.run_id, "images")]
    kinds = {tuple(name.split("+")[:3]) for name in images}
    assert kinds == {(kind, "step", "1") for kind in ("validation_volume", "validation_dynamics")}
    assert any(line.startswith("linear, epoch 1: ") for line in study.said)
    logged = mlflow.get_logged_model(logged_model_id(f"models:/{NAME}/1"))
    assert ("val/r2_temporal", 1) in {(metric.key, metric.step) for metric in logged.metrics}


@pytest.mark.usefixtures("study")
def test_the_only_registered_model_is_taken_and_of_several_none(refuses):
    client = mlflow.MlflowClient()
    assert only_model("--name NAME") == NAME
    version = latest_version(NAME)
    store_evidence(version, evidence(str(version.version), 0.05))
    before = set(runs())
    assert promote_step(Config(), None) == str(version.version)
    assert set(runs()) - before <= {f"promote · {NAME}"}
    assert champion(NAME, "champion").version == version.version
    assert mlflow.get_experiment_by_name("eeg2fmri") is None
    client.set_registered_model_tag("eeg2fmri", DATASET_TAG, "eeg2fmri")
    with refuses(ModelError, r"2 registered models \(eeg2fmri, my-study\); give --name NAME"):
        promote_step(Config(), None)
    client.delete_registered_model_tag("eeg2fmri", DATASET_TAG)


def test_without_a_registered_model_there_is_none_to_take(tmp_path, monkeypatch, refuses):
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(tmp_path, patch)
        with refuses(ModelError, "no registered model of eeg2fmri; train one"):
            promote_step(Config(), None)
        assert ENTRY_POINT not in {tag for run in mlflow.search_runs(output_format="list") for tag in run.data.tags}
