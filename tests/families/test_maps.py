"""The published family has maps with either decoder, and other maps change what they should and nothing else."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from eeg2fmri.errors import ModelError
from eeg2fmri.families import Penalty, adapt_model, family_of, maps_of
from eeg2fmri.families.calhas2022_maps import MOST
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.models.fitted import FittedModel, KerasNetwork
from eeg2fmri.store import Windows
from eeg2fmri.training.settings import fitted_model
from tests.fakes import CONTEXT, EEG_SHAPE, GRID, deep_config, recording

FILTERS = ("none", "conv", "local")
RISE = np.linspace(-0.5, 1.5, GRID[0])[:, None, None]  # of a subject's weight along x


def dense_network(rng, config) -> KerasNetwork:
    """A dense decoder whose output filter and biases have values, one weight of the filter 0."""
    keras.utils.set_random_seed(0)
    model = build(config, EEG_SHAPE, GRID).synthesiser()
    for layer in model.get_layer("decoder").layers:
        if layer.name in ("volume", "output"):
            weights, bias = layer.get_weights()
            weights = weights + 0.1 * rng.standard_normal(weights.shape)
            if weights.size > 1:
                weights.ravel()[3] = 0
            layer.set_weights([weights, bias + rng.standard_normal(bias.shape)])
    return KerasNetwork(model)


def test_the_basis_of_the_pca_decoder(rng):
    basis = rng.standard_normal((4, np.prod(GRID))).astype(np.float32)
    config = deep_config(decoder="pca", components=4)
    parts = build(config, EEG_SHAPE, GRID, basis=basis)
    kernel, bias = parts.coefficients.get_layer("coefficients").get_weights()
    parts.coefficients.get_layer("coefficients").set_weights([rng.standard_normal(kernel.shape), bias + 1])
    network, family = KerasNetwork(parts.synthesiser()), family_of(config)
    np.testing.assert_array_equal(family.maps(network), basis)
    eeg = rng.random((2, *EEG_SHAPE)).astype(np.float32)
    before = network.predict(eeg)
    other = family.with_maps(network, 3 * basis, before.mean(axis=0).ravel()).predict(eeg)
    np.testing.assert_allclose(other, 3 * before, rtol=1e-4, atol=1e-4)  # its mean volume is 0
    np.testing.assert_array_equal(network.predict(eeg), before)


@pytest.mark.parametrize("output_filter", FILTERS)
def test_the_maps_of_the_dense_decoder(rng, output_filter):
    """They are orthogonal, make up the volumes, and are put back without loss."""
    config = deep_config(output_filter=output_filter)
    network, family = dense_network(rng, config), family_of(config)
    maps = family.maps(network)
    gram = maps @ maps.T
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-5 * gram.max())
    eeg = rng.random((3, *EEG_SHAPE)).astype(np.float32)
    before = network.predict(eeg).reshape(3, -1)
    mean = before.mean(axis=0)
    same, other = (family.with_maps(network, size * maps, mean).predict(eeg).reshape(3, -1) for size in (1, 3))
    np.testing.assert_allclose(same, before, atol=1e-5)
    np.testing.assert_allclose(other, mean + 3 * (before - mean), atol=1e-4)
    np.testing.assert_array_equal(network.predict(eeg).reshape(3, -1), before)


def test_a_large_kernel_gives_its_largest_directions_and_keeps_the_rest(rng):
    config = deep_config(latent=(3, 5, 6))  # 90 rows
    network, family = dense_network(rng, config), family_of(config)
    maps, decoder = family.maps(network), network.model.get_layer("decoder")
    kernel, gain = (decoder.get_layer(name).get_weights()[0] for name in ("volume", "output"))
    values = np.linalg.svd(kernel * gain.item(), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(maps, axis=1), values[:MOST], rtol=1e-3)
    eeg = rng.random((3, *EEG_SHAPE)).astype(np.float32)
    before = network.predict(eeg).reshape(3, -1)
    mean, basis = before.mean(axis=0), maps / values[:MOST, None]
    without = family.with_maps(network, 0 * maps, mean).predict(eeg).reshape(3, -1)
    rest = (before - mean) - (before - mean) @ basis.T @ basis
    assert np.abs(rest).max() > 0.01
    np.testing.assert_allclose(without - mean, rest, atol=1e-4)


def planted(rng, output_filter: str) -> tuple[FittedModel, Windows]:
    """A dense model, and a subject whose fluctuations are 1 + `RISE` times as large in the brain."""
    base = recording("sub-01", 1, windows=60)
    config = deep_config(output_filter=output_filter)
    model = fitted_model(config, dense_network(rng, config), Windows([base], CONTEXT))
    windows = Windows([base], CONTEXT)
    synthesised = model.synthesise(windows.eeg(np.arange(len(windows))))
    volumes = base.volumes[:].copy()
    volumes[CONTEXT:] = synthesised + (synthesised - synthesised.mean(axis=0)) * RISE * base.mask
    subject = replace(base, group={**base.group, "volumes": volumes})
    return model, Windows([subject], CONTEXT)


@pytest.mark.parametrize("output_filter", FILTERS)
def test_a_planted_weight_of_a_dense_model_is_found(rng, output_filter):
    model, own = planted(rng, output_filter)
    adapted = adapt_model(model, own, Penalty(1e-3, 0.0, 3), 1e6)
    scaled = model.scaled(own.eeg(np.arange(len(own))))
    before, after = (each.network.predict(scaled).reshape(len(own), -1) for each in (model, adapted.model))
    mask = model.bold_statistics.mask
    np.testing.assert_allclose(adapted.weight, RISE * mask, atol=1e-3)
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=1e-4)
    maps = family_of(model.config).maps(model.network)
    basis = maps / np.linalg.norm(maps, axis=1, keepdims=True)
    moved = before - before.mean(axis=0)
    expected = moved + (moved * (RISE * mask).ravel()) @ basis.T @ basis
    np.testing.assert_allclose(after - after.mean(axis=0), expected, atol=1e-3)


def test_a_dense_decoder_of_zeros_is_refused(rng, refuses):
    model, _ = planted(rng, "conv")
    assert isinstance(model.network, KerasNetwork)
    layer = model.network.model.get_layer("decoder").get_layer("volume")
    layer.set_weights([np.zeros_like(each) for each in layer.get_weights()])
    with refuses(ModelError, "all its maps are 0, so there is nothing to adapt; give a trained model"):
        maps_of(model)
