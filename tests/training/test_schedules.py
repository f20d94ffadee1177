"""Learning rates worked out by hand."""

from __future__ import annotations

from math import cos, pi

import keras
import numpy as np
import pytest

from eeg2fmri.config import TrainingConfig
from eeg2fmri.errors import ConfigError
from eeg2fmri.training.schedules import WarmUp, learning_rate

SETTINGS = {"epochs": 5, "learning_rate": 0.2, "final_share": 0.1}


def rates(steps, **changes):
    rate = learning_rate(TrainingConfig(**(SETTINGS | changes)), 4)
    return [float(rate(step)) for step in steps]


def test_constant_is_a_number():
    assert learning_rate(TrainingConfig(**SETTINGS), 4) == 0.2


def test_cosine():
    expected = [0.2 * (0.1 + 0.9 * (1 + cos(pi * step / 20)) / 2) for step in (0, 5, 19, 20, 30)]
    assert rates([0, 5, 19, 20], schedule="cosine") == pytest.approx(expected[:4])
    assert rates([30], schedule="cosine") == pytest.approx([0.02])


@pytest.mark.parametrize(("schedule", "later"), [("constant", [0.2, 0.2]), ("cosine", [0.2 * 0.55, 0.02])])
def test_warm_up_of_half_an_epoch_then_the_schedule_over_the_rest(schedule, later):
    found = rates([0, 1, 2, 11, 20], schedule=schedule, warmup_epochs=0.5)
    assert found == pytest.approx([0.1, 0.2, 0.2, *later], rel=1e-5)


def test_warm_up_that_takes_the_whole_training_is_refused(refuses):
    with refuses(ConfigError, r"training\.warmup_epochs 5 takes all of training\.epochs 5; make it shorter"):
        rates([0], warmup_epochs=5)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_is_saved_and_loaded(schedule):
    rate = learning_rate(TrainingConfig(**SETTINGS, schedule=schedule, warmup_epochs=1), 4)
    assert isinstance(rate, WarmUp)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    np.testing.assert_allclose([again(s) for s in range(20)], [rate(s) for s in range(20)])
