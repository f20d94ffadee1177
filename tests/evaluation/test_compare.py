"""The paired comparison of two models, against independent formulas."""

import itertools

import numpy as np
import pytest

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation import compare


def by_subject(values):
    return {f"sub-{n:02d}": value for n, value in enumerate(values, 1)}


def p_of_all_signs(differences):
    """Two-sided p of the sum of ranks with a plus, over all signs that so many subjects can have."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    sums = np.array([ranks @ signs for signs in itertools.product((0, 1), repeat=len(ranks))])
    found, middle = ranks @ (differences > 0), ranks.sum() / 2
    return np.mean(np.abs(sums - middle) >= abs(found - middle))


def test_the_p_value_is_that_of_all_signs(rng):
    differences = rng.normal(0.4, 1, 7)
    found = compare(by_subject(differences + 2), by_subject(np.full(7, 2.0)))
    assert found.p_value == pytest.approx(p_of_all_signs(differences))
    assert found.won == np.count_nonzero(differences > 0)
    assert found.median_difference == pytest.approx(np.median(differences))


def test_few_subjects_cannot_give_a_small_p():
    found = compare(by_subject([3.0, 1.0, 2.5, 4.0]), by_subject([1.0, 0.5, 2.0, 0.0]))
    assert (found.subjects, found.won) == (4, 4)
    assert found.p_value == found.smallest_p == 0.125


def test_equal_models_do_not_differ():
    same = by_subject([0.1, 0.2, 0.3])
    found = compare(same, same)
    assert (found.won, found.p_value, found.median_difference) == (0, 1.0, 0.0)


def test_subjects_are_paired_by_name():
    one = {"sub-02": 5.0, "sub-01": 1.0}
    assert compare(one, {"sub-01": 0.5, "sub-02": 3.0}).median_difference == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ({"sub-01": 1.0}, {"sub-02": 1.0}, "sub-01, sub-02; compare scores of the same subjects"),
        ({}, {}, "none at all"),
    ],
)
def test_other_subjects_are_refused(one, other, named, refuses):
    with refuses(EvaluationError, named):
        compare(one, other)
