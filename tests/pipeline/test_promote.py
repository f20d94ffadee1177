"""Promotion as tracked runs: a refusal is a result, weighing changes nothing, a champion can be taken back."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from eeg2fmri import cli
from eeg2fmri.config import Config, PolicyConfig, load_config
from eeg2fmri.errors import GateRefusal
from eeg2fmri.pipeline import promote_step, rollback_step
from eeg2fmri.tracking import resolve_version, store_evidence
from eeg2fmri.tracking.notes import NOTE_TAG
from eeg2fmri.tracking.registry import champion
from tests.mlflow_store import evidence, use_tracking

ROOT = Path(__file__).parents[2]
CONFIG = Config.model_validate({"run": {"experiment": "tests"}, "registry": {"name": "study"}})


@pytest.fixture(autouse=True)
def versions(tmp_path, monkeypatch):
    """Two versions, of which the second is no better than shuffled EEG."""
    use_tracking(tmp_path, monkeypatch)
    client = mlflow.MlflowClient()
    client.create_registered_model("study")
    for version, shuffled in (("1", -0.01), ("2", 0.07)):
        client.create_model_version("study", "file:///nowhere")
        store_evidence(resolve_version(f"models:/study/{version}"), evidence(version, 0.05, shuffled))


def runs(entry_point: str) -> list:
    return mlflow.search_runs(experiment_names=["tests"], output_format="list",
                              filter_string=f"tags.eeg2fmri.entry_point = '{entry_point}'")  # fmt: skip


def test_a_promotion_says_why():
    assert promote_step(CONFIG, "1") == "1"
    (run,) = runs("promote")
    assert run.info.status == "FINISHED"
    assert run.data.tags["eeg2fmri.verdict"] == "passed"
    assert "| r2_temporal beside shuffled | 0.0500 | above -0.0100 | yes |" in run.data.tags[NOTE_TAG]
    assert run.data.metrics["gate/r2_temporal_shuffled"] == -0.01
    assert run.data.params["policy.level"] == "0.05"


def test_a_refusal_is_a_finished_run_with_its_verdict(refuses):
    with refuses(GateRefusal, "study version 2 is not promoted: .*is not above 0.0700"):
        promote_step(CONFIG, "2")
    (run,) = runs("promote")
    assert run.info.status == "FINISHED"
    assert run.data.tags["eeg2fmri.verdict"] == "refused"
    assert "**no**" in run.data.tags[NOTE_TAG]
    assert champion("study", "champion") is None


@pytest.mark.parametrize(
    ("version", "status", "outcome"), [("1", 0, "would be champion"), ("2", 1, "would be refused")]
)
def test_a_dry_run_prints_the_argument_and_changes_nothing(capsys, version, status, outcome):
    assert cli.main(["promote", "--name", "study", "--version", version, "--dry-run"]) == status
    out, err = capsys.readouterr()
    assert f"study version {version} {outcome}." in out
    assert "| criterion | found | needed | holds |" in out
    assert len(err.splitlines()) == status
    assert champion("study", "champion") is None
    assert mlflow.search_runs(search_all_experiments=True, output_format="list") == []


def test_rollback_is_a_run_too():
    store_evidence(resolve_version("models:/study/2"), evidence("2", 0.06))
    promote_step(CONFIG, "1")
    promote_step(CONFIG, "2")
    assert rollback_step(CONFIG) == "1"
    assert str(champion("study", "champion").version) == "1"
    assert "version 2 was rolled back" in runs("rollback")[0].data.tags[NOTE_TAG]


def test_the_policy_file_is_the_default():
    assert load_config(ROOT / "experiments" / "policy.yaml").policy == PolicyConfig()
