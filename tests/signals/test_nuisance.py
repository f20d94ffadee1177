"""Noise that a recording tells of itself."""

import numpy as np
import pytest

from eeg2fmri.signals import noise_components

N, VOXELS = 60, 500


def volumes(rng, noise):
    """Voxels of one unit of noise; 2 % of them swing with `noise` (N,)."""
    values = rng.standard_normal((N, VOXELS))
    values[:, :10] += 20 * noise[:, None] * rng.standard_normal(10)
    return values - values.mean(axis=0)


def test_finds_the_course_of_the_noisiest_voxels(rng):
    noise = np.sin(np.arange(N))
    found = noise_components(volumes(rng, noise), np.full(VOXELS, 100.0), 1)
    assert found.shape == (N, 1)
    assert abs(np.corrcoef(found[:, 0], noise)[0, 1]) > 0.99


def test_bright_voxels_are_not_taken_for_noisy_ones(rng):
    noise, mean = np.sin(np.arange(N)), np.full(VOXELS, 100.0)
    values = volumes(rng, noise)
    mean[300:400], values[:, 300:400] = 10000.0, values[:, 300:400] * 50
    found = noise_components(values, mean, 1)
    assert abs(np.corrcoef(found[:, 0], noise)[0, 1]) > 0.99


def test_components_are_orthonormal(rng):
    found = noise_components(volumes(rng, np.sin(np.arange(N))), np.full(VOXELS, 100.0), 4)
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-10)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (3, 3), (50, 10)])
def test_as_many_as_asked_for_and_as_there_are(rng, count, expected):
    assert noise_components(volumes(rng, np.zeros(N)), np.full(VOXELS, 100.0), count).shape == (N, expected)


def test_constant_voxels_are_no_noise():
    assert noise_components(np.zeros((N, VOXELS)), np.ones(VOXELS), 3).shape[0] == N
