"""The `factorised` family: a network of few sources between band power and BOLD components.

Symbols: B batch, C channels, F frequencies, T context, b bands, M members, R sources, H response shapes,
K components.

    eeg (B, C, F, T) ── log power per band ──> (B, T, C·b) ─┬─ sources ──> (B, T, M, R)
        ── response over the context ──> (B, M, R) ── loadings ──> (B, M, K) ── mean of the members ──> (B, K)
                                                            └─ linear path ──> (B, K)
    scores (B, K), their weighted mean ── components + mean volume ──> (B, X, Y, Z)

Every window of the context passes through the same weights. So lags, channels × bands and components are
factors of the prediction. The linear path instead has one weight for each of their combinations.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """Sources of every member, (B, T, P) → (B, T, M, R): x W + tanh(x U + u) V, V starting at zero."""

    def __init__(self, members: int, sources: int, hidden: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = {"members": members, "sources": sources, "hidden": hidden, "seed": seed}
        self.members, self.sources, self.hidden, self.seed = members, sources, hidden, seed

    def build(self, input_shape: tuple[int, ...]) -> None:
        features, members, hidden = input_shape[-1], self.members, self.hidden
        self.linear = self.add_weight(name="linear", shape=(members, features, self.sources), initializer="zeros")
        if hidden:
            draw = keras.initializers.RandomNormal(0.0, features**-0.5, self.seed)
            self.inward = self.add_weight(name="inward", shape=(members, features, hidden), initializer=draw)
            self.bias = self.add_weight(name="bias", shape=(members, 1, hidden), initializer="zeros")
            self.outward = self.add_weight(name="outward", shape=(members, hidden, self.sources), initializer="zeros")

    def call(self, x: Any) -> Any:
        context = x.shape[1]
        rows = ops.reshape(x, (1, -1, x.shape[2]))
        sources = ops.matmul(rows, self.linear)
        if self.hidden:
            sources = sources + ops.matmul(ops.tanh(ops.matmul(rows, self.inward) + self.bias), self.outward)
        return ops.reshape(ops.transpose(sources, (1, 0, 2)), (-1, context, self.members, self.sources))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable(PACKAGE)
class ResponseLoadings(keras.layers.Layer):
    """Component scores from sources, (B, T, M, R) → (B, M, K): each source's response, then its loadings.

    response: (T, M, R).  loadings: (M, R, K).
    """

    def __init__(self, components: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.components = components

    def build(self, input_shape: tuple[int, ...]) -> None:
        _, *shape = input_shape
        self.response = self.add_weight(name="response", shape=tuple(shape), initializer="zeros")
        self.loadings = self.add_weight(name="loadings", shape=(*shape[1:], self.components), initializer="zeros")

    def call(self, sources: Any) -> Any:
        answered = ops.sum(sources * self.response, axis=1)
        return ops.transpose(ops.matmul(ops.transpose(answered, (1, 0, 2)), self.loadings), (1, 0, 2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "components": self.components}


@keras.saving.register_keras_serializable(PACKAGE)
class LinearPath(keras.layers.Layer):
    """A regression of component scores through H shapes of response, (B, T, P) → (B, K). Nothing is trained.

    shapes: (T, H).  coefficients: (P·H, K), in the order (P, H).
    """

    def __init__(self, shapes: int, components: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = {"shapes": shapes, "components": components}

    def build(self, input_shape: tuple[int, ...]) -> None:
        _, context, features = input_shape
        h, k = self.settings["shapes"], self.settings["components"]
        self.shapes = self.add_weight(name="shapes", shape=(context, h), initializer="zeros", trainable=False)
        self.coefficients = self.add_weight(
            name="coefficients", shape=(features * h, k), initializer="zeros", trainable=False
        )

    def call(self, x: Any) -> Any:
        answered = ops.matmul(ops.transpose(x, (0, 2, 1)), self.shapes)
        return ops.matmul(ops.reshape(answered, (-1, self.coefficients.shape[0])), self.coefficients)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


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
class Regression:
    """Arrays of the linear path.

    shapes: (T, H), of the response.  coefficients: (C·b·H, K), for standardised log power.
    """

    shapes: np.ndarray
    coefficients: np.ndarray


@dataclass(frozen=True)
class Factorised:
    """The network up to the scores of every member, and the whole network; both share their layers."""

    scores: keras.Model
    synthesiser: keras.Model


def build(
    config: FactorisedConfig,
    features: Features,
    starts: Sequence[Sources],
    linear: Regression | None,
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
    starts : of every member, from `factorised_fit`.
    linear : the linear path; ``None`` if its share is 0.
    basis : (K, X·Y·Z), orthonormal.
    mean_volume : (X, Y, Z).
    seed : of the hidden units and the dropout.
    """
    shape = (len(features.centre), len(features.bins), len(features.response))
    power = LogBandPower(features.bins.shape[1], name="band_power")
    sources = SourceWeights(len(starts), starts[0].weights.shape[1], config.hidden, seed, name="sources")
    answer = ResponseLoadings(len(basis), name="loadings")
    volumes = PrincipalVolumes(mean_volume.shape, name="volume")
    eeg = keras.Input(shape, name="eeg")
    x = power(eeg)
    members = answer(sources(keras.layers.Dropout(config.dropout, seed=seed, name="dropout")(x)))
    scores = ops.mean(members, axis=1)
    if linear is not None:
        path = LinearPath(linear.shapes.shape[1], len(basis), name="linear_path")
        scores = (1 - config.linear_share) * scores + config.linear_share * path(x)
        path.shapes.assign(linear.shapes)
        path.coefficients.assign(linear.coefficients)
    whole = keras.Model(eeg, volumes(scores), name="synthesiser")
    power.bins.assign(features.bins)
    power.centre.assign(features.centre)
    power.scale.assign(features.scale)
    sources.linear.assign(np.stack([start.weights for start in starts]))
    answer.response.assign(np.broadcast_to(features.response[:, None, None], answer.response.shape))
    answer.loadings.assign(np.stack([start.loadings for start in starts]))
    volumes.mean.assign(mean_volume.ravel())
    volumes.basis.assign(basis)
    return Factorised(keras.Model(eeg, members, name="scores"), whole)
