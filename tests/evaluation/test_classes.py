"""Classification of subjects: against direct computations, on a planted signal, and on none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression

from eeg2fmri.evaluation import Classified, blocks, classify, least_of_a_label, paired_p, smallest_label_p
from eeg2fmri.evaluation.classes import _likelihood

LABELS = ["b", "a"] * 9 + ["a"] * 4  # 9 and 13


def features(rng, size: int, effect: float) -> np.ndarray:
    """(22, size) noise whose first column follows the labels."""
    found = rng.standard_normal((len(LABELS), size))
    found[:, 0] += effect * (np.array(LABELS) == "b")
    return found


def run(kinds, **changes):
    settings = {"folds": 4, "penalties": (0.1, 10.0), "permutations": 4, "seed": 0}
    return classify(kinds, LABELS, **(settings | changes))


@pytest.mark.parametrize("labels", ["aabb", "aabbb", "aabbcc", "aabc"])
def test_the_least_p_counts_arrangements_that_differ(labels):
    """By listing them: an arrangement is a division of the subjects, whatever its parts are called."""
    arrangements = set(itertools.permutations(labels))
    divisions = [frozenset(frozenset(np.flatnonzero(np.array(a) == x)) for x in set(labels)) for a in arrangements]
    same = [d for d in divisions if d == divisions[0]]
    assert smallest_label_p(list(labels), 10**6) == pytest.approx(len(same) / len(divisions))
    assert smallest_label_p(list(labels), 1) == pytest.approx(max(0.5, len(same) / len(divisions)))


@pytest.mark.parametrize(("folds", "least"), [(None, 4), (2, 6), (4, 4), (5, 5)])
def test_each_inner_fold_has_every_label(folds, least):
    assert least_of_a_label(folds) == least


def test_a_held_out_probability_is_that_of_a_direct_fit(rng):
    """More features than subjects, one penalty, one subject out: without the rotation, by another solver."""
    x, own = features(rng, 30, 1.0), np.array(LABELS)
    found = run([x], folds=None, penalties=(2.0,), permutations=1)
    for out in (0, 5, 21):
        kept = np.arange(len(own)) != out
        mean, sd = x[kept].mean(axis=0), x[kept].std(axis=0)
        scaled = (x - mean) / sd / np.sqrt(30)
        direct = LogisticRegression(C=0.5, class_weight="balanced", tol=1e-10, max_iter=10_000)
        direct.fit(scaled[kept], own[kept])
        expected = direct.predict_proba(scaled[[out]])[0, list(direct.classes_).index(own[out])]
        assert found.probability[out] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "b", "c"]])
def test_the_score_that_chooses_is_the_log_probability(rng, labels):
    own = np.array(labels * 6)
    x = rng.standard_normal((len(own), 4))
    encoded = np.unique(own, return_inverse=True)[1]
    regression = LogisticRegression().fit(x, encoded)
    expected = regression.predict_log_proba(x)[np.arange(len(own)), encoded].mean()
    assert _likelihood(regression, x, encoded) == pytest.approx(expected)


def test_a_planted_signal_is_found_and_noise_is_not(rng):
    good, bad = run([features(rng, 5, 4.0)], permutations=9), run([features(rng, 5, 0.0)], permutations=9)
    assert good.score > 0.9
    assert good.p_value == pytest.approx(1 / 10)
    assert good.accuracy == pytest.approx(good.correct.mean())
    assert abs(good.draws.mean() - 0.5) < 0.15
    assert bad.p_value > 0.1
    assert abs(bad.score - 0.5) < 0.3


def test_balanced_accuracy_is_the_mean_over_labels(rng):
    found = run([features(rng, 3, 1.0)], permutations=1)
    shares = [found.correct[np.array(LABELS) == label].mean() for label in "ab"]
    assert found.score == pytest.approx(np.mean(shares))
    assert found.correct.tolist() == (found.probability > 0.5).tolist()


def test_a_kind_of_many_features_does_not_drown_a_kind_of_few(rng):
    few, many = features(rng, 1, 2.5), features(rng, 300, 0.0)
    apart, together = run([few, many], permutations=1), run([np.hstack([few, many])], permutations=1)
    assert apart.score > 0.8 > together.score


def test_equal_seeds_permute_equally(rng):
    x = features(rng, 3, 0.5)
    one, again, other = run([x]), run([x.copy()]), run([x], seed=1)
    assert one.draws.tolist() == again.draws.tolist()
    assert one.draws.tolist() != other.draws.tolist()


def predicted(correct, labels=LABELS) -> Classified:
    """Predictions that are right about these subjects."""
    counts = {label: labels.count(label) for label in labels}
    weight = np.array([1 / (len(counts) * counts[label]) for label in labels])
    return Classified(np.where(correct, 0.6, 0.4), np.asarray(correct, bool), weight, np.zeros(0))


def test_with_equal_labels_it_is_mcnemars_test(rng):
    labels = ["a", "b"] * 12
    for _ in range(5):
        one, other = rng.random((2, 24)) < [[0.8], [0.5]]
        won, lost = (one & ~other).sum(), (other & ~one).sum()
        expected = binomtest(won, won + lost).pvalue
        assert paired_p(predicted(one, labels), predicted(other, labels)) == pytest.approx(expected, abs=0.02)


def test_with_unequal_labels_both_weigh_alike(rng):
    """By all swaps: the difference of balanced accuracies, and not of accuracies."""
    labels = ["a"] * 8 + ["b"] * 3
    one, other = rng.random((2, 11)) < 0.5
    one[8:], other[8:] = True, False
    apart = one.astype(int) - other
    swaps = np.array(list(itertools.product([1, -1], repeat=11))) * apart
    differences = np.abs(swaps[:, :8].mean(axis=1) + swaps[:, 8:].mean(axis=1))
    found = abs(apart[:8].mean() + apart[8:].mean())
    assert paired_p(predicted(one, labels), predicted(other, labels)) == pytest.approx(
        (differences >= found - 1e-9).mean(), abs=0.02
    )


def test_equal_predictions_are_equal(rng):
    one = predicted(rng.random(22) < 0.7)
    assert paired_p(one, one) == 1


@pytest.mark.parametrize("effect", [0.0, 1.5])
def test_two_sets_that_say_equally_much_seldom_differ(effect):
    """Both say nothing, or both the same with noise of their own: more than 4 of 25 p below 0.05 are improbable.

    Penalties far apart give two equal sets different probabilities. A test of those finds a difference too often.
    """
    rng, settings = np.random.default_rng(0), {"penalties": (0.01, 10.0), "permutations": 0}
    p_values = [paired_p(*(run([features(rng, 6, effect)], **settings) for _ in range(2))) for _ in range(25)]
    assert np.mean(np.array(p_values) < 0.05) <= 4 / 25
    assert np.mean(np.array(p_values) < 0.5) >= 4 / 25


def test_a_set_that_says_more_is_better(rng):
    found = []
    for _ in range(6):
        good, bad = (run([features(rng, 3, effect)], permutations=0) for effect in (4.0, 0.0))
        found.append(paired_p(good, bad))
        assert found[-1] == paired_p(bad, good)
    assert np.mean(np.array(found) < 0.05) >= 4 / 6


def test_labels_without_a_meaning_seldom_score(rng):
    """Against permutations, p is at most 0.2 for 3 of 15 on average, and seldom for more than 7."""
    p_values = [run([features(rng, 3, 0.0)], penalties=(1.0,), permutations=4).p_value for _ in range(15)]
    assert np.mean(np.array(p_values) <= 0.2) <= 7 / 15


def test_blocks_are_cubes_in_one_half_of_the_brain():
    mask, affine = np.zeros((8, 7, 5), bool), np.diag([5.0, 6.0, 8.0, 1.0])
    affine[:3, 3] = (-20, -18, -16)
    mask[1:, 1:, :4] = True
    atlas = blocks(mask, affine, 20.0)
    places = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    labels = atlas.labels[mask]
    assert not atlas.labels[~mask].any()
    for label, name in atlas.names.items():
        own = places[labels == label]
        middle = np.array([float(part) for part in name.split()[1::2]])
        assert np.abs(own - middle).max() <= 10
        assert len(set(own[:, 0] >= 0)) == 1
        assert len(own) * 5 * 6 * 8 >= 20**3 / 4
    assert set(np.unique(labels)) - {0} == set(atlas.names)
    assert (labels > 0).mean() > 0.8


def test_a_draw_that_ties_counts_although_its_sum_is_rounded_otherwise():
    """0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1."""
    weight = np.array([0.1, 0.2, 0.3, 0.4])
    found = Classified(np.ones(4), np.array([True, True, True, False]), weight, np.array([0.3 + 0.2 + 0.1]))
    assert found.score > found.draws[0]
    assert found.p_value == 1
