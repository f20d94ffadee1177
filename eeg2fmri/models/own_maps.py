"""Maps of one subject, shrunk towards those of a model of many subjects.

n instances, K maps, V voxels of the brain, P nodes of a coarse grid over it.

A prediction is a sum of maps with a course each. The subject's maps are the model's, each voxel times ``1 + w``. The
weight w is smooth: it is interpolated between nodes, and the values at the nodes are the only unknowns. They have a
normal prior of mean 0, the same for all, so that without evidence nothing changes. The noise is that of the K scores,
which principal components leave nearly uncorrelated. The posterior mean is a generalised ridge regression.

What a weighted map has outside the span of the maps is left out, because nothing of it is estimated.

So a subject has a few hundred unknowns, where a map of its own for every course has hundreds of thousands. The weight
at a place is the same for all courses, because the courses of several sources overlap little in the brain.

References
----------
Lindley & Smith 1972, J. R. Stat. Soc. B 34:1: coefficients of a unit, shrunk towards those of its group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg

SPACING_MM = 30.0  # of the nodes; measured, 22 and 40 mm do the same
LEAST = 1.0  # voxels of the brain that belong to a node; others change nothing


def smooth_weights(
    predicted: np.ndarray,
    measured: np.ndarray,
    maps: np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    penalties: Sequence[float],
) -> list[np.ndarray]:
    """Estimate the weight of a subject's maps, once for each penalty.

    Parameters
    ----------
    predicted, measured : (n, K), scores of the maps without drifts: the model's, and those of the subject's BOLD.
    maps : (K, x·y·z), orthonormal.
    mask : (x, y, z) bool, the brain; elsewhere the weight is 0.
    affine : (4, 4), voxel to mm.
    penalties : variance of a score's noise over that of a node's value; infinite for no change.

    Returns
    -------
    w of each, (x, y, z) float32.
    """
    places = nodes(mask, affine)
    inside = maps[:, mask.ravel()].astype(np.float64)
    error = (measured - predicted).astype(np.float64)
    precision = precision_of(error)
    # A node of value 1 changes the scores by predicted · changes[node].
    changes = np.stack([(inside[:, near] * share) @ inside[:, near].T for near, share in places])
    values, vectors = linalg.eigh(predicted.T.astype(np.float64) @ predicted)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    design = ((root @ changes) * np.sqrt(precision)).reshape(len(places), -1)
    gram, target = design @ design.T, np.tensordot(changes, (predicted.T @ error) * precision, axes=2)
    found = []
    for penalty in penalties:
        flat = np.zeros(inside.shape[1])
        if np.isfinite(penalty):
            heights = linalg.solve(gram + penalty * np.eye(len(places)), target, assume_a="pos")
            for (near, share), height in zip(places, heights, strict=True):
                flat[near] += height * share
        weight = np.zeros(mask.shape, np.float32)
        weight[mask] = flat
        found.append(weight)
    return found


def precision_of(error: np.ndarray) -> np.ndarray:
    """Return one over the variance of each column of errors (n, K), (K,); 0 where there is none."""
    spread = error.var(axis=0)
    return np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)


def nodes(mask: np.ndarray, affine: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the voxels near each node of a grid over the brain, and how much of each is the node's.

    Parameters
    ----------
    mask : (x, y, z) bool.
    affine : (4, 4), voxel to mm.

    Returns
    -------
    Of each node numbers of voxels within the mask, and shares in 0..1: those of trilinear interpolation. The shares of
    a voxel add up to 1, except at the border of the brain.
    """
    positions = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    low, high = positions.min(axis=0), positions.max(axis=0)
    count = np.maximum(np.ceil((high - low) / SPACING_MM).astype(int), 1) + 1
    place = (positions - low) / np.maximum(high - low, np.finfo(float).eps) * (count - 1)
    below = np.minimum(place.astype(int), count - 2)
    above = place - below
    corners = list(np.ndindex(2, 2, 2))
    owner = np.stack([np.ravel_multi_index((below + corner).T, tuple(count)) for corner in corners])
    share = np.stack([np.prod(np.where(corner, above, 1 - above), axis=1) for corner in corners])
    voxel = np.broadcast_to(np.arange(len(positions)), owner.shape)
    found = []
    for node in np.unique(owner):
        mine = (owner == node) & (share > 0)
        if share[mine].sum() > LEAST:
            found.append((voxel[mine], share[mine]))
    return found
