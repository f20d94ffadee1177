"""A fitted model: scalings around any network, and the Keras network's plain call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from eeg2fmri import signals
from eeg2fmri.config import LinearConfig
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.models.fitted import FittedModel, KerasNetwork
from eeg2fmri.store import Windows
from tests.fakes import CONTEXT, EEG_SHAPE, GRID, deep_config, recording


@dataclass
class Echo:
    """A network that gives each window's first magnitude in every voxel, and notes its batches."""

    batches: list[int] = field(default_factory=list)

    def predict(self, eeg):
        self.batches.append(len(eeg))
        return np.broadcast_to(eeg[:, :1, :1, :1], (len(eeg), *GRID)).astype(np.float32)


@pytest.fixture(scope="module")
def windows():
    return Windows([recording("sub-01", 1), recording("sub-02", 2)], CONTEXT)


def fitted(config, windows, network):
    statistics = windows.eeg_statistics(), windows.bold_statistics()
    return FittedModel(config, network, *statistics, windows.mean_volume("recording"))


@pytest.mark.parametrize("eeg_scaling", ["channels", "training", "none"])
@pytest.mark.parametrize("bold_scaling", ["recording", "volume", "voxel", "psc"])
def test_scales_the_eeg_and_undoes_the_scaling_of_the_volumes(windows, eeg_scaling, bold_scaling):
    model = fitted(deep_config(eeg_scaling=eeg_scaling, bold_scaling=bold_scaling), windows, Echo())
    eeg = windows.eeg(np.arange(7))
    scaled = signals.eeg_scaling(eeg_scaling).standardise(eeg, model.eeg_statistics)
    expected = signals.bold_scaling(bold_scaling).restore(Echo().predict(scaled), model.bold_statistics)
    volumes = model.synthesise(eeg)
    assert volumes.dtype == np.float32
    np.testing.assert_allclose(volumes, expected, rtol=1e-6)


def test_linear_gets_magnitudes_as_they_are(windows):
    model = fitted(LinearConfig(), windows, Echo())
    assert model.config.eeg_scaling == "none"
    eeg = windows.eeg(np.arange(2))
    expected = signals.bold_scaling("recording").restore(Echo().predict(eeg), model.bold_statistics)
    np.testing.assert_array_equal(model.synthesise(eeg), expected)


def test_batches_cover_every_window_once(windows):
    model = fitted(deep_config(), windows, Echo())
    eeg = windows.eeg(np.arange(7))
    whole = model.synthesise(eeg, batch=7)
    model.network.batches.clear()
    np.testing.assert_array_equal(model.synthesise(eeg, batch=3), whole)
    assert model.network.batches == [3, 3, 1]


def test_standard_units_are_those_of_the_training_set(windows):
    model = fitted(deep_config(), windows, Echo())
    mean, sd = model.bold_statistics.mean, model.bold_statistics.sd
    volumes = np.stack([np.full(GRID, mean, np.float32), np.full(GRID, mean + 2 * sd, np.float32)])
    units = model.standard_units(volumes)
    np.testing.assert_allclose(units[0], 0, atol=1e-4)
    np.testing.assert_allclose(units[1], 2, atol=1e-4)


def test_keras_network_runs_in_inference_mode(rng):
    synthesiser = build(deep_config(), EEG_SHAPE, GRID).synthesiser()
    for layer in synthesiser._flatten_layers():
        if hasattr(layer, "moving_mean"):
            layer.moving_mean.assign(rng.standard_normal(layer.moving_mean.shape))
    eeg = rng.standard_normal((4, *EEG_SHAPE)).astype(np.float32)
    volumes = KerasNetwork(synthesiser).predict(eeg)
    assert isinstance(volumes, np.ndarray)
    np.testing.assert_allclose(volumes, np.asarray(synthesiser(eeg, training=False)), atol=1e-6)
    assert not np.allclose(volumes, np.asarray(synthesiser(eeg, training=True)), atol=1e-3)


def test_keras_network_follows_its_weights(rng):
    synthesiser = build(deep_config(), EEG_SHAPE, GRID).synthesiser()
    network = KerasNetwork(synthesiser)
    eeg = rng.standard_normal((4, *EEG_SHAPE)).astype(np.float32)
    before = network.predict(eeg)
    synthesiser.set_weights([2 * weights for weights in synthesiser.get_weights()])
    after = network.predict(eeg)
    assert not np.allclose(after, before, atol=1e-3)
    np.testing.assert_allclose(after, np.asarray(synthesiser(eeg, training=False)), rtol=1e-5, atol=1e-6)


def test_threads_may_share_a_keras_network(rng):
    synthesiser = build(deep_config(), EEG_SHAPE, GRID).synthesiser()
    network = KerasNetwork(synthesiser)
    batches = [rng.standard_normal((size, *EEG_SHAPE)).astype(np.float32) for size in (1, 2, 3, 4) * 4]
    with ThreadPoolExecutor(4) as threads:  # from the first call on, which makes the graph
        found = list(threads.map(network.predict, batches))
    for batch, volumes in zip(batches, found, strict=True):
        np.testing.assert_allclose(volumes, np.asarray(synthesiser(batch, training=False)), atol=1e-6)
    assert network._inference.experimental_get_tracing_count() == 1  # also of batches of other sizes
