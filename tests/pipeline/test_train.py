"""What a training step says of its epochs."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import numpy as np

from eeg2fmri.config import LinearConfig
from eeg2fmri.pipeline.train import _epoch_logger


def test_a_restored_epoch_is_logged_but_not_told_as_trained(caplog):
    log, scores = Mock(), {"val/r2_temporal": 0.25}
    on_epoch = _epoch_logger(log, LinearConfig())
    with caplog.at_level(logging.INFO, "eeg2fmri"):
        on_epoch(0, scores, None)
        on_epoch(1, scores, (np.full((2, 2, 2), np.nan),) * 2)
    restored, trained = caplog.messages
    assert "restored from a checkpoint" in restored
    assert "0.25" not in restored
    assert "0.25" in trained
    assert [call.kwargs["step"] for call in log.metrics.call_args_list] == [0, 1]
