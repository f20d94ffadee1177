"""The published family has maps with ``decoder: pca``, and none with its dense decoder."""

import numpy as np

from eeg2fmri.families import family_of
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.models.fitted import KerasNetwork
from tests.fakes import EEG_SHAPE, GRID, deep_config


def test_the_decoder_decides(rng):
    basis = rng.standard_normal((4, np.prod(GRID))).astype(np.float32)
    config = deep_config(decoder="pca", components=4)
    parts = build(config, EEG_SHAPE, GRID, basis=basis)
    kernel, bias = parts.coefficients.get_layer("coefficients").get_weights()
    parts.coefficients.get_layer("coefficients").set_weights([rng.standard_normal(kernel.shape), bias + 1])
    network, family = KerasNetwork(parts.synthesiser()), family_of(config)
    np.testing.assert_array_equal(family.maps(network), basis)
    eeg = rng.random((2, *EEG_SHAPE)).astype(np.float32)
    before, other = network.predict(eeg), family.with_maps(network, 3 * basis).predict(eeg)
    np.testing.assert_allclose(other, 3 * before, rtol=1e-4, atol=1e-4)  # its mean volume is 0
    np.testing.assert_array_equal(network.predict(eeg), before)
    dense = KerasNetwork(build(deep_config(), EEG_SHAPE, GRID).synthesiser())
    assert family.maps(dense) is None
