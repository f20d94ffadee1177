"""Batches of pairs: every window once an epoch, in an order that (seed, epoch) decides."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.signals import standardise_eeg
from eeg2fmri.training.pairs import PairData


@pytest.fixture
def data(train):
    def make(seed=1, epoch=0, batch_size=5, eeg_scaling="channels", bold_scaling="voxel"):
        statistics = train.eeg_statistics()
        return PairData(train, batch_size, eeg_scaling, bold_scaling, statistics, seed=seed, epoch=epoch)

    return make


def test_every_window_once_an_epoch(data, train):
    batches = data()
    for _ in range(2):
        seen = [batches[i][0]["fmri"] for i in range(len(batches))]
        assert [len(b) for b in seen] == [5] * 12 + [3]
        rows = sorted(map(bytes, np.concatenate(seen)))
        assert rows == sorted(map(bytes, train.standardised(np.arange(len(train)), "voxel")))
        batches.on_epoch_end()


def test_order_depends_on_seed_and_epoch(data):
    first, again = data(), data()
    np.testing.assert_array_equal(first.order, again.order)
    assert not np.array_equal(first.order, data(seed=2).order)
    assert not np.array_equal(first.order, data(epoch=1).order)
    assert not np.array_equal(first.order, np.arange(len(first.order)))


def test_a_resumed_epoch_has_the_order_it_would_have_had(data):
    running = data()
    running.on_epoch_end()
    running.on_epoch_end()
    np.testing.assert_array_equal(running.order, data(epoch=2).order)


@pytest.mark.parametrize("eeg_scaling", ["channels", "training", "none"])
@pytest.mark.parametrize("bold_scaling", ["recording", "volume", "voxel", "psc"])
def test_eeg_and_volume_of_a_row_belong_together_and_are_scaled(data, train, eeg_scaling, bold_scaling):
    batches = data(eeg_scaling=eeg_scaling, bold_scaling=bold_scaling)
    (batch,) = batches[2]
    rows = np.sort(batches.order[10:15])
    expected = standardise_eeg(train.eeg(rows), eeg_scaling, train.eeg_statistics())
    np.testing.assert_array_equal(batch["eeg"], expected)
    np.testing.assert_array_equal(batch["fmri"], train.standardised(rows, bold_scaling))
