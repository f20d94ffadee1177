"""The published family: two encoders that meet in a latent, and a decoder from the EEG's side.

Calhas & Henriques (2022), arXiv 2203.03481. Symbols as in `layers`: the EEG window is
(C, F, T), the volume (X, Y, Z), the latent D = product of `latent`.

    eeg  (B, C, F, T) ── attention? ── residual blocks ── dense ──> z_x (B, D) ──> decoder ──> volume (B, X, Y, Z)
    fmri (B, X, Y, Z) ── residual blocks ── dense, dropout ──> z_y (B, D)     in training only
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from eeg2fmri.config import BlockSpec, Calhas2022Config
from eeg2fmri.models.layers import LearnedStyle, RandomFourierFeatures, ResidualBlock, TopographicalAttention, l2
from eeg2fmri.models.spec import block_shapes

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Calhas2022:
    """The parts of one model; they share no weights.

    eeg_encoder: eeg → [z_x, scores] (scores only with attention).
    fmri_encoder: volume → z_y.  decoder: [z_x, scores] → volume.
    """

    eeg_encoder: keras.Model
    fmri_encoder: keras.Model
    decoder: keras.Model

    def synthesiser(self) -> keras.Model:
        """What is saved and served: (B, C, F, T) → (B, X, Y, Z), without any fMRI input."""
        eeg = keras.Input(self.eeg_encoder.input_shape[1:], name="eeg")
        return keras.Model(eeg, self.decoder(self.eeg_encoder(eeg)), name="synthesiser")


def build(
    config: Calhas2022Config, eeg_shape: Shape, grid: Shape, *, seed: int = 0, mean_volume: np.ndarray | None = None
) -> Calhas2022:
    """Build a model of the published family.

    Parameters
    ----------
    config : variant, architecture and sizes.
    eeg_shape : (C, F, T).
    grid : (X, Y, Z).
    seed : of the fixed random Fourier features.
    mean_volume : (X, Y, Z), where the decoder's bias starts if ``config.start_at_mean``.

    Raises
    ------
    SpecError
        If an architecture does not fit its input.
    """
    # On PyTorch a model knows its weights by path: of two that share one, only one would have its gradient reset.
    with keras.name_scope("eeg_encoder"):
        eeg_encoder = _eeg_encoder(config, eeg_shape)
    with keras.name_scope("fmri_encoder"):
        fmri_encoder = _fmri_encoder(config, grid)
    return Calhas2022(
        eeg_encoder=eeg_encoder,
        fmri_encoder=fmri_encoder,
        decoder=_decoder(config, eeg_shape[0], grid, seed, mean_volume if config.start_at_mean else None),
    )


def _eeg_encoder(config: Calhas2022Config, shape: Shape) -> keras.Model:
    axes = ("channel", "frequency", "context")
    block_shapes(shape, config.eeg, max_pool=config.max_pool, name="eeg encoder", axes=axes)
    eeg = x = keras.Input(shape, name="eeg")
    scores = None
    if _attends(config):
        x, scores = TopographicalAttention(name="attention")(x)
    x = _blocks(config, config.eeg, layers.Reshape((*shape, 1))(x))
    z = layers.Dense(math.prod(config.latent), name="latent", **_decay(config))(layers.Flatten()(x))
    return keras.Model(eeg, [z] if scores is None else [z, scores], name="eeg_encoder")


def _fmri_encoder(config: Calhas2022Config, shape: Shape) -> keras.Model:
    block_shapes(shape, config.fmri, max_pool=config.max_pool, name="fmri encoder", axes=("x", "y", "z"))
    fmri = keras.Input(shape, name="fmri")
    x = _blocks(config, config.fmri, layers.Reshape((*shape, 1))(fmri))
    z = layers.Dense(math.prod(config.latent), name="latent", **_decay(config))(layers.Flatten()(x))
    if config.dropout:
        z = layers.Dropout(config.dropout, name="dropout")(z)
    return keras.Model(fmri, z, name="fmri_encoder")


def _decoder(config: Calhas2022Config, channels: int, grid: Shape, seed: int, mean: np.ndarray | None) -> keras.Model:
    size = math.prod(config.latent)
    z = features = keras.Input((size,), name="z")
    inputs = [z]
    if _attends(config):
        inputs.append(keras.Input((channels, channels), name="scores"))
    if "f" in config.variant.split("-")[0]:
        features = RandomFourierFeatures(seed, name="fourier")(features)
    if config.variant == "tafp-style":
        style = layers.Dense(size, name="style", **_decay(config))(layers.Flatten()(inputs[1]))
        features = layers.Multiply(name="styled")([features, style])
    elif config.variant == "tafp-style-prior":
        features = LearnedStyle(name="styled")(features)
    volume = layers.Dense(math.prod(grid), name="volume", **_decay(config))(features)
    volume = layers.Reshape((*grid, 1))(volume)
    if config.output_conv:
        # Starting as the identity keeps the bias of the layer before it at the mean volume.
        kernel = "glorot_uniform" if mean is None else "ones"
        volume = layers.Conv3D(1, 1, kernel_initializer=kernel, name="output", **_decay(config))(volume)
    decoder = keras.Model(inputs, layers.Reshape(grid)(volume), name="decoder")
    if mean is not None:
        decoder.get_layer("volume").bias.assign(mean.reshape(-1))
    return decoder


def _blocks(config: Calhas2022Config, spec: BlockSpec, x: Any) -> Any:
    for number, (kernel, stride) in enumerate(zip(spec.kernels, spec.strides, strict=True), start=1):
        x = ResidualBlock(
            config.filters,
            kernel,
            stride,
            spec.pool if config.max_pool else None,
            spec.pool_stride,
            batch_norm=config.batch_norm,
            skip=config.skip,
            weight_decay=config.weight_decay,
            name=f"block_{number}",
        )(x)
    return x


def _attends(config: Calhas2022Config) -> bool:
    return config.variant.startswith("ta")


def _decay(config: Calhas2022Config) -> dict[str, Any]:
    return {"kernel_regularizer": l2(config.weight_decay), "bias_regularizer": l2(config.weight_decay)}
