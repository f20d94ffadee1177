"""The `factorised` family: a network of few sources between band power and BOLD components.

Symbols: B batch, C channels, F frequencies, T context, b bands, R sources, K components.

    eeg (B, C, F, T) ── log power per band ──> (B, T, C·b) ── sources ──> (B, T, R)
        ── response over the context ──> (B, R) ── loadings ──> (B, K) ── components + mean volume ──> (B, X, Y, Z)

Every window of the context passes through the same weights. So lags, channels × bands and components are
factors of the prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from eeg2fmri.config import FactorisedConfig
from eeg2fmri.models.factorised_fit import Sources
from eeg2fmri.models.layers import PACKAGE, PrincipalVolumes
from eeg2fmri.models.linear import FLOOR


@keras.saving.register_keras_serializable(PACKAGE)
class LogBandPower(keras.layers.Layer):
    """Standardised log power, (B, C, F, T) in µV → (B, T, C·b). Nothing is trained.

    bins: (F, b), 1 where a bin belongs to a band.  centre, scale: (C, b).
    """

    def __init__(self, bands: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bands = bands

    def build(self, input_shape: tuple[int, ...]) -> None:
        _, channels, frequencies, _ = input_shape
        for name, shape in (("bins", (frequencies, self.bands)), ("centre", (channels, self.bands))):
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False))
        self.scale = self.add_weight(name="scale", shape=(channels, self.bands), initializer="ones", trainable=False)

    def call(self, eeg: Any) -> Any:
        _, channels, _, context = eeg.shape
        power = ops.matmul(ops.transpose(ops.square(eeg), (0, 3, 1, 2)), self.bins)
        standardised = (ops.log(power + FLOOR) - self.centre) * self.scale
        return ops.reshape(standardised, (-1, context, channels * self.bands))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bands": self.bands}


@keras.saving.register_keras_serializable(PACKAGE)
class SourceWeights(keras.layers.Layer):
    """Sources of every window, (B, T, P) → (B, T, R): x W + tanh(x U + u) V, V starting at zero."""

    def __init__(self, sources: int, hidden: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sources, self.hidden, self.seed = sources, hidden, seed

    def build(self, input_shape: tuple[int, ...]) -> None:
        features, hidden = input_shape[-1], self.hidden
        self.linear = self.add_weight(name="linear", shape=(features, self.sources), initializer="zeros")
        if hidden:
            draw = keras.initializers.RandomNormal(0.0, features**-0.5, self.seed)
            self.inward = self.add_weight(name="inward", shape=(features, hidden), initializer=draw)
            self.bias = self.add_weight(name="bias", shape=(hidden,), initializer="zeros")
            self.outward = self.add_weight(name="outward", shape=(hidden, self.sources), initializer="zeros")

    def call(self, x: Any) -> Any:
        sources = ops.matmul(x, self.linear)
        if self.hidden:
            sources = sources + ops.matmul(ops.tanh(ops.matmul(x, self.inward) + self.bias), self.outward)
        return sources

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sources": self.sources, "hidden": self.hidden, "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class ResponseLoadings(keras.layers.Layer):
    """Component scores from sources, (B, T, R) → (B, K): each source's response, then its loadings.

    response: (T, R).  loadings: (R, K).
    """

    def __init__(self, components: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.components = components

    def build(self, input_shape: tuple[int, ...]) -> None:
        _, *shape = input_shape
        self.response = self.add_weight(name="response", shape=tuple(shape), initializer="zeros")
        self.loadings = self.add_weight(name="loadings", shape=(shape[1], self.components), initializer="zeros")

    def call(self, sources: Any) -> Any:
        return ops.matmul(ops.sum(sources * self.response, axis=1), self.loadings)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "components": self.components}


@dataclass(frozen=True)
class Features:
    """Scaling of band power, and its response.

    bins: (F, b).  centre, scale: (C, b).  response: (T,), the canonical one.
    """

    bins: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    response: np.ndarray


@dataclass(frozen=True)
class Factorised:
    """The network up to the scores, and the whole network; both share their layers."""

    scores: keras.Model
    synthesiser: keras.Model


def build(
    config: FactorisedConfig,
    features: Features,
    start: Sources,
    basis: np.ndarray,
    mean_volume: np.ndarray,
    *,
    seed: int = 0,
) -> Factorised:
    """Build the network in its initial state.

    Parameters
    ----------
    config : sizes.
    features : scaling of band power and the response.
    start : from `factorised_fit`.
    basis : (K, X·Y·Z), orthonormal.
    mean_volume : (X, Y, Z).
    seed : of the hidden units and the dropout.
    """
    shape = (len(features.centre), len(features.bins), len(features.response))
    power = LogBandPower(features.bins.shape[1], name="band_power")
    sources = SourceWeights(start.weights.shape[1], config.hidden, seed, name="sources")
    answer = ResponseLoadings(len(basis), name="loadings")
    volumes = PrincipalVolumes(mean_volume.shape, name="volume")
    eeg = keras.Input(shape, name="eeg")
    scores = answer(sources(keras.layers.Dropout(config.dropout, seed=seed, name="dropout")(power(eeg))))
    whole = keras.Model(eeg, volumes(scores), name="synthesiser")
    power.bins.assign(features.bins)
    power.centre.assign(features.centre)
    power.scale.assign(features.scale)
    sources.linear.assign(start.weights)
    answer.response.assign(np.broadcast_to(features.response[:, None], answer.response.shape))
    answer.loadings.assign(start.loadings)
    volumes.mean.assign(mean_volume.ravel())
    volumes.basis.assign(basis)
    return Factorised(keras.Model(eeg, scores, name="scores"), whole)
