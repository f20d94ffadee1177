"""How a training step counts its epochs, and what it says of them."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import mlflow
import numpy as np
import pytest

from eeg2fmri.config import Config, FactorisedConfig, LinearConfig
from eeg2fmri.evaluation import dynamics_of
from eeg2fmri.pipeline import train
from eeg2fmri.pipeline.train import _EpochLog, train_step
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Windows
from eeg2fmri.testing.recordings import CONTEXT, GRID, recording
from eeg2fmri.training import Example
from tests.mlflow_store import LINEAR, memory_store

SCORES = {"val/r2_temporal": 0.25}
BAD = (np.full(GRID, np.nan),) * 2


@pytest.fixture
def validation():
    return Windows([recording("sub-01", 1)], CONTEXT)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "eeg2fmri")
    return caplog


@pytest.mark.parametrize(("config", "numbers"), [(LinearConfig(), [1, 2, 3]), (FactorisedConfig(), [0, 1, 2])])
def test_restored_epochs_are_logged_and_said_in_one_line(said, validation, config, numbers):
    log = Mock()
    on_epoch = _EpochLog(log, config, validation, 3)
    on_epoch(0, SCORES, None)
    on_epoch(1, SCORES, None)
    on_epoch(2, SCORES, BAD)
    on_epoch.say_restored()
    first, second, third = numbers
    restored, trained = said.messages
    assert restored == f"{config.variant}: epochs {first} to {second} restored from a checkpoint"
    assert trained == f"{config.variant}, epoch {third}: val/r2_temporal 0.25"
    assert [call.kwargs["step"] for call in log.metrics.call_args_list] == numbers
    assert not log.image.called


def test_a_fit_whose_epochs_are_all_restored_says_so_when_it_ends(said, validation):
    on_epoch = _EpochLog(Mock(), LinearConfig(), validation, 3)
    on_epoch(0, SCORES, None)
    assert said.messages == []
    on_epoch.say_restored()
    on_epoch.say_restored()
    assert said.messages == ["linear: epoch 1 restored from a checkpoint"]


@pytest.mark.parametrize("known", [True, False])
def test_an_epoch_shows_volume_and_dynamics_of_a_validation_subject(validation, rng, known):
    measured, synthesised = rng.standard_normal((2, 30, *GRID))
    mask, region = np.ones(GRID, bool), np.zeros(GRID, bool)
    region[3:5, 4:6, 2] = known
    dynamics = dynamics_of(measured, synthesised, mask, drift_waves(30, 2.0, 40.0), region, "sub-01")
    log = Mock()
    on_epoch = _EpochLog(log, LinearConfig(), validation, 3)
    on_epoch(2, SCORES, Example(measured[4], synthesised[4], dynamics))
    shown = {call.args[1]: call.args for call in log.image.call_args_list}
    assert shown.keys() == {"validation_volume", "validation_dynamics"}
    assert {call[2] for call in shown.values()} == {3}
    title = shown["validation_volume"][0].texts[0].get_text()
    assert title == "linear, epoch 3 · sub-01_task-rest_run-1 · volume 16 at 8.0 s"
    titles = [axes.get_title(loc="left") for axes in shown["validation_dynamics"][0].axes]
    assert any(("in sub-01: r =" if known else "No region") in title for title in titles)


@pytest.mark.parametrize("place", ["describe_version", "_tags_of"])
def test_a_training_that_stops_after_its_registration_is_not_registered_twice(tracking, tmp_path, monkeypatch, place):
    store = memory_store()
    config = Config.model_validate({"models": [LINEAR], "split": {"validation": 1, "test": 1}})

    def stopped(*_: object) -> None:
        raise OSError("the power is off")

    with monkeypatch.context() as patch:
        patch.setattr(train, place, stopped)
        with pytest.raises(OSError, match="power"):
            train_step(config, None, store, tmp_path / "work")
    again = train_step(config, None, store, tmp_path / "work")
    (version,) = mlflow.MlflowClient().search_model_versions("")
    run = mlflow.get_run(version.run_id)
    assert (again.version, again.run_id) == (str(version.version), version.run_id)
    assert run.info.status == "FINISHED"
    assert "models serve" in version.description
    assert train_step(config, None, store, tmp_path / "work") == again
    assert not (tmp_path / "work").exists() or not list((tmp_path / "work").rglob("*"))
