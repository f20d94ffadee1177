"""Batches of pairs: every window once an epoch, in an order that (seed, epoch) decides."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri import signals
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.training.fluctuations import fit_components
from eeg2fmri.training.pairs import PairData, pair_model
from tests.fakes import EEG_SHAPE, GRID, deep_config


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


def test_unshuffled_windows_come_as_they_were_recorded(train):
    data = PairData(train, 5, "channels", "voxel", train.eeg_statistics(), seed=1, shuffle=False)
    for _ in range(2):
        np.testing.assert_array_equal(data.order, np.arange(len(train)))
        np.testing.assert_array_equal(data[1][0]["fmri"], train.standardised(np.arange(5, 10), "voxel"))
        data.on_epoch_end()


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
    expected = signals.eeg_scaling(eeg_scaling).standardise(train.eeg(rows), train.eeg_statistics())
    np.testing.assert_array_equal(batch["eeg"], expected)
    np.testing.assert_array_equal(batch["fmri"], train.standardised(rows, bold_scaling))


def pair_data(train, model, batch_size=7, bold_scaling="recording"):
    return PairData(train, batch_size, "channels", bold_scaling, train.eeg_statistics(), seed=1, model=model)


def component_model(train, **changes):
    config = deep_config(decoder="pca", components=6, **changes)
    components = fit_components(train, config.bold_scaling, 6)
    parts = build(config, EEG_SHAPE, GRID, mean_volume=components.mean.reshape(GRID), basis=components.scaled)
    return pair_model(parts, components)


def fluctuations(windows, rows, kind):
    """Volumes without their recording's mean over all of its instances, by definition."""
    means = [windows.standardised(windows.indices(n), kind).mean(axis=0) for n in range(len(windows.recordings))]
    return windows.standardised(rows, kind) - np.stack(means)[windows.owner[rows]]


@pytest.mark.parametrize("kind", ["recording", "volume", "voxel", "psc"])
def test_coefficients_are_those_of_the_recordings_fluctuations(train, kind):
    model = component_model(train, bold_scaling=kind)
    inputs, targets = pair_data(train, model, bold_scaling=kind).batch(np.asarray([4, 5, 40]))
    assert set(inputs) == {"eeg"}
    flat = fluctuations(train, np.asarray([4, 5, 40]), kind).reshape(3, -1)
    inside = targets["coefficients"] @ model.components.scaled
    np.testing.assert_allclose(inside, flat @ model.components.basis.T @ model.components.basis, atol=1e-4)
    np.testing.assert_allclose(targets["outside"], np.square(flat - inside).sum(axis=1), rtol=1e-2, atol=1e-3)
