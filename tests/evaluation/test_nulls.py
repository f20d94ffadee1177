"""The shuffled-EEG control: every window moves, nothing is lost, the seed decides."""

import numpy as np
import pytest

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation import shuffled_order


@pytest.mark.parametrize("n", [2, 3, 5, 107])
@pytest.mark.parametrize("seed", range(5))
def test_every_window_moves_and_none_is_lost(n, seed):
    order = shuffled_order(n, np.random.default_rng(seed))
    assert sorted(order) == list(range(n))
    assert (order != np.arange(n)).all()


def test_both_orders_of_three_windows_are_as_likely():
    rng = np.random.default_rng(0)
    orders = [tuple(shuffled_order(3, rng).tolist()) for _ in range(400)]
    assert set(orders) == {(1, 2, 0), (2, 0, 1)}
    assert 150 < orders.count((1, 2, 0)) < 250


def test_the_seed_decides_the_order():
    first, again, other = (shuffled_order(50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("n", [1, 0, -1])
def test_too_few_windows_are_refused(n):
    with pytest.raises(EvaluationError, match=f"n={n} "):
        shuffled_order(n, np.random.default_rng(0))
