"""Maps of the published decoder, whose last layers are linear: a dense layer, and an output filter or none.

D features, V voxels, K maps. A volume is ``features @ kernel + bias``, where kernel (D, V) and bias (V,) are those of
the dense layer after the filter. The maps are those of the singular value decomposition of the kernel: the rows of
S·Vᵀ, the largest first.

They are not the directions in which predictions vary in a subject's minutes. A model that has learned little predicts
in very few, and a weighted map cannot be made of so few. The largest directions of the kernel are those that training
has made; the small ones are left from its random start, and their scores would be noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eeg2fmri.families.networks import copied

MOST = 64  # maps, as many as `linear` has by default: its fits choose the penalty
LEAST = 1e-6  # of the largest squared singular value: float32 does not show the direction of smaller ones
BLOCK = 8192  # voxels at once


def dense_maps(model: Any) -> np.ndarray:
    """Return the maps of a synthesiser with the dense decoder, (K, V)."""
    kernel, _ = _last_layers(model)
    return _loadings(kernel).T @ kernel


def with_dense_maps(model: Any, maps: np.ndarray, mean: np.ndarray) -> Any:
    """Return a copy with other maps; what is not in the maps stays in the kernel.

    mean: (V,), predicted on average. It stays: features are not 0 on average, so the bias changes with the kernel.
    The filter moves into the dense layer and becomes the identity, because a filter of weight 0 has no inverse.
    """
    kernel, bias = _last_layers(model)
    loadings = _loadings(kernel)
    before = loadings.T @ kernel
    change = maps - before
    amounts = before @ (mean - bias) / np.square(before).sum(axis=1)  # of the maps in the mean volume, (K,)
    kernel += loadings @ change
    copy = copied(model)
    decoder = copy.get_layer("decoder")
    decoder.get_layer("volume").set_weights([kernel, bias - amounts @ change])
    if output := _filter(decoder):
        weight, offset = output.get_weights()
        output.set_weights([np.ones_like(weight), np.zeros_like(offset)])
    return copy


def _last_layers(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of kernel (D, V) and bias (V,) of the dense layer after the output filter."""
    decoder = model.get_layer("decoder")
    kernel, bias = (np.array(each) for each in decoder.get_layer("volume").get_weights())
    if output := _filter(decoder):
        weight, offset = (each.ravel() for each in output.get_weights())  # one for all voxels, or one for each
        kernel *= weight
        bias = bias * weight + offset
    return kernel, bias


def _filter(decoder: Any) -> Any:
    return next((layer for layer in decoder.layers if layer.name == "output"), None)


def _loadings(kernel: np.ndarray) -> np.ndarray:
    """Return the left singular vectors of the maps, (D, K) float32."""
    gram = np.zeros((len(kernel), len(kernel)))
    for start in range(0, kernel.shape[1], BLOCK):  # float64 for all voxels at once would be twice the kernel
        part = kernel[:, start : start + BLOCK].astype(np.float64)
        gram += part @ part.T
    values, vectors = np.linalg.eigh(gram)
    count = min(MOST, int((values > LEAST * values[-1]).sum()))
    return vectors[:, ::-1][:, :count].astype(np.float32)
