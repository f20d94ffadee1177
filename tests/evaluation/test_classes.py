"""Classification of subjects: against direct computations, on a planted signal, and on none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
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


def test_sets_without_a_signal_are_not_told_apart_more_often_than_chance(rng):
    """Forty labels without a meaning: p of two sets of noise is uniform, by ranks of an independent computation."""
    drawn = [np.clip(0.5 + 0.1 * rng.standard_normal((200, 1)) + 0.05 * rng.standard_normal((200, 22)), 0, 1)
             for _ in range(2)]  # fmt: skip
    found = []
    for row in range(200):  # each permutation in the place of the labels
        others = np.arange(200) != row
        one, other = (Classified(each[row], each[row] > 0.5, 0.5, np.zeros(199), each[others]) for each in drawn)
        found.append(paired_p(one, other))
    apart = np.abs((drawn[0] - drawn[1]).mean(axis=1))
    expected = [(apart >= value).mean() for value in apart]
    np.testing.assert_allclose(found, expected)
    assert np.mean(np.array(found) < 0.05) <= 0.05


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
