"""What a training step says of its epochs."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import numpy as np

from eeg2fmri.config import LinearConfig
from eeg2fmri.pipeline.train import _epoch_logger
from eeg2fmri.store import Windows
from eeg2fmri.testing.recordings import CONTEXT, GRID, recording


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
    on_epoch(2, scores, (np.zeros(GRID),) * 2)
    figure, key, step = log.image.call_args.args
    assert (key, step) == ("validation_volume", 2)
    assert figure.texts[0].get_text() == "linear, epoch 3 · sub-01_task-rest_run-1 · volume 16 at 8.0 s"
