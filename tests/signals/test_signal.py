"""The meaning of windows and volumes, in memory and as a store or a bundle keeps it."""

import dataclasses
import json

import pytest

from eeg2fmri.signals import Signal

SIGNAL = Signal(
    tr=2.16,
    sampling_rate=250.0,
    channels=("Fp1", "Cz"),
    unit="µV",
    frequencies=(1 / 2.16, 2 / 2.16, 3 / 2.16),
    grid=(5, 4, 3),
    space="native",
    affine=((2.0, 0.0, 0.0, 0.1), (0.0, 3.0, 0.0, -7.3), (0.0, 0.0, 4.0, 1 / 3), (0.0, 0.0, 0.0, 1.0)),
)


def test_it_comes_back_from_json_to_the_bit():
    assert Signal.from_json(json.loads(json.dumps(SIGNAL.to_json()))) == SIGNAL


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SIGNAL.tr = 2.0
    assert {SIGNAL: 1}[dataclasses.replace(SIGNAL)] == 1  # no list in it, which could be


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Signal)])
def test_nothing_of_it_may_be_missing(name):
    values = SIGNAL.to_json()
    del values[name]
    with pytest.raises(KeyError, match=name):
        Signal.from_json(values)
