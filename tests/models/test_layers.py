"""Layers of the published method against their formulas, and blocks against the two published branches."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import layers

from eeg2fmri.models.layers import (
    FixedFourierFeatures,
    LearnedStyle,
    LocallyConnected,
    PrincipalVolumes,
    RandomFourierFeatures,
    ResidualBlock,
    TopographicalAttention,
    l2,
    sparsemax,
)
from eeg2fmri.training.backend import FusedAdam

B, C, F, T = 2, 5, 7, 3


def project(row):
    """The point of the probability simplex nearest to `row`: max(row - τ, 0) with the τ that makes it sum to 1."""
    low, high = row.min() - 1, row.max()
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(row - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(row - low, 0)


def randomise(layer, rng):
    """Draw every weight anew; variances stay positive."""
    drawn = [rng.normal(0, 0.5, w.shape) for w in layer.weights]
    pairs = zip(layer.weights, drawn, strict=True)
    layer.set_weights([np.abs(d) + 0.2 if "variance" in w.path else d for w, d in pairs])


class TestSparsemax:
    def test_worked_examples(self):
        z = np.asarray([[0.0, 0.5, 1.0], [0.3, 0.3, 0.3], [0.0, 9.0, 2.0], [-1e6, 1e6, 1e6]], np.float32)
        expected = [[0, 0.25, 0.75], [1 / 3, 1 / 3, 1 / 3], [0, 1, 0], [0, 0.5, 0.5]]
        np.testing.assert_allclose(np.asarray(sparsemax(z)), expected, atol=1e-6)

    @pytest.mark.parametrize("scale", [0.01, 0.3, 3, 100])
    def test_is_the_projection_onto_the_simplex(self, rng, scale):
        z = (scale * rng.standard_normal((4, 3, 8))).astype(np.float32)
        expected = np.apply_along_axis(project, -1, z.astype(np.float64))
        np.testing.assert_allclose(np.asarray(sparsemax(z)), expected, atol=2e-5)

    def test_gradient_flows_within_the_support_only(self):
        import tensorflow as tf

        z = tf.Variable([[0.0, 0.6, 1.0, -3.0]])
        with tf.GradientTape() as tape:
            second = sparsemax(z)[0, 1]
        np.testing.assert_allclose(tape.gradient(second, z), [[0, 0.5, -0.5, 0]], atol=1e-6)


class TestTopographicalAttention:
    @pytest.fixture
    def attended(self, rng):
        layer = TopographicalAttention()
        eeg = rng.standard_normal((B, C, F, T)).astype(np.float32)
        output, scores = layer(eeg)
        return eeg, layer.get_weights(), np.asarray(output), np.asarray(scores)

    def test_scores_are_the_projection_of_the_products(self, attended):
        eeg, (keys,), _, scores = attended
        products = eeg.reshape(B, C, F * T) @ keys.T
        expected = np.apply_along_axis(project, -1, products.astype(np.float64))
        np.testing.assert_allclose(scores, expected, atol=1e-5)

    def test_rows_are_distributions_and_sparse(self, attended):
        scores = attended[3]
        assert scores.shape == (B, C, C)
        np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=1e-5)
        assert scores.min() == 0

    def test_output_mixes_channels_by_the_scores(self, attended):
        eeg, _, output, scores = attended
        expected = np.einsum("bij,bjft->bift", scores, eeg)
        np.testing.assert_allclose(output, expected, atol=1e-5)

    def test_only_weight(self, attended):
        assert [w.shape for w in attended[1]] == [(C, F * T)]


class TestResidualBlock:
    FILTERS, KERNEL, STRIDE, POOL, POOL_STRIDE = 3, (2, 3, 2), (1, 2, 1), (2, 1, 2), (1, 2, 1)
    SHAPE = (2, 7, 9, 6, 2)

    def block(self, pool, batch_norm, skip):
        pool = self.POOL if pool else None
        return ResidualBlock(self.FILTERS, self.KERNEL, self.STRIDE, pool, self.POOL_STRIDE, batch_norm, skip)

    def published(self, block, x, pool, batch_norm, skip, training):
        """The two branches of the publication, each of its own layers, with the weights of `block`."""
        kernel, bias = block.entry.get_weights()
        side = {"left": slice(0, self.FILTERS), "right": slice(self.FILTERS, None)}

        def branch(name):
            conv = layers.Conv3D(self.FILTERS, self.KERNEL, strides=self.STRIDE, padding="valid")
            conv.build(x.shape)
            conv.set_weights([kernel[..., side[name]], bias[side[name]]])
            y = conv(x)
            if pool:
                y = layers.MaxPooling3D(self.POOL, strides=self.POOL_STRIDE)(y)
            if batch_norm:
                norm = layers.BatchNormalization()
                norm.build(y.shape)
                norm.set_weights([w[side[name]] for w in block.entry_norm.get_weights()])
                y = norm(y, training=training)
            return y

        y = layers.ReLU()(branch("left"))
        inner = layers.Conv3D(self.FILTERS, (3, 3, 3), padding="same")
        inner.build(y.shape)
        inner.set_weights(block.inner.get_weights())
        y = inner(y)
        if batch_norm:
            norm = layers.BatchNormalization()
            norm.build(y.shape)
            norm.set_weights(block.inner_norm.get_weights())
            y = norm(y, training=training)
        y = layers.ReLU()(y)
        return np.asarray(layers.ReLU()(layers.Add()([y, branch("right")])) if skip else y)

    @pytest.mark.parametrize(
        ("pool", "batch_norm", "skip", "training"),
        [
            (True, True, True, False),
            (True, True, True, True),
            (False, True, True, False),
            (True, False, True, False),
            (True, True, False, False),
        ],
    )
    def test_equals_the_published_two_branches(self, rng, pool, batch_norm, skip, training):
        block = self.block(pool, batch_norm, skip)
        x = rng.standard_normal(self.SHAPE).astype(np.float32)
        block.build(x.shape)
        randomise(block, rng)
        expected = self.published(block, x, pool, batch_norm, skip, training)
        output = np.asarray(block(x, training=training))
        assert output.any()
        np.testing.assert_allclose(output, expected, atol=2e-5)

    def test_without_skip_there_is_no_right_branch(self):
        one, two = (self.block(pool=True, batch_norm=True, skip=skip) for skip in (False, True))
        for block in (one, two):
            block.build(self.SHAPE)
        entry = math.prod(self.KERNEL) * self.SHAPE[-1] * self.FILTERS + self.FILTERS
        assert two.count_params() - one.count_params() == entry + 4 * self.FILTERS

    def test_survives_its_config(self, rng):
        block = self.block(pool=True, batch_norm=True, skip=True)
        x = rng.standard_normal(self.SHAPE).astype(np.float32)
        expected = np.asarray(block(x))
        again = ResidualBlock.from_config(block.get_config())
        again.build(x.shape)
        again.set_weights(block.get_weights())
        np.testing.assert_array_equal(np.asarray(again(x)), expected)


class TestRandomFourierFeatures:
    D = 6

    def built(self, seed=3):
        layer = RandomFourierFeatures(seed)
        layer.build((None, self.D))
        return layer

    def test_formula(self, rng):
        layer = self.built()
        layer.scale.assign(0.7)
        offset, gain = rng.uniform(0.5, 2, (2, self.D))
        layer.norm.beta.assign(offset)
        layer.norm.gamma.assign(gain)
        z = 0.05 * rng.standard_normal((B, self.D)).astype(np.float32)
        layer.phases.assign(0.01 * np.asarray(layer.phases))  # of little variance: the epsilon is seen
        w, b = np.asarray(layer.directions, np.float64), np.asarray(layer.phases, np.float64)
        projected = z @ w / 0.7 + b
        assert (projected.var(axis=1) < 0.1).all()
        deviation = np.sqrt(projected.var(axis=1, keepdims=True) + 1e-3)
        normalised = (projected - projected.mean(axis=1, keepdims=True)) / deviation
        np.testing.assert_allclose(np.asarray(layer(z)), np.cos(normalised * gain + offset), atol=2e-5)

    def test_the_scale_and_the_layer_norm_are_trained_from_their_published_start(self):
        layer = self.built()
        start = {w.name: np.asarray(w) for w in layer.trainable_weights}
        assert start.keys() == {"scale", "beta", "gamma"}
        assert start["scale"] == pytest.approx(math.sqrt(self.D / 2))
        for name in ("beta", "gamma"):
            np.testing.assert_allclose(start[name], np.full(self.D, math.pi / 2), rtol=1e-6)

    @pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam, FusedAdam])
    def test_no_step_makes_the_scale_negative(self, optimizer):
        layer = self.built()
        optimizer(learning_rate=9.0).apply([keras.ops.convert_to_tensor(1.0)], [layer.scale])
        assert float(layer.scale) == 0

    def test_directions_are_normal_and_phases_uniform_over_the_circle(self):
        layer = RandomFourierFeatures(1)
        layer.build((None, 200))
        w, b = np.asarray(layer.directions), np.asarray(layer.phases)
        assert abs(w.mean()) < 0.02
        assert w.std() == pytest.approx(1, abs=0.02)
        assert 0 <= b.min() < 0.3
        assert 2 * math.pi - 0.3 < b.max() <= 2 * math.pi

    def test_seed_decides_the_draw_and_survives_the_config(self):
        first = self.built(3)
        again = RandomFourierFeatures.from_config(first.get_config())
        again.build((None, self.D))
        other = self.built(4)
        np.testing.assert_array_equal(np.asarray(first.directions), np.asarray(again.directions))
        np.testing.assert_array_equal(np.asarray(first.phases), np.asarray(again.phases))
        assert not np.array_equal(np.asarray(first.directions), np.asarray(other.directions))


class TestLearnedStyle:
    def test_multiplies_by_one_trained_vector(self, rng):
        layer = LearnedStyle()
        features = rng.standard_normal((B, 4)).astype(np.float32)
        layer.build(features.shape)
        layer.prior.assign([1, -2, 0, 3])
        np.testing.assert_allclose(np.asarray(layer(features)), features * [1, -2, 0, 3], rtol=1e-6)
        assert len(layer.trainable_weights) == 1

    def test_starts_as_glorot_and_bengio_draw_it(self):
        keras.utils.set_random_seed(1)
        layer = LearnedStyle()
        layer.build((None, 1200))
        prior = np.asarray(layer.prior)
        assert np.abs(prior).max() <= math.sqrt(3 / 1200)  # uniform between these ends
        assert prior.std() == pytest.approx(math.sqrt(1 / 1200), rel=0.05)


def test_penalty_is_the_sum_of_squares():
    assert float(l2(0.1)(np.asarray([1.0, -2.0], np.float32))) == pytest.approx(0.5)
    assert l2(0.0) is None


class TestFixedFourierFeatures:
    D = 5

    def test_formula(self, rng):
        z = rng.standard_normal((B, self.D)).astype(np.float32)
        total = z.astype(np.float64).sum(axis=1, keepdims=True)
        expected = np.cos(np.pi * total * 2 ** (np.arange(self.D) / self.D))
        np.testing.assert_allclose(np.asarray(FixedFourierFeatures()(z)), expected, atol=2e-5)

    def test_nothing_is_drawn_or_trained(self):
        layer = FixedFourierFeatures()
        layer(np.zeros((1, self.D), np.float32))
        assert layer.weights == []


class TestLocallyConnected:
    def test_every_voxel_has_its_weight_and_bias(self, rng):
        x = rng.standard_normal((B, 4, 3, 2)).astype(np.float32)
        layer = LocallyConnected()
        np.testing.assert_array_equal(np.asarray(layer(x)), x)
        kernel, bias = rng.standard_normal((2, 4, 3, 2)).astype(np.float32)
        layer.set_weights([kernel, bias])
        np.testing.assert_allclose(np.asarray(layer(x)), x * kernel + bias, atol=1e-6)


class TestPrincipalVolumes:
    GRID, K = (3, 4, 2), 5

    def test_mean_plus_combination(self, rng):
        layer = PrincipalVolumes(self.GRID)
        layer.build((None, self.K))
        mean, basis = rng.standard_normal(24).astype(np.float32), rng.standard_normal((self.K, 24)).astype(np.float32)
        layer.mean.assign(mean)
        layer.basis.assign(basis)
        amounts = rng.standard_normal((B, self.K)).astype(np.float32)
        expected = (amounts @ basis + mean).reshape(B, *self.GRID)
        np.testing.assert_allclose(np.asarray(layer(amounts)), expected, atol=1e-5)

    def test_nothing_of_it_is_trained(self):
        layer = PrincipalVolumes(self.GRID)
        layer.build((None, self.K))
        assert layer.trainable_weights == []


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (TopographicalAttention(), (C, F, T)),
        (ResidualBlock(3, (2, 2, 2), (1, 1, 1), (2, 1, 1), (1, 1, 1), weight_decay=0.1), (4, 5, 3, 2)),
        (RandomFourierFeatures(seed=3), (6,)),
        (FixedFourierFeatures(), (6,)),
        (LocallyConnected(), (4, 3, 2)),
        (PrincipalVolumes((3, 4, 2)), (5,)),
        (LearnedStyle(), (6,)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Layer) else "",
)
def test_saved_and_loaded_without_custom_objects(layer, shape, rng, tmp_path):
    x = keras.Input(shape)
    model = keras.Model(x, layer(x))
    randomise(layer, rng)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    example = rng.standard_normal((B, *shape)).astype(np.float32)
    for before, after in zip(keras.tree.flatten(model(example)), keras.tree.flatten(again(example)), strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    assert len(again.trainable_weights) == len(model.trainable_weights)
    assert len(again.losses) == len(model.losses)
