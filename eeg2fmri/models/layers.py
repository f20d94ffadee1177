"""Layers of the published method (Calhas & Henriques 2022, arXiv 2203.03481).

Symbols: B batch, C channels, F frequencies, T context, X × Y × Z grid, D latent size (product).
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

PACKAGE = "eeg2fmri"


@keras.saving.register_keras_serializable(PACKAGE)
class TopographicalAttention(keras.layers.Layer):
    """Attention over channels: scores = sparsemax(X Aᵀ), output = scores · X.

    Input (B, C, F, T); output (B, C, F, T) and scores (B, C, C), whose rows sum to 1
    (sparsemax: Martins & Astudillo 2016). A, (C, F·T), is the only weight.
    """

    def build(self, input_shape: tuple[int, ...]) -> None:
        _, channels, frequencies, context = input_shape
        self.keys = self.add_weight(name="keys", shape=(channels, frequencies * context), initializer="glorot_uniform")

    def call(self, x: Any) -> tuple[Any, Any]:
        _, channels, frequencies, context = x.shape
        rows = ops.reshape(x, (-1, channels, frequencies * context))
        scores = sparsemax(ops.matmul(rows, ops.transpose(self.keys)))
        attended = ops.matmul(scores, rows)
        return ops.reshape(attended, (-1, channels, frequencies, context)), scores


@keras.saving.register_keras_serializable(PACKAGE)
class ResidualBlock(keras.layers.Layer):
    """A residual 3-D convolution block of the published encoders.

    Left: conv(kernel, stride) → max-pool → batch-norm → ReLU → conv 3³ → batch-norm → ReLU.
    Right: conv(kernel, stride) → max-pool → batch-norm. Output: ReLU(left + right), or the left
    alone without `skip`. Input (B, x, y, z, c), output (B, x', y', z', filters).

    Both branches start with the same kernel on the same input. So they are one convolution of
    2 · filters channels: weights and result are those of two, computed in one pass.
    """

    def __init__(
        self,
        filters: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int],
        pool: tuple[int, int, int] | None,
        pool_stride: tuple[int, int, int],
        batch_norm: bool = True,
        skip: bool = True,
        weight_decay: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = {
            "filters": filters,
            "kernel": kernel,
            "stride": stride,
            "pool": pool,
            "pool_stride": pool_stride,
            "batch_norm": batch_norm,
            "skip": skip,
            "weight_decay": weight_decay,
        }
        self.filters, self.skip = filters, skip
        decay = l2(weight_decay)
        self.entry = keras.layers.Conv3D(
            filters * (2 if skip else 1),
            tuple(kernel),
            strides=tuple(stride),
            kernel_regularizer=decay,
            bias_regularizer=decay,
            name="entry",
        )
        self.pool = keras.layers.MaxPooling3D(tuple(pool), strides=tuple(pool_stride)) if pool else None
        self.entry_norm = keras.layers.BatchNormalization(name="entry_norm") if batch_norm else None
        self.inner = keras.layers.Conv3D(
            filters, 3, padding="same", kernel_regularizer=decay, bias_regularizer=decay, name="inner"
        )
        self.inner_norm = keras.layers.BatchNormalization(name="inner_norm") if batch_norm else None

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.entry.build(input_shape)
        shape = self.entry.compute_output_shape(input_shape)
        if self.pool:
            shape = self.pool.compute_output_shape(shape)
        branch = (*shape[:-1], self.filters)
        self.inner.build(branch)
        if self.entry_norm and self.inner_norm:
            self.entry_norm.build(shape)
            self.inner_norm.build(branch)

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.entry(x)
        if self.pool:
            x = self.pool(x)
        if self.entry_norm:
            x = self.entry_norm(x, training=training)
        left = self.inner(ops.relu(x[..., : self.filters]))
        if self.inner_norm:
            left = self.inner_norm(left, training=training)
        left = ops.relu(left)
        return ops.relu(left + x[..., self.filters :]) if self.skip else left

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable(PACKAGE)
class RandomFourierFeatures(keras.layers.Layer):
    """cos(LayerNorm(z·W/s + b)) of a latent (B, D); output (B, D) (Rahimi & Recht 2007; published code).

    W ~ N(0, 1) and b ~ U(0, 2π) stay as drawn. The scale s is trained, starts at sqrt(D/2) and is kept
    non-negative. Offset and gain of the layer norm, D each, are trained and start at π/2.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        quarter_turn = keras.initializers.Constant(math.pi / 2)
        self.norm = keras.layers.LayerNormalization(
            epsilon=1e-3, beta_initializer=quarter_turn, gamma_initializer=quarter_turn, name="norm"
        )

    def build(self, input_shape: tuple[int, ...]) -> None:
        size = input_shape[-1]
        draw = keras.initializers
        self.directions = self.add_weight(
            name="directions", shape=(size, size), initializer=draw.RandomNormal(0.0, 1.0, self.seed), trainable=False
        )
        self.phases = self.add_weight(
            name="phases",
            shape=(size,),
            initializer=draw.RandomUniform(0.0, 2 * math.pi, self.seed + 1),
            trainable=False,
        )
        self.scale = self.add_weight(
            name="scale", shape=(), initializer=draw.Constant(math.sqrt(size / 2)), constraint="non_neg"
        )
        self.norm.build(input_shape)

    def call(self, z: Any) -> Any:
        return ops.cos(self.norm(ops.matmul(z, self.directions) / self.scale + self.phases))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class FixedFourierFeatures(keras.layers.Layer):
    """cos(π 2^(i/D) Σ_j z_j), i = 0 … D - 1, of a latent (B, D); output (B, D). No weights.

    The published code offers these features besides the random ones. Every latent entry is projected
    by the same D frequencies, log-spaced over one octave from 1/2 as in Tancik et al. (2020, arXiv
    2006.10739, positional encoding). So a feature depends only on the sum of the latent's entries.
    The published code takes the cosine a second time, which leaves 0.54 to 1 of its range; not done here.
    """

    def call(self, z: Any) -> Any:
        dtype, size = z.dtype, z.shape[-1]
        frequencies = ops.convert_to_tensor([math.pi * 2 ** (i / size) for i in range(size)], dtype="float32")
        phases = (
            ops.sum(ops.cast(z, "float32"), axis=-1, keepdims=True) * frequencies
        )  # of many turns: float16 lacks digits
        return ops.cast(ops.cos(phases), dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class LocallyConnected(keras.layers.Layer):
    """A weight and a bias of its own for every voxel: (B, ...) → (B, ...), starting as the identity.

    A convolution of one voxel without weight sharing, the published output filter `locally connected`.
    """

    def build(self, input_shape: tuple[int, ...]) -> None:
        shape = input_shape[1:]
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer="ones")
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")

    def call(self, volume: Any) -> Any:
        return volume * self.kernel + self.bias


@keras.saving.register_keras_serializable(PACKAGE)
class PrincipalVolumes(keras.layers.Layer):
    """Volumes from coefficients of K spatial components: mean + coefficients · basis.

    Input (B, K), output (B, X, Y, Z). `mean` (X·Y·Z,) and `basis` (K, X·Y·Z) are never trained: they start at zero, and
    the model around them assigns them.
    """

    def __init__(self, grid: tuple[int, int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.grid = tuple(grid)

    def build(self, input_shape: tuple[int, ...]) -> None:
        voxels = math.prod(self.grid)
        self.mean = self.add_weight(name="mean", shape=(voxels,), initializer="zeros", trainable=False)
        shape = (input_shape[-1], voxels)
        self.basis = self.add_weight(name="basis", shape=shape, initializer="zeros", trainable=False)

    def call(self, coefficients: Any) -> Any:
        flat = ops.matmul(coefficients, self.basis) + self.mean
        return ops.reshape(flat, (-1, *self.grid))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "grid": self.grid}


@keras.saving.register_keras_serializable(PACKAGE)
class LearnedStyle(keras.layers.Layer):
    """Element-wise product of the features (B, D) with a learned vector (D,), the style prior.

    It starts uniform in ±sqrt(3/D) (Glorot & Bengio 2010, with D entries in and out).
    """

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.prior = self.add_weight(name="prior", shape=(input_shape[-1],), initializer="glorot_uniform")

    def call(self, features: Any) -> Any:
        return features * self.prior


@keras.saving.register_keras_serializable(PACKAGE)
class Mixture(keras.layers.Layer):
    """Weighted sum of k inputs (B, D); output (B, D).

    The weights are the softmax of k trained numbers (Liu et al. 2019, DARTS, arXiv 1806.09055). They start equal.
    """

    def build(self, input_shape: list[tuple[int, ...]]) -> None:
        self.amounts = self.add_weight(name="amounts", shape=(len(input_shape),), initializer="zeros")

    def call(self, inputs: list[Any]) -> Any:
        return ops.einsum("k,kbd->bd", self.shares(), ops.stack(inputs))

    def shares(self) -> Any:
        """Return the weights, (k,), sum 1."""
        return ops.softmax(self.amounts)


def sparsemax(z: Any) -> Any:
    """Return the nearest point of the probability simplex, over the last axis (Martins & Astudillo 2016, algorithm 1).

    `keras.ops.sparsemax` is not used: up to Keras 3.15.1 its output does not sum to 1 if two entries are
    positive (keras issue 23425).
    """
    dtype, z = z.dtype, ops.cast(z, "float32")  # sums over channels need it under mixed precision
    z = z - ops.max(z, axis=-1, keepdims=True)
    descending = ops.flip(ops.sort(z, axis=-1), axis=-1)
    rank = ops.arange(1, z.shape[-1] + 1, dtype=z.dtype)
    support = ops.cast(1 + rank * descending > ops.cumsum(descending, axis=-1), z.dtype)
    size = ops.sum(support, axis=-1, keepdims=True)
    threshold = (ops.sum(support * descending, axis=-1, keepdims=True) - 1) / size
    return ops.cast(ops.relu(z - threshold), dtype)


def l2(weight_decay: float) -> keras.regularizers.Regularizer | None:
    """Return an L2 penalty of the weights, or none."""
    return keras.regularizers.L2(weight_decay) if weight_decay else None
