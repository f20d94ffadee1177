"""The published loss against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eeg2fmri.models.calhas2022 import build
from eeg2fmri.training.fluctuations import Components
from eeg2fmri.training.losses import (
    component_squared_error,
    cosine_distance,
    mean_absolute_error,
)
from eeg2fmri.training.pairs import pair_model
from tests.fakes import EEG_SHAPE, GRID, deep_config


def array(values):
    return np.asarray(values, np.float32)


def test_mean_absolute_error_over_batch_and_voxels():
    target, volume = array([[1, 2], [3, 4]]), array([[1.5, 2], [2, 0]])
    assert float(mean_absolute_error(target, volume)) == pytest.approx((0.5 + 0 + 1 + 4) / 4)


@pytest.mark.parametrize(
    ("z_x", "z_y", "distance"),
    [
        ([[3, 4]], [[6, 8]], 0.0),
        ([[3, 4]], [[-3, -4]], 2.0),
        ([[1, 0]], [[0, 5]], 1.0),
        ([[3, 4]], [[4, 3]], 1 - 24 / 25),
        ([[1, 0], [3, 4]], [[0, 1], [3, 4]], 0.5),
    ],
)
def test_cosine_distance_by_hand(z_x, z_y, distance):
    assert float(cosine_distance(array(z_x), array(z_y))) == pytest.approx(distance, abs=1e-6)


def test_each_sample_has_its_own_cosine():
    z_x, z_y = array([[1, 0], [0, 10]]), array([[1, 0], [10, 0]])
    over_the_batch = 1 - float((z_x * z_y).sum() / np.linalg.norm(z_x) / np.linalg.norm(z_y))
    assert over_the_batch == pytest.approx(1 - 1 / 101)
    assert float(cosine_distance(z_x, z_y)) == pytest.approx(0.5, abs=1e-6)


def test_cosine_distance_of_a_zero_latent_is_finite_and_has_a_gradient():
    import tensorflow as tf

    z_x, z_y = tf.Variable([[0.0, 0.0], [1.0, 2.0]]), tf.constant([[1.0, 0.0], [2.0, 1.0]])
    with tf.GradientTape() as tape:
        distance = cosine_distance(z_x, z_y)
    assert float(distance) == pytest.approx((1 + 1 - 4 / 5) / 2, abs=1e-6)
    assert np.isfinite(tape.gradient(distance, z_x).numpy()).all()


def test_loss_of_a_step_is_error_plus_distance_plus_penalty(rng):
    model = pair_model(build(deep_config(weight_decay=0.02, dropout=0.0), EEG_SHAPE, GRID))
    model.compile(optimizer="sgd", jit_compile=False)
    batch = {
        "eeg": rng.standard_normal((3, *EEG_SHAPE)).astype(np.float32),
        "fmri": rng.standard_normal((3, *GRID)).astype(np.float32),
    }
    out = {key: np.asarray(value) for key, value in model(batch, training=False).items()}
    mae = np.abs(batch["fmri"] - out["volume"]).mean()
    lengths = np.linalg.norm(out["z_x"], axis=1) * np.linalg.norm(out["z_y"], axis=1)
    cosine = np.mean(1 - (out["z_x"] * out["z_y"]).sum(axis=1) / lengths)
    decayed = [w for w in model.trainable_weights if "block_" in w.path and w.name in ("kernel", "bias")]
    penalty = 0.02 * sum(np.square(w.numpy()).sum() for w in decayed)
    scores = model.test_on_batch(batch, return_dict=True)
    assert scores["mae"] == pytest.approx(mae, rel=1e-4)
    assert scores["cosine"] == pytest.approx(cosine, rel=1e-4)
    assert scores["loss"] == pytest.approx(mae + cosine + penalty, rel=1e-4)


class TestComponents:
    """The squared error from K coefficients is that of the volumes they make."""

    K, V = 5, 60

    @pytest.fixture
    def components(self, rng):
        basis = np.linalg.qr(rng.standard_normal((self.V, self.K)))[0].T.astype(np.float32)
        sd = np.linspace(3, 1, self.K, dtype=np.float32)
        return Components(np.zeros(self.V, np.float32), basis, sd, 1.0)

    def test_equals_the_error_over_voxels(self, rng, components):
        fluctuations = rng.standard_normal((4, self.V)).astype(np.float32)
        predicted = rng.standard_normal((4, self.K)).astype(np.float32)
        coefficients, outside = components.project(fluctuations)
        short = component_squared_error(coefficients, predicted, components.sd, outside, self.V)
        assert float(short) == pytest.approx(
            float(np.square(fluctuations - predicted @ components.scaled).mean()), abs=1e-5
        )

    def test_a_fluctuation_in_the_span_has_nothing_outside(self, rng, components):
        coefficients, outside = components.project(
            rng.standard_normal((3, self.K)).astype(np.float32) @ components.basis
        )
        np.testing.assert_allclose(outside, 0, atol=1e-5)
        assert float(component_squared_error(coefficients, coefficients, components.sd, outside, self.V)) < 1e-6


def step_model(config, components=None):
    basis = components.scaled if components else None
    return pair_model(build(config, EEG_SHAPE, GRID, basis=basis), components)


def test_loss_by_components_equals_the_loss_over_voxels(rng):
    voxels = int(np.prod(GRID))
    basis = np.linalg.qr(rng.standard_normal((voxels, 4)))[0].T.astype(np.float32)
    mean = rng.standard_normal(voxels).astype(np.float32)
    components = Components(mean, basis, array([4, 3, 2, 1]), 2.5)
    eeg = rng.standard_normal((3, *EEG_SHAPE)).astype(np.float32)
    fluctuations = rng.standard_normal((3, voxels)).astype(np.float32)
    coefficients, outside = components.project(fluctuations)
    weights = rng.standard_normal((24, 4)).astype(np.float32)
    config = deep_config(decoder="pca", components=4, variant="lp")
    parts = build(config, EEG_SHAPE, GRID, mean_volume=mean.reshape(GRID), basis=components.scaled)
    parts.decoder.get_layer("coefficients").kernel.assign(weights)
    model = pair_model(parts, components)
    model.compile(optimizer="sgd", jit_compile=False)
    targets = {"coefficients": coefficients, "outside": outside}
    loss = model.test_on_batch({"eeg": eeg}, targets, return_dict=True)["loss"]
    volumes = np.asarray(parts.synthesiser()(eeg)).reshape(3, voxels)
    expected = np.square(fluctuations + mean - volumes).mean() / components.variance
    assert loss == pytest.approx(float(expected), rel=1e-5)
    assert loss > 0.1
