"""What Keras families tell of themselves: shares of the fluctuations by gradient × input, and attention."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from eeg2fmri.config import FactorisedConfig, LinearConfig
from eeg2fmri.families import family_of
from eeg2fmri.models import calhas2022
from eeg2fmri.models.fitted import FittedModel, KerasNetwork
from eeg2fmri.store import Windows
from tests.fakes import CHANNELS, CONTEXT, EEG_SHAPE, GRID, deep_config, recording


@pytest.fixture(scope="module")
def windows():
    return Windows([recording("sub-01", 1)], CONTEXT)


def fitted(config, network, windows):
    statistics = windows.eeg_statistics(), windows.bold_statistics()
    return FittedModel(config, KerasNetwork(network), *statistics, np.zeros(GRID, np.float32))


def test_shares_of_a_linear_network_are_what_its_inputs_add_up_to(windows, rng):
    """Volumes follow Oz at 8 Hz twice as strongly as Cz at 20 Hz, each at one lag."""
    weights = np.zeros((*EEG_SHAPE, *GRID), np.float32)
    pattern = rng.standard_normal(GRID)
    weights[2, 3, 1], weights[1, 9, 2] = 2 * pattern, pattern
    layers = [keras.layers.Flatten(), keras.layers.Dense(math.prod(GRID)), keras.layers.Reshape(GRID)]
    network = keras.Sequential([keras.Input(EEG_SHAPE), *layers])
    network.layers[1].set_weights([weights.reshape(-1, math.prod(GRID)), np.ones(math.prod(GRID))])
    config = FactorisedConfig()
    eeg = windows.eeg(np.arange(len(windows)))
    strong, weak = 2 * eeg[:, 2, 3, 1], eeg[:, 1, 9, 2]
    covariance = np.cov(strong, weak)
    wanted = np.zeros(EEG_SHAPE[:2])
    wanted[2, 3], wanted[1, 9] = covariance.sum(axis=0) / covariance.sum()
    shares = family_of(config).shares(fitted(config, network, windows), eeg)
    np.testing.assert_allclose(shares, wanted, atol=1e-5)


def test_a_network_that_never_changes_has_no_shares(windows):
    network = keras.Sequential(
        [keras.Input(EEG_SHAPE), keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer="zeros")]
    )
    config = FactorisedConfig()
    assert family_of(config).shares(fitted(config, network, windows), windows.eeg(np.arange(4))) is None


def test_attention_is_that_of_the_layer_after_loading_too(windows, tmp_path):
    config = deep_config(variant="tafp")
    network = calhas2022.build(config, EEG_SHAPE, GRID).synthesiser()
    model, eeg = fitted(config, network, windows), windows.eeg(np.arange(4))
    found = family_of(config).attention(model, eeg)
    channels = len(CHANNELS)
    assert found.shape == (4, channels, channels)
    np.testing.assert_allclose(found.sum(axis=2), 1, rtol=1e-5)
    assert found.std() > 0.01
    family_of(config).save(tmp_path, model.network)
    again = fitted(config, family_of(config).load(tmp_path).model, windows)
    np.testing.assert_array_equal(family_of(config).attention(again, eeg), found)
    network.get_layer("eeg_encoder").get_layer("attention").keys.assign(np.zeros((channels, 13 * CONTEXT)))
    np.testing.assert_allclose(family_of(config).attention(model, eeg), 1 / channels, rtol=1e-5)


def test_others_have_no_attention(windows):
    config = deep_config(variant="fp")
    network = calhas2022.build(config, EEG_SHAPE, GRID).synthesiser()
    assert family_of(config).attention(fitted(config, network, windows), windows.eeg(np.arange(4))) is None
    linear = LinearConfig()
    model = fitted(linear, network, windows)
    assert family_of(linear).attention(model, windows.eeg(np.arange(4))) is None
    assert family_of(linear).shares(model, windows.eeg(np.arange(4))) is None
