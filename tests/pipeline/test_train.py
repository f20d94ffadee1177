"""How a training step counts its epochs, and what it says of them."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import numpy as np
import pytest

from eeg2fmri.config import FactorisedConfig, LinearConfig
from eeg2fmri.pipeline.train import _EpochLog

SCORES = {"val/r2_temporal": 0.25}
EXAMPLE = (np.arange(24.0).reshape(2, 3, 4),) * 2


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "eeg2fmri")
    return caplog


@pytest.mark.parametrize(("config", "numbers"), [(LinearConfig(), [1, 2, 3]), (FactorisedConfig(), [0, 1, 2])])
def test_restored_epochs_are_logged_and_said_in_one_line(said, config, numbers):
    log = Mock()
    on_epoch = _EpochLog(log, config)
    on_epoch(0, SCORES, None)
    on_epoch(1, SCORES, None)
    on_epoch(2, SCORES, EXAMPLE)
    on_epoch.say_restored()
    first, second, third = numbers
    restored, trained = said.messages
    assert restored == f"{config.variant}: epochs {first} to {second} restored from a checkpoint"
    assert trained == f"{config.variant}, epoch {third}: val/r2_temporal 0.25"
    assert [call.kwargs["step"] for call in log.metrics.call_args_list] == numbers
    ((figure, key, step),) = [call.args for call in log.image.call_args_list]
    assert (key, step) == ("validation_volume", third)
    assert f"epoch {third}" in figure.get_suptitle()


def test_a_fit_whose_epochs_are_all_restored_says_so_when_it_ends(said):
    on_epoch = _EpochLog(Mock(), LinearConfig())
    on_epoch(0, SCORES, None)
    assert said.messages == []
    on_epoch.say_restored()
    on_epoch.say_restored()
    assert said.messages == ["linear: epoch 1 restored from a checkpoint"]
