"""Batches built ahead are the batches that would have been built in turn."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from eeg2fmri.training.pairs import PairData
from eeg2fmri.training.prefetch import AHEAD, Prefetched


@pytest.fixture
def pairs(train):
    return lambda batch_size=5: PairData(train, batch_size, "channels", "voxel", train.eeg_statistics(), seed=1)


@pytest.fixture
def prefetched(pairs):
    made = []

    def make(batch_size=5, devices=1):
        made.append(Prefetched(pairs(batch_size), devices))
        return made[-1]

    yield make
    for data in made:
        data.close()


def test_batches_and_their_order_are_those_of_the_data(pairs, prefetched):
    plain, data = pairs(), prefetched()
    for epoch in (0, 1, 3):
        while plain.epoch < epoch:
            plain.on_epoch_end()
        data.start(epoch)
        assert len(data) == len(plain)
        for number in range(len(plain)):
            for key, values in plain[number][0].items():
                np.testing.assert_array_equal(data[number][0][key], values)


def test_ends_of_epochs_that_keras_calls_do_not_shuffle(prefetched):
    data = prefetched()
    order = data.data.order.copy()
    data.on_epoch_end()
    np.testing.assert_array_equal(data.data.order, order)


def test_the_next_batches_are_built_in_other_threads(prefetched, monkeypatch):
    data, built = prefetched(), {}
    original = data.data.__class__.__getitem__

    def note(self, number):
        built[number] = threading.current_thread()
        return original(self, number)

    monkeypatch.setattr(data.data.__class__, "__getitem__", note)
    data[0]
    data.drop()  # waits for what has begun
    assert 1 <= len(built) <= 1 + AHEAD
    assert threading.main_thread() not in built.values()


def test_an_error_in_a_thread_reaches_the_step(prefetched, monkeypatch):
    data = prefetched()

    def fails(*_):
        raise OSError("volume 3 cannot be read")

    monkeypatch.setattr(data.data.windows, "eeg", fails)
    with pytest.raises(OSError, match="volume 3"):
        data[0]
    monkeypatch.undo()
    data.start(0)
    assert len(data[0][0]["eeg"]) == 5


@pytest.mark.parametrize(
    ("batch_size", "devices", "sizes"),
    [(8, 1, [8] * 7 + [7]), (8, 4, [8] * 7 + [4]), (60, 4, [60]), (60, 3, [60, 3])],
)
def test_devices_share_every_batch_equally(prefetched, batch_size, devices, sizes):
    data = prefetched(batch_size, devices)
    batches = [data[number][0] for number in range(len(data))]
    assert [len(batch["eeg"]) for batch in batches] == [len(batch["fmri"]) for batch in batches] == sizes
