"""The shuffled-EEG control: shifts that keep the timing's slowness, and the p-value they give."""

import numpy as np
import pytest

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation import r2_of_shifts, r2_temporal, shuffled_order, shuffled_p_value


@pytest.mark.parametrize("seed", range(5))
def test_every_window_moves_by_at_least_the_margin_and_none_is_lost(seed):
    order = shuffled_order(23, 4, np.random.default_rng(seed))
    assert sorted(order) == list(range(23))
    moved = (order - np.arange(23)) % 23
    assert len(set(moved)) == 1  # a shift keeps the order, and with it the autocorrelation
    assert 4 <= moved[0] <= 19


def test_the_seed_decides_the_order():
    orders = {tuple(shuffled_order(50, 3, np.random.default_rng(seed))) for seed in range(20)}
    assert len(orders) > 10
    again = [shuffled_order(50, 3, np.random.default_rng(1)).tolist() for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("n", [1, 8])
def test_too_few_windows_are_refused(n):
    with pytest.raises(EvaluationError, match=f"n={n} "):
        shuffled_order(n, 4, np.random.default_rng(0))


def test_scores_of_all_shifts_are_those_of_the_shifted_series(rng):
    measured, synthesised = rng.standard_normal((2, 11, 4, 3, 2))
    mask = rng.random((4, 3, 2)) > 0.3
    expected = [r2_temporal(measured, np.roll(synthesised, s, axis=0), mask) for s in range(11)]
    np.testing.assert_allclose(r2_of_shifts(measured, synthesised, mask), expected, atol=1e-12)


def test_shifts_of_a_constant_series_score_zero(rng):
    measured = rng.standard_normal((9, 4, 3, 2))
    constant = np.broadcast_to(measured[0], measured.shape)
    np.testing.assert_array_equal(r2_of_shifts(measured, constant, np.ones((4, 3, 2), bool)), 0)


def test_shifts_need_temporal_variance():
    with pytest.raises(EvaluationError, match="varies over time"):
        r2_of_shifts(np.ones((5, 4, 3, 2)), np.ones((5, 4, 3, 2)), np.ones((4, 3, 2), bool))


def test_p_value_is_small_for_a_true_relation_and_one_for_none(rng):
    truth = rng.standard_normal((40, 4, 3, 2))
    mask = np.ones((4, 3, 2), bool)
    related = [r2_of_shifts(truth + rng.standard_normal(truth.shape), truth, mask) for _ in range(2)]
    assert shuffled_p_value(related, ["a", "b"], 5, 199, rng) == pytest.approx(1 / 200)
    constant = [np.zeros(40)]
    assert shuffled_p_value(constant, ["a"], 5, 199, rng) == 1


def test_p_value_of_no_relation_is_uniform(rng):
    """Slow unrelated series: the share of p below 0.2 must be near 0.2."""
    mask = np.ones((3, 2, 1), bool)
    values = []
    for _ in range(200):
        slow = np.cumsum(rng.standard_normal((2, 80, 3, 2, 1)), axis=1)
        values.append(shuffled_p_value([r2_of_shifts(*slow, mask)], ["a"], 5, 99, rng))
    assert 0.1 < np.mean(np.array(values) <= 0.2) < 0.4


def test_subjects_count_once_however_many_recordings_they_have(rng):
    weak, strong = np.r_[0.0, np.full(30, 0.1)], np.r_[0.4, np.zeros(30)]
    once = shuffled_p_value([weak, strong], ["a", "b"], 2, 99, rng)
    thrice = shuffled_p_value([weak, weak, weak, strong], ["a", "a", "a", "b"], 2, 99, rng)
    assert once == thrice == pytest.approx(0.01)
    assert shuffled_p_value([weak, weak, weak, strong], ["a", "b", "c", "d"], 2, 99, rng) == pytest.approx(0.01)
    assert shuffled_p_value([weak] * 5 + [strong], [*"abcdef"], 2, 99, rng) == 1


def test_p_value_is_no_smaller_than_the_shuffles_there_are_allow(rng):
    """Eleven windows and a margin of four leave four shifts: no score can be rarer than one in five."""
    best = np.r_[1.0, np.zeros(10)]
    assert shuffled_p_value([best], ["a"], 4, 999, rng) == pytest.approx(1 / 5)
    assert shuffled_p_value([best, best], ["a", "b"], 4, 999, rng) == pytest.approx(1 / 17)
