"""The published loss, and the squared error that trains a decoder of principal components.

volume, target: (B, X, Y, Z).  z_x, z_y: (B, D).
coefficients: (B, K) in standard deviations sd (K,) of the training set.  V: voxels.

Squared error by components
---------------------------
Let B (K, V) be an orthonormal basis, f a fluctuation (a volume minus a mean) and c = B f. A
prediction inside the span of B, Bᵀ ĉ, has the squared error

    |f - Bᵀ ĉ|² = |f|² - |c|² + |c - ĉ|² = outside + Σ_k sd_k² (a_k - â_k)²,      a = c / sd

so K numbers of a window train the same model as its V voxels.
"""

from __future__ import annotations

from typing import Any

from keras import config, ops


def mean_absolute_error(target: Any, volume: Any) -> Any:
    """Compute the mean of |y - ŷ| over the batch and all voxels."""
    return ops.mean(ops.abs(ops.subtract(target, volume)))


def component_squared_error(target: Any, coefficients: Any, sd: Any, outside: Any, voxels: int) -> Any:
    """Compute mean (y - ŷ)² over batch and voxels of the volumes of `coefficients`, without these volumes (see above).

    `outside` is the squared length (B,) of each target's part outside the basis.
    """
    inside = ops.sum(ops.square(ops.subtract(target, coefficients) * sd), axis=-1)
    return ops.mean(inside + outside) / voxels


def cosine_distance(z_x: Any, z_y: Any) -> Any:
    """Compute the mean over the batch of 1 - cos(z_x, z_y), each sample's own cosine."""
    z_x, z_y = ops.cast(z_x, "float32"), ops.cast(z_y, "float32")
    product = ops.sum(z_x * z_y, axis=-1)
    lengths = ops.sqrt(ops.sum(ops.square(z_x), axis=-1) * ops.sum(ops.square(z_y), axis=-1))
    return ops.mean(1 - product / (lengths + config.epsilon()))
