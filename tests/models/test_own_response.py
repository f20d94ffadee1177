"""Response of one subject: found where the evidence is, and without evidence nothing changes."""

import math

import numpy as np

from eeg2fmri.models.own_response import response_weights


def planted(rng, noise: float):
    """Scores of 400 volumes whose first shape is half the model's, and whose second has the other sign."""
    parts = rng.standard_normal((400, 2, 20))
    size = np.linspace(0.2, 3, 20)  # of a score's noise
    return parts, parts[:, 0] / 2 - parts[:, 1] + noise * size * rng.standard_normal((400, 20))


def test_a_planted_response_is_found(rng):
    parts, measured = planted(rng, 1.0)
    (found,) = response_weights(parts, measured, (1.0,))
    np.testing.assert_allclose(found, [-0.5, -2], atol=0.05)


def test_it_shrinks_with_the_penalty_to_no_change_at_all(rng):
    found = response_weights(*planted(rng, 10.0), (0.1, 1e3, 1e8, math.inf))
    sizes = [float(np.abs(each).sum()) for each in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 1e-3 * sizes[0]
    assert sizes[3] == 0


def test_it_is_the_ridge_regression_that_it_says(rng):
    """The same, from the long design: one row for each volume and score, one column for each shape."""
    parts, measured = planted(rng, 3.0)
    (found,) = response_weights(parts, measured, (50.0,))
    error = measured - parts.sum(axis=1)
    root = 1 / error.std(axis=0)
    design, target = (parts * root).transpose(0, 2, 1).reshape(-1, 2), (error * root).ravel()
    expected = np.linalg.solve(design.T @ design + 50 * np.eye(2), design.T @ target)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_scores_without_noise_say_nothing():
    parts = np.zeros((50, 2, 3))
    (found,) = response_weights(parts, parts.sum(axis=1), (1.0,))
    assert not found.any()
