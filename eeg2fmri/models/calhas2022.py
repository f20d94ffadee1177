"""The published family: two encoders that meet in a latent, and a decoder from the EEG's side.

Calhas & Henriques (2022), arXiv 2203.03481. Symbols as in `layers`: the EEG window is
(C, F, T), the volume (X, Y, Z), the latent D = product of `latent`.

    eeg  (B, C, F, T) ── attention? ── residual blocks ── dense ──> z_x (B, D) ──> decoder ──> volume (B, X, Y, Z)
    fmri (B, X, Y, Z) ── residual blocks ── dense, dropout ──> z_y (B, D)     in training only

A mixture has several candidates of blocks and dense in the place of one. z_x, or z_y before the dropout, is then the
weighted sum of their latents. The attention is common to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from eeg2fmri.config import BlockSpec, Calhas2022Config
from eeg2fmri.models.architectures import Candidates, with_encoders
from eeg2fmri.models.layers import (
    FixedFourierFeatures,
    LearnedStyle,
    LocallyConnected,
    Mixture,
    PrincipalVolumes,
    RandomFourierFeatures,
    ResidualBlock,
    TopographicalAttention,
)
from eeg2fmri.models.spec import check_shapes

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Calhas2022:
    """The parts of one model; they share no weights.

    config: of the model, its encoders written out.
    eeg_encoder: eeg → [z_x, scores] (scores only with attention).
    fmri_encoder: volume → z_y; none with ``decoder: pca``.
    decoder: [z_x, scores] → volume.
    coefficients: with ``decoder: pca``, [z_x, scores] → (B, K), the part of the decoder before the basis.
    """

    config: Calhas2022Config
    eeg_encoder: keras.Model
    fmri_encoder: keras.Model | None
    decoder: keras.Model
    coefficients: keras.Model | None

    def synthesiser(self) -> keras.Model:
        """Return the model that is saved and served: (B, C, F, T) → (B, X, Y, Z), without any fMRI input."""
        eeg = keras.Input(self.eeg_encoder.input_shape[1:], name="eeg")
        return keras.Model(eeg, self.decoder(self.eeg_encoder(eeg)), name="synthesiser")

    def shares(self) -> dict[str, float]:
        """Return the weight of each candidate of a mixture, by side and place (``eeg-01``); else nothing."""
        found: dict[str, float] = {}
        for side, encoder in (("eeg", self.eeg_encoder), ("fmri", self.fmri_encoder)):
            for layer in encoder.layers if encoder else ():
                if isinstance(layer, Mixture):
                    shares = ops.convert_to_numpy(layer.shares())
                    found |= {f"{side}-{place:02d}": float(share) for place, share in enumerate(shares, start=1)}
        return found


def build(
    config: Calhas2022Config,
    eeg_shape: Shape,
    grid: Shape,
    *,
    seed: int = 0,
    mean_volume: np.ndarray | None = None,
    basis: np.ndarray | None = None,
    candidates: Candidates | None = None,
) -> Calhas2022:
    """Build a model of the published family.

    Parameters
    ----------
    config : variant, architecture and sizes.
    eeg_shape : (C, F, T).
    grid : (X, Y, Z).
    seed : of the fixed random Fourier features.
    mean_volume : (X, Y, Z), the start of the decoder's bias if ``config.start_at_mean``.
    basis : (K, X·Y·Z), the change of the mean volume by one unit of each coefficient of ``decoder: pca``;
        zeros by default.
    candidates : encoders of a mixture, in the place of those of `config`.

    Raises
    ------
    SpecError
        If an architecture does not fit its input.
    """
    check_shapes(config, eeg_shape, grid)
    config = with_encoders(config, eeg_shape, grid)
    mean = mean_volume if config.start_at_mean else None
    decoder, coefficients = _decoder(config, eeg_shape[0], grid, seed, mean, basis)
    assert config.eeg is not None
    assert config.fmri is not None
    eeg, fmri = candidates or ((config.eeg,), (config.fmri,))
    # On PyTorch a model knows its weights by path. If two share a path, the gradient of only one is reset.
    with keras.name_scope("eeg_encoder"):
        eeg_encoder = _eeg_encoder(config, eeg, eeg_shape)
    with keras.name_scope("fmri_encoder"):
        fmri_encoder = _fmri_encoder(config, fmri, grid) if config.aligns else None
    return Calhas2022(
        config=config,
        eeg_encoder=eeg_encoder,
        fmri_encoder=fmri_encoder,
        decoder=decoder,
        coefficients=coefficients,
    )


def _eeg_encoder(config: Calhas2022Config, specs: Sequence[BlockSpec], shape: Shape) -> keras.Model:
    eeg = x = keras.Input(shape, name="eeg")
    scores = None
    if config.attends:
        x, scores = TopographicalAttention(name="attention")(x)
    z = _latent(config, specs, layers.Reshape((*shape, 1))(x))
    return keras.Model(eeg, [z] if scores is None else [z, scores], name="eeg_encoder")


def _fmri_encoder(config: Calhas2022Config, specs: Sequence[BlockSpec], grid: Shape) -> keras.Model:
    fmri = keras.Input(grid, name="fmri")
    z = _latent(config, specs, layers.Reshape((*grid, 1))(fmri))
    if config.dropout:
        z = layers.Dropout(config.dropout, name="dropout")(z)
    return keras.Model(fmri, z, name="fmri_encoder")


def _decoder(
    config: Calhas2022Config,
    channels: int,
    grid: Shape,
    seed: int,
    mean: np.ndarray | None,
    basis: np.ndarray | None,
) -> tuple[keras.Model, keras.Model | None]:
    """Build the decoder and, with ``decoder: pca``, the part of it before the basis."""
    inputs = [keras.Input((math.prod(config.latent),), name="z")]
    if config.attends:
        inputs.append(keras.Input((channels, channels), name="scores"))
    features = _features(config, inputs, seed)
    if config.decoder == "dense":
        return _dense_decoder(config, inputs, features, grid, mean), None
    # With weights of zero, the decoder starts as the mean volume.
    count = config.components if basis is None else len(basis)
    amounts = layers.Dense(count, kernel_initializer="zeros", name="coefficients")(features)
    # In float32: under mixed precision, rounding of the mean volume would be as large as its fluctuations.
    volumes = PrincipalVolumes(grid, dtype="float32", name="volume")
    decoder = keras.Model(inputs, volumes(amounts), name="decoder")
    if basis is not None:
        volumes.basis.assign(basis)
    if mean is not None:
        volumes.mean.assign(mean.reshape(-1))
    return decoder, keras.Model(inputs, amounts, name="decoder_coefficients")


def _features(config: Calhas2022Config, inputs: list[Any], seed: int) -> Any:
    """Build the input of the decoder's last layer, (B, D): the latent, projected and styled by variant."""
    features = inputs[0]
    size = math.prod(config.latent)
    if not config.projects:
        features = layers.Dense(size, name="projection")(features)
    elif config.fourier == "random":
        features = RandomFourierFeatures(seed, name="fourier")(features)
    else:
        features = FixedFourierFeatures(name="fourier")(features)
    if config.variant == "tafp-style":
        style = layers.Dense(size, use_bias=False, name="style")(layers.Flatten()(inputs[1]))
        features = layers.Multiply(name="styled")([features, style])
    elif config.variant == "tafp-style-prior":
        features = LearnedStyle(name="styled")(features)
    return features


