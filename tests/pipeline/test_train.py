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
from eeg2fmri.training import Example


def test_a_restored_epoch_is_logged_but_not_told_as_trained(caplog):
    log, scores = Mock(), {"val/r2_temporal": 0.25}
    on_epoch = _epoch_logger(log, LinearConfig(), 2.0)
    with caplog.at_level(logging.INFO, "eeg2fmri"):
        on_epoch(0, scores, None)
        on_epoch(1, scores, (np.full((2, 2, 2), np.nan),) * 2)
    restored, trained = caplog.messages
    assert "restored from a checkpoint" in restored
    assert "0.25" not in restored
    assert "0.25" in trained
    assert [call.kwargs["step"] for call in log.metrics.call_args_list] == [0, 1]


@pytest.mark.parametrize("known", [True, False])
def test_an_epoch_shows_volume_and_dynamics_of_a_validation_subject(rng, known):
    measured, synthesised = rng.standard_normal((2, 30, 12, 11, 6))
    mask, region = np.ones((12, 11, 6), bool), np.zeros((12, 11, 6), bool)
    region[3:5, 4:7, 2] = known
    dynamics = dynamics_of(measured, synthesised, mask, drift_waves(30, 2.0, 40.0), region, "sub-04")
    log = Mock()
    _epoch_logger(log, LinearConfig(), 2.0)(
        3, {"val/r2_temporal": 0.25}, Example(measured[4], synthesised[4], dynamics)
    )
    shown = {call.args[1]: call.args for call in log.image.call_args_list}
    assert shown.keys() == {"validation_volume", "validation_dynamics"}
    assert {call[2] for call in shown.values()} == {3}
    titles = [axes.get_title(loc="left") for axes in shown["validation_dynamics"][0].axes]
    assert any(("in sub-04: r =" if known else "No region") in title for title in titles)
