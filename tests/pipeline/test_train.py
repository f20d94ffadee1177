"""What a training step says of its epochs."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import numpy as np
import pytest

from eeg2fmri.config import LinearConfig
from eeg2fmri.evaluation import dynamics_of
from eeg2fmri.pipeline.train import _epoch_logger
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Windows
from eeg2fmri.testing.recordings import CONTEXT, GRID, recording
from eeg2fmri.training import Example


def test_a_restored_epoch_is_logged_but_not_told_as_trained(caplog):
    log, scores = Mock(), {"val/r2_temporal": 0.25}
    validation = Windows([recording("sub-01", 1)], CONTEXT)
    on_epoch = _epoch_logger(log, LinearConfig(), validation, 3)
    with caplog.at_level(logging.INFO, "eeg2fmri"):
        on_epoch(0, scores, None)
        on_epoch(1, scores, (np.full(GRID, np.nan),) * 2)
    restored, trained = caplog.messages
    assert "restored from a checkpoint" in restored
    assert "0.25" not in restored
    assert "0.25" in trained
    assert [call.kwargs["step"] for call in log.metrics.call_args_list] == [0, 1]
    assert not log.image.called


@pytest.mark.parametrize("known", [True, False])
def test_an_epoch_shows_volume_and_dynamics_of_a_validation_subject(rng, known):
    validation = Windows([recording("sub-01", 1)], CONTEXT)
    measured, synthesised = rng.standard_normal((2, 30, *GRID))
    mask, region = np.ones(GRID, bool), np.zeros(GRID, bool)
    region[3:5, 4:6, 2] = known
    dynamics = dynamics_of(measured, synthesised, mask, drift_waves(30, 2.0, 40.0), region, "sub-01")
    log = Mock()
    on_epoch = _epoch_logger(log, LinearConfig(), validation, 3)
    on_epoch(2, {"val/r2_temporal": 0.25}, Example(measured[4], synthesised[4], dynamics))
    shown = {call.args[1]: call.args for call in log.image.call_args_list}
    assert shown.keys() == {"validation_volume", "validation_dynamics"}
    assert {call[2] for call in shown.values()} == {2}
    title = shown["validation_volume"][0].texts[0].get_text()
    assert title == "linear, epoch 3 · sub-01_task-rest_run-1 · volume 16 at 8.0 s"
    titles = [axes.get_title(loc="left") for axes in shown["validation_dynamics"][0].axes]
    assert any(("in sub-01: r =" if known else "No region") in title for title in titles)
