"""The preprocess step: its run, its exit, what it says."""

from __future__ import annotations

import json
import logging

import mlflow
import pytest

from eeg2fmri.config import Config
from eeg2fmri.errors import ConfigError, DatasetError, IncompleteError
from eeg2fmri.pipeline import preprocess_step
from eeg2fmri.store import open_store
from eeg2fmri.tracking.runs import DATA_DIGEST

CONFIG = Config.model_validate({"data": {"frequencies": 7, "context": 3, "dropped_volumes": 2, "grid": (9, 8, 7)}})
pytestmark = pytest.mark.usefixtures("tracking")


@pytest.fixture
def step(bids_root, tmp_path):
    """Run the step on the tiny dataset."""

    def run(where=tmp_path / "store", **options):
        return preprocess_step(CONFIG, bids_root, where, **options)

    return run


def break_one(root, subject="02"):
    (root / f"sub-{subject}/eeg/sub-{subject}_task-rest_eeg.eeg").unlink()


def runs() -> list:
    return mlflow.search_runs(search_all_experiments=True, output_format="list")


def table(run, name):
    return json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{name}"))


def test_the_run_holds_what_was_made(step):
    store, result = step()
    (run,) = runs()
    assert (run.info.run_id, run.info.status) == (result.run_id, "FINISHED")
    assert run.data.params["data.digest"] == run.data.tags[DATA_DIGEST] == store.digest
    assert run.data.metrics == {"data/recordings": 3, "data/kept": 0, "data/failed": 0}
    assert [row[0] for row in table(run, "recordings.json")["data"]] == [r.name for r in store.recordings]
    assert table(run, "failures.json")["data"] == []
    assert [row[0] for row in table(run, "quality.json")["data"]] == [r.name for r in store.recordings]
    pages = {item.path for item in mlflow.MlflowClient().list_artifacts(run.info.run_id, "quality")}
    assert pages == {f"quality/{name}.png" for name in ("overview", *(r.name for r in store.recordings))}


@pytest.mark.slow
def test_the_same_again_is_skipped(step):
    _, first = step()
    store, again = step()
    assert again.skipped
    assert again.run_id == first.run_id
    assert len(store.recordings) == 3
    assert len(runs()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True])
def test_some_failures_end_with_1_and_the_others_in_the_store(again, step, bids_root, tmp_path, refuses, caplog):
    break_one(bids_root)
    if again:
        step(allow_failures=True)
        caplog.clear()
    with refuses(IncompleteError, r"1 of 3 recordings cannot be used \(sub-02_task-rest\); .*--allow-failures"):
        step()
    assert IncompleteError.exit_code == 1
    assert open_store(tmp_path / "store").subjects == ["sub-01", "sub-03"]
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "sub-02_task-rest_eeg.vhdr: not a readable EEG" in line
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["data/failed"] == 1
    assert table(run, "failures.json")["data"] == [["sub-02_task-rest", line]]


def test_failures_may_be_allowed(step, bids_root):
    break_one(bids_root)
    store, _ = step(allow_failures=True)
    assert store.subjects == ["sub-01", "sub-03"]


def test_nothing_usable_ends_with_2(step, bids_root, tmp_path, refuses, caplog):
    for subject in ("01", "02", "03"):
        break_one(bids_root, subject)
    with refuses(DatasetError, "none of 3 recordings can be used; the first: .*sub-01_task-rest_eeg.vhdr"):
        step(allow_failures=True)
    assert [f"sub-0{n}_task-rest_eeg.vhdr: not a readable EEG" in caplog.text for n in (1, 2, 3)] == [False, True, True]
    assert DatasetError.exit_code == 2
    assert not (tmp_path / "store").exists()
    assert [run.info.status for run in runs()] == ["FAILED"]


@pytest.mark.slow
def test_channels_that_are_left_out_are_named(step, write_recording, bids_root, rng, caplog):
    write_recording(bids_root, "09", eeg=rng.normal(0, 20, (4, 1300)), names=("Fp1", "Cz", "Oz", "ECG"))
    step()
    assert "channels: 3 are common to all recordings, without Fp2 (not in sub-09_task-rest)" in caplog.text


@pytest.mark.slow
def test_a_store_at_a_url(step):
    store, _ = step("memory://steps/store")
    (run,) = runs()
    assert run.data.params["data.store"] == "memory://steps/store"
    assert step("memory://steps/store")[1].skipped
    assert open_store("memory://steps/store").digest == store.digest


def test_workers_and_a_scheduler_are_one_too_many(step, refuses):
    with refuses(ConfigError, "--workers 2 and --scheduler tcp://127.0.0.1:8786: give one of them"):
        step(workers=2, scheduler="tcp://127.0.0.1:8786")
