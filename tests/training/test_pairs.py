"""Batches of pairs: every window once an epoch, in an order that (seed, epoch) decides."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri import signals
from eeg2fmri.errors import ConfigError
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.training.feasible import complete
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


class TestSeveralVolumes:
    def test_windows_at_a_recordings_end_are_left_out(self, train):
        rows = complete(train, 3)
        each = [train.indices(n)[:-2] for n in range(3)]
        np.testing.assert_array_equal(rows, np.concatenate(each))
        np.testing.assert_array_equal(complete(train, 1), np.arange(len(train)))

    def test_more_than_a_recording_has_are_refused(self, train, refuses):
        with refuses(ConfigError, r"volumes: 22 in a row are needed, but sub-01_.* has 21 "):
            complete(train, 22)

    def test_targets_are_the_consecutive_volumes_from_the_windows_own(self, train):
        data = pair_data(train, pair_model(build(deep_config(volumes=3), EEG_SHAPE, GRID)))
        seen = np.concatenate([data[i][0]["fmri"] for i in range(len(data))])
        assert seen.shape == (len(train) - 6, 3, *GRID)
        rows = np.asarray([0, 18, 30])
        (batch,) = data.batch(rows)
        for ahead in range(3):
            np.testing.assert_array_equal(batch["fmri"][:, ahead], train.standardised(rows + ahead, "recording"))
        np.testing.assert_array_equal(
            batch["eeg"], signals.eeg_scaling("channels").standardise(train.eeg(rows), train.eeg_statistics())
        )

    def test_coefficients_of_consecutive_volumes(self, train):
        data = pair_data(train, component_model(train, volumes=2))
        rows = np.asarray([3, 25])
        ((_, two), (_, first), (_, second)) = (
            data.batch(rows),
            *(pair_data(train, component_model(train)).batch(rows + ahead) for ahead in range(2)),
        )
        for key in two:
            np.testing.assert_allclose(two[key], np.stack([first[key], second[key]], axis=1), atol=1e-5)


class TestTargets:
    def test_without_the_latent_loss_the_volume_is_target_only(self, train):
        model = pair_model(build(deep_config(latent_loss=False), EEG_SHAPE, GRID))
        inputs, targets = pair_data(train, model)[0]
        assert set(inputs) == {"eeg"}
        assert set(targets) == {"volume"}

    @pytest.mark.parametrize("kind", ["recording", "volume", "voxel", "psc"])
    def test_coefficients_are_those_of_the_recordings_fluctuations(self, train, kind):
        model = component_model(train, bold_scaling=kind)
        inputs, targets = pair_data(train, model, bold_scaling=kind).batch(np.asarray([4, 5, 40]))
        assert set(inputs) == {"eeg"}
        flat = fluctuations(train, np.asarray([4, 5, 40]), kind).reshape(3, -1)
        inside = targets["coefficients"] @ model.components.scaled
        np.testing.assert_allclose(inside, flat @ model.components.basis.T @ model.components.basis, atol=1e-4)
        np.testing.assert_allclose(targets["outside"], np.square(flat - inside).sum(axis=1), rtol=1e-2, atol=1e-3)

    def test_a_trained_basis_is_compared_with_mean_plus_fluctuation(self, train):
        data = pair_data(train, component_model(train, train_basis=True))
        rows = np.asarray([4, 40])
        _, targets = data.batch(rows)
        expected = fluctuations(train, rows, "recording") + train.mean_volume("recording")
        np.testing.assert_allclose(targets["volume"], expected, atol=1e-4)

    def test_with_the_latent_loss_the_fmri_encoder_gets_its_volumes(self, train):
        data = pair_data(train, component_model(train, latent_loss=True))
        inputs, targets = data.batch(np.asarray([1, 2]))
        np.testing.assert_array_equal(inputs["fmri"], train.standardised(np.asarray([1, 2]), "recording"))
        assert set(targets) == {"coefficients", "outside"}
