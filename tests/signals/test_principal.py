"""Principal components read block by block, against the singular value decomposition of all volumes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from eeg2fmri.errors import SpecError
from eeg2fmri.signals import principal_components

N, V = 23, 57


@pytest.fixture
def volumes(rng):
    shares = np.geomspace(1, 0.05, N)[:, None]
    directions = np.linalg.qr(rng.standard_normal((V, N)))[0].T
    return (rng.standard_normal((N, N)) @ (shares * directions) + 3).astype(np.float32)


def in_blocks(volumes, *sizes):
    edges = np.cumsum([0, *sizes])
    return lambda: (volumes[a:b] for a, b in pairwise(edges))


def decomposed(volumes, count):
    _, _, rows = np.linalg.svd(volumes.astype(np.float64) - volumes.mean(axis=0), full_matrices=False)
    rows = rows[:count]
    return rows * np.sign(rows[np.arange(count), np.abs(rows).argmax(axis=1)])[:, None]


@pytest.mark.parametrize("memory", [1, 4 * N * 10, 2**29], ids=["a voxel a pass", "six passes", "one pass"])
@pytest.mark.parametrize("sizes", [(N,), (9, 1, 13)])
def test_equal_the_right_singular_vectors(volumes, sizes, memory):
    found = principal_components(in_blocks(volumes, *sizes), 6, mean=volumes.mean(axis=0), memory=memory)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, decomposed(volumes, 6), atol=2e-5)


def test_rows_are_orthonormal(volumes):
    found = principal_components(in_blocks(volumes, 10, 13), 15, mean=volumes.mean(axis=0))
    np.testing.assert_allclose(found @ found.T, np.eye(15), atol=2e-6)


def test_without_a_mean_the_blocks_are_taken_as_centred(volumes):
    centred = volumes - volumes.mean(axis=0)
    expected = principal_components(in_blocks(volumes, N), 4, mean=volumes.mean(axis=0))
    np.testing.assert_allclose(principal_components(in_blocks(centred, 11, 12), 4), expected, atol=1e-5)
    known = principal_components(in_blocks(centred, 11, 12), 4, shape=centred.shape)
    np.testing.assert_array_equal(known, principal_components(in_blocks(centred, 11, 12), 4))


def test_no_more_components_than_directions(rng):
    volumes = (rng.standard_normal((N, 3)) @ rng.standard_normal((3, V))).astype(np.float32)
    assert principal_components(in_blocks(volumes, N), 10).shape == (3, V)
    assert principal_components(in_blocks(volumes[:2], 2), 10).shape == (2, V)


@pytest.mark.parametrize(
    ("shape", "count", "words"),
    [((N, V), 0, "0 principal components"), ((0, V), 2, "no volume"), ((4, V), 2, "4 volumes do not differ")],
)
def test_refuses(refuses, shape, count, words):
    constant = np.ones(shape, np.float32)
    with refuses(SpecError, words):
        principal_components(in_blocks(constant, len(constant)), count, mean=np.ones(V, np.float32))
