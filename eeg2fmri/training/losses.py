"""The published loss: mean absolute error of the volume plus cosine distance of the latents.

volume, target: (B, X, Y, Z).  z_x, z_y: (B, D).
"""

from __future__ import annotations

from typing import Any

from keras import config, ops


def mean_absolute_error(target: Any, volume: Any) -> Any:
    """Mean |y - ŷ| over the batch and all voxels."""
    return ops.mean(ops.abs(target - volume))


def cosine_distance(z_x: Any, z_y: Any) -> Any:
    """Mean over the batch of 1 - cos(z_x, z_y), each sample's own cosine."""
    product = ops.sum(z_x * z_y, axis=-1)
    lengths = ops.sqrt(ops.sum(ops.square(z_x), axis=-1) * ops.sum(ops.square(z_y), axis=-1))
    return ops.mean(1 - product / (lengths + config.epsilon()))
