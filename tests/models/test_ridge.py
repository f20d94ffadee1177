"""Ridge regression from sums of products, against the same by its definition."""

import numpy as np
import pytest

from eeg2fmri.models.ridge import Moments, Ridge

PENALTIES = (0.1, 2.0, 50.0)


@pytest.fixture
def rows(rng):
    x = rng.standard_normal((40, 7))
    s = x @ rng.standard_normal((7, 3)) + 2 * rng.standard_normal((40, 3))
    return x, s


def solve(x, s, penalty):
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ s)


def test_moments_add_up_and_can_be_taken_out(rows):
    x, s = rows
    first, second = Moments.of(x[:15], s[:15], 14), Moments.of(x[15:], s[15:], 24)
    whole = Moments.of(x, s, 38)
    for got, expected in ((first + second, whole), (whole - first, second)):
        for name, value in vars(expected).items():
            np.testing.assert_allclose(getattr(got, name), value, atol=1e-10)


def test_scaled_moments_are_those_of_scaled_features(rows, rng):
    x, s = rows
    scale = rng.random(7)
    for name, value in vars(Moments.of(x * scale, s, 40)).items():
        np.testing.assert_allclose(getattr(Moments.of(x, s, 40).scaled(scale), name), value, atol=1e-10)


def test_coefficients_with_one_penalty_and_with_one_for_each_target(rows):
    x, s = rows
    ridge = Ridge(Moments.of(x, s, 40))
    np.testing.assert_allclose(ridge.coefficients(2.0), solve(x, s, 2.0), rtol=1e-8)
    mixed = ridge.coefficients(np.array([0.1, np.inf, 50.0]))
    np.testing.assert_allclose(mixed[:, 0], solve(x, s, 0.1)[:, 0], rtol=1e-8)
    np.testing.assert_allclose(mixed[:, 2], solve(x, s, 50.0)[:, 2], rtol=1e-8)
    np.testing.assert_array_equal(mixed[:, 1], 0)


def test_more_features_than_rows(rng):
    x, s = rng.standard_normal((5, 9)), rng.standard_normal((5, 2))
    ridge = Ridge(Moments.of(x, s, 5))
    np.testing.assert_allclose(ridge.coefficients(0.1), solve(x, s, 0.1), rtol=1e-6)


def test_saved_is_the_difference_of_squared_errors(rows):
    x, s = rows
    ridge, unseen = Ridge(Moments.of(x[:30], s[:30], 30)), Moments.of(x[30:], s[30:], 10)
    error = np.square(s[30:] - x[30:] @ solve(x[:30], s[:30], 2.0)).sum(axis=0)
    np.testing.assert_allclose(ridge.saved(2.0, unseen), np.square(s[30:]).sum(axis=0) - error, rtol=1e-8)