def _dense_decoder(
    config: Calhas2022Config, inputs: list[Any], features: Any, grid: Shape, mean: np.ndarray | None
) -> keras.Model:
    volume = layers.Dense(math.prod(grid), name="volume")(features)
    if config.filter == "conv":
        # It starts as the identity, so that the layer before it still starts at the mean volume.
        kernel = "glorot_uniform" if mean is None else "ones"
        volume = layers.Reshape((*grid, 1))(volume)
        volume = layers.Conv3D(1, 1, kernel_initializer=kernel, name="output")(volume)
    elif config.filter == "local":
        volume = LocallyConnected(name="output")(volume)
    decoder = keras.Model(inputs, layers.Reshape(grid)(volume), name="decoder")
    if mean is not None:
        decoder.get_layer("volume").bias.assign(mean.reshape(-1))
    return decoder


def _latent(config: Calhas2022Config, specs: Sequence[BlockSpec], x: Any) -> Any:
    """Build the latent (B, D) of one encoder, or the mixture of those of several candidates."""
    latents = []
    for place, spec in enumerate(specs, start=1):
        prefix = f"candidate_{place}_" if len(specs) > 1 else ""
        features = layers.Flatten()(_blocks(config, spec, x, prefix))
        latents.append(layers.Dense(math.prod(config.latent), name=f"{prefix}latent")(features))
    return latents[0] if len(latents) == 1 else Mixture(name="mixture")(latents)


def _blocks(config: Calhas2022Config, spec: BlockSpec, x: Any, prefix: str) -> Any:
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
            name=f"{prefix}block_{number}",
        )(x)
    return x
