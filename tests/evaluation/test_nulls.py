"""The shuffled-EEG control: shifts that keep the timing's slowness, and the p-value they give."""

import numpy as np
import pytest

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation import Null, pooled_null, r2_of_shifts, r2_temporal, shuffled_null, shuffled_order, smallest_p
from eeg2fmri.signals import drift_waves, without_drift


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
    assert shuffled_null(related, ["a", "b"], 5, 199, rng).p_value == pytest.approx(1 / 200)
    constant = [np.zeros(40)]
    assert shuffled_null(constant, ["a"], 5, 199, rng).p_value == 1


def test_p_value_of_no_relation_is_uniform(rng):
    """Slow unrelated series: the share of p below 0.2 must be near 0.2."""
    mask = np.ones((3, 2, 1), bool)
    values = []
    for _ in range(200):
        slow = np.cumsum(rng.standard_normal((2, 80, 3, 2, 1)), axis=1)
        values.append(shuffled_null([r2_of_shifts(*slow, mask)], ["a"], 5, 99, rng).p_value)
    assert 0.1 < np.mean(np.array(values) <= 0.2) < 0.4


def test_subjects_count_once_however_many_recordings_they_have(rng):
    weak, strong = np.r_[0.0, np.full(30, 0.1)], np.r_[0.4, np.zeros(30)]
    once = shuffled_null([weak, strong], ["a", "b"], 2, 99, rng).p_value
    thrice = shuffled_null([weak, weak, weak, strong], ["a", "a", "a", "b"], 2, 99, rng).p_value
    assert once == thrice == pytest.approx(0.01)
    assert shuffled_null([weak, weak, weak, strong], ["a", "b", "c", "d"], 2, 99, rng).p_value == pytest.approx(0.01)
    assert shuffled_null([weak] * 5 + [strong], [*"abcdef"], 2, 99, rng).p_value == 1


def test_p_value_is_no_smaller_than_the_shuffles_there_are_allow(rng):
    """Eleven windows and a margin of four leave four shifts: no score can be rarer than one in five."""
    best = np.r_[1.0, np.zeros(10)]
    assert shuffled_null([best], ["a"], 4, 999, rng).p_value == pytest.approx(1 / 5)
    assert shuffled_null([best, best], ["a", "b"], 4, 999, rng).p_value == pytest.approx(1 / 17)


def test_scores_of_shifts_without_drifts_are_those_of_series_without_them(rng):
    measured, synthesised = rng.standard_normal((2, 30, 4, 3, 2)) + np.linspace(0, 9, 30)[None, :, None, None, None]
    mask = rng.random((4, 3, 2)) > 0.3
    steady = [without_drift(series, 2.0, 50.0) for series in (measured, synthesised)]
    found = r2_of_shifts(measured, synthesised, mask, drift_waves(30, 2.0, 50.0))
    np.testing.assert_allclose(found, r2_of_shifts(*steady, mask), atol=1e-12)
    assert found[0] == pytest.approx(r2_temporal(measured, synthesised, mask, drift_waves(30, 2.0, 50.0)))
    assert abs(found[0] - r2_of_shifts(measured, synthesised, mask)[0]) > 0.1


def test_the_null_holds_its_draws_and_each_recordings_mean(rng):
    """Two recordings of one subject and one of another: a draw is the mean over subjects."""
    shifts = [np.r_[0.5, np.full(20, 0.1)], np.r_[0.3, np.full(24, 0.3)], np.r_[0.8, np.full(22, 0.0)]]
    null = shuffled_null(shifts, ["a", "a", "b"], 3, 50, rng)
    assert null.observed == pytest.approx((0.4 + 0.8) / 2)
    np.testing.assert_allclose(null.draws, np.full(50, 0.1))
    np.testing.assert_allclose(null.by_recording, [0.1, 0.3, 0.0])


def test_effect_size_is_the_distance_from_the_null_in_its_deviations(rng):
    values = np.r_[0.9, rng.normal(0, 0.1, 60)]
    null = shuffled_null([values], ["a"], 1, 400, rng)
    assert null.effect_size == pytest.approx((0.9 - np.mean(null.draws)) / np.std(null.draws))
    assert shuffled_null([np.zeros(40)], ["a"], 5, 99, rng).effect_size is None


@pytest.mark.parametrize(
    ("windows", "permutations", "least"), [([77], 1999, 1 / 59), ([77, 77], 1999, 1 / 2000), ([25, 23], 1999, 1 / 25)]
)
def test_the_smallest_p_counts_shuffles_and_draws(windows, permutations, least):
    assert smallest_p(windows, 10, permutations) == pytest.approx(least)


def test_nulls_of_several_test_sets_are_pooled_by_their_subjects(rng):
    draws = [rng.normal(0, 1, 999), rng.normal(0, 2, 999)]
    nulls = [Null(observed, drawn, np.empty(0), 0.25) for observed, drawn in zip((1.0, 4.0), draws, strict=True)]
    found = pooled_null(nulls, (1, 2), rng)
    assert found.observed == pytest.approx(3.0)
    assert found.draws.mean() == pytest.approx((draws[0].mean() + 2 * draws[1].mean()) / 3)
    # Independent draws: variances add up.
    assert found.draws.var() == pytest.approx((draws[0].var() + 4 * draws[1].var()) / 9, rel=0.2)
    assert found.smallest_p == pytest.approx(0.1)  # three shuffles of each make nine


def test_draws_of_one_seed_are_not_pooled_in_step(rng):
    drawn = rng.normal(0, 1, 4999)
    nulls = [Null(0.5, drawn, np.empty(0), 0.01)] * 4
    assert pooled_null(nulls, (1, 1, 1, 1), rng).draws.std() == pytest.approx(0.5, rel=0.1)
