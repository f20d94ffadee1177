"""The architecture space is exact, countable and drawable."""

from __future__ import annotations

import itertools
import math

import numpy as np
import optuna
import pytest

from eeg2fmri.config import PUBLISHED_EEG, PUBLISHED_FMRI, SearchConfig
from eeg2fmri.errors import SpecError
from eeg2fmri.models.spec import block_shapes, conv_length
from eeg2fmri.search import AxisSpace, block_parameters, count, suggest_blocks

EEG = ((64, 134, 10), SearchConfig().eeg_target, (2, 2, 1), (1, 1, 1))
FMRI = ((64, 64, 30), SearchConfig().fmri_target, (2, 2, 2), (1, 1, 1))
SMALL = ((9, 14, 6), (2, 3, 4), (2, 2, 1), (1, 1, 1))
PUBLISHED = [("eeg", PUBLISHED_EEG, EEG), ("fmri", PUBLISHED_FMRI, FMRI)]


def brute_force(length, target, depth, pool, pool_stride):
    """Every sequence, found by trying every kernel and stride at every block."""
    if depth == 0:
        return [()] if length == target else []
    found = []
    for kernel in range(1, length + 1):
        for stride in range(1, kernel + 1):
            out = (length - kernel) // stride + 1
            if out >= pool:
                after = (out - pool) // pool_stride + 1
                rest = brute_force(after, target, depth - 1, pool, pool_stride)
                found += [((kernel, stride), *tail) for tail in rest]
    return found


def sequence(spec, axis):
    return tuple((k[axis], s[axis]) for k, s in zip(spec.kernels, spec.strides, strict=True))


class Uniform(optuna.trial.FixedTrial):
    """A trial that answers with uniform draws and keeps what it was asked."""

    def __init__(self, rng):
        super().__init__({})
        self.rng, self.asked = rng, {}

    def suggest_float(self, name, low, high):
        return self.asked.setdefault(name, float(self.rng.uniform(low, high)))

    def suggest_int(self, name, low, high):
        return self.asked.setdefault(name, int(self.rng.integers(low, high + 1)))


@pytest.mark.parametrize(("pool", "pool_stride"), [(1, 1), (2, 1), (2, 2), (3, 2), (1, 3)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_unrank_is_a_bijection_onto_the_brute_force_space(depth, pool, pool_stride):
    for length, target in itertools.product(range(1, 8), range(1, 6)):
        space = AxisSpace(length, target, depth, pool, pool_stride)
        members = [space.unrank(i) for i in range(space.count)]
        assert set(members) == set(brute_force(length, target, depth, pool, pool_stride))
        assert [space.rank(m) for m in members] == list(range(space.count))
        assert len(set(members)) == space.count == count(length, target, depth, pool, pool_stride)


def test_random_members_reach_the_target():
    rng = np.random.default_rng(7)
    reached = 0
    for _ in range(300):
        length, depth = int(rng.integers(4, 140)), int(rng.integers(1, 5))
        target, pool = int(rng.integers(1, length + 1)), int(rng.integers(1, 4))
        space = AxisSpace(length, target, depth, pool, int(rng.integers(1, pool + 1)))
        if not space.count:
            assert not space.lengths(length, depth)
            assert _shrink(length, depth, pool, space.pool_stride) < target
            continue
        index = int(rng.random() * space.count)
        at = length
        for kernel, stride in space.unrank(index):
            assert 1 <= stride <= kernel <= at
            at = conv_length(conv_length(at, kernel, stride), pool, space.pool_stride)
        assert at == target
        assert space.rank(space.unrank(index)) == index
        reached += 1
    assert reached > 100


def _shrink(length, depth, pool, pool_stride):
    """Length that `depth` blocks with kernels of 1 leave; 0 if a pool does not fit."""
    for _ in range(depth):
        length = (length - pool) // pool_stride + 1 if length >= pool else 0
    return length


def test_counts_at_full_size_are_known():
    # three axes of EEG, then of BOLD; brute force confirms one of each depth
    full = {2: [], 3: []}
    for depth, counts in full.items():
        for shape, target, pool, stride in (EEG, FMRI):
            counts += [count(*ends) for ends in zip(shape, target, (depth,) * 3, pool, stride, strict=True)]
    assert full == {2: [1152, 11162, 3, 887, 887, 81], 3: [19602, 421935, 6, 14910, 14910, 552]}
    assert len(brute_force(30, 7, 2, 2, 1)) == 81
    assert len(brute_force(10, 8, 3, 1, 1)) == 6


@pytest.mark.parametrize(("name", "spec", "ends"), PUBLISHED)
def test_published_networks_are_members(name, spec, ends):
    shape, target, pool, pool_stride = ends
    for axis in range(3):
        space = AxisSpace(shape[axis], target[axis], len(spec.kernels), pool[axis], pool_stride[axis])
        index = space.rank(sequence(spec, axis))
        assert 0 <= index < space.count
        assert space.unrank(index) == sequence(spec, axis)


@pytest.mark.parametrize(("name", "spec", "ends"), PUBLISHED)
def test_published_networks_can_be_drawn(name, spec, ends):
    shape, target, pool, pool_stride = ends
    study = optuna.create_study()
    study.enqueue_trial(block_parameters(spec, name, shape, target))
    trial = study.ask()
    assert suggest_blocks(trial, name, shape, target, (2, 3), pool, pool_stride) == spec


def test_every_member_of_a_small_space_can_be_drawn():
    shape, target, pool, pool_stride = SMALL
    spaces = [AxisSpace(*ends) for ends in zip(shape, target, (2, 2, 2), pool, pool_stride, strict=True)]
    rng = np.random.default_rng(3)
    for index in range(max(s.count for s in spaces)):
        members = [s.unrank(index % s.count) for s in spaces]
        blocks = [tuple(zip(*b, strict=True)) for b in zip(*members, strict=True)]
        spec = PUBLISHED_EEG.model_copy(
            update={"kernels": tuple(b[0] for b in blocks), "strides": tuple(b[1] for b in blocks)}
        )
        trial = Uniform(rng)
        trial.asked = block_parameters(spec, "eeg", shape, target)
        assert suggest_blocks(trial, "eeg", shape, target, (1, 3), pool, pool_stride) == spec


@pytest.mark.parametrize("ends", [EEG, FMRI, SMALL])
def test_every_draw_is_exact_and_asks_the_same_parameters(ends):
    shape, target, pool, pool_stride = ends
    rng = np.random.default_rng(11)
    asked, depths = set(), set()
    for _ in range(60):
        trial = Uniform(rng)
        spec = suggest_blocks(trial, "net", shape, target, (2, 3), pool, pool_stride)
        assert block_shapes(shape, spec)[-1] == target
        assert all(k >= s for k, s in zip(sum(spec.kernels, ()), sum(spec.strides, ()), strict=True))
        asked.add(frozenset(trial.asked))
        depths.add(len(spec.kernels))
    assert depths == {2, 3}
    assert len(asked) == 1
    assert len(next(iter(asked))) == 1 + 3 * (3 + 2)


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_ends_of_the_ranges_are_valid(edge):
    class Edge(Uniform):
        def suggest_float(self, name, low, high):
            return edge

    shape, target, pool, pool_stride = FMRI
    for depth in (1, 2, 3):
        trial = Edge(np.random.default_rng(0))
        spec = suggest_blocks(trial, "x", shape, target, (depth, depth), pool, pool_stride)
        assert block_shapes(shape, spec)[-1] == target


def test_only_feasible_depths_are_offered():
    trial = Uniform(np.random.default_rng(0))
    # pool 2 costs one position a block: from 9 to 7 there is room for two blocks
    spec = suggest_blocks(trial, "x", (9, 20, 30), (7, 5, 6), (2, 5), (2, 2, 2), (1, 1, 1))
    assert len(spec.kernels) == 2
    assert "x.axis0.block3.kernel" not in trial.asked


def test_tpe_models_the_whole_space():
    shape, target, pool, pool_stride = SMALL
    sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=3, seed=0)
    study = optuna.create_study(sampler=sampler)

    def cost(trial):
        spec = suggest_blocks(trial, "x", shape, target, (1, 3), pool, pool_stride)
        return math.prod(spec.kernels[0])

    study.optimize(cost, n_trials=8)
    modelled = sampler.infer_relative_search_space(study, study.trials[-1])
    assert set(modelled) == set(study.trials[-1].params)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"target": (2, 15, 4)}, r"eeg architectures: 2 to 3 blocks with pool \(2, 2, 1\).*axis 1 .*below 15"),
        ({"pool": (9, 2, 1)}, r"input \(9, 14, 6\) to the target \(2, 3, 4\): on axis 0"),
        ({"depths": (3, 2)}, r"found \(3, 2\)"),
        ({"depths": (0, 2)}, r"found \(0, 2\)"),
        ({"target": (2, 0, 4)}, "target of an architecture space must be at least 1, found 0"),
    ],
)
def test_infeasible_targets_are_refused(fault, words):
    shape, target, pool, pool_stride = SMALL
    good = {"shape": shape, "target": target, "depths": (2, 3), "pool": pool, "pool_stride": pool_stride}
    with pytest.raises(SpecError, match=words):
        suggest_blocks(Uniform(np.random.default_rng(0)), "eeg", **{**good, **fault})


@pytest.mark.parametrize("wrong", [((2, 3), (2, 2)), ((7, 0), (7, 2)), ((65, 1), (1, 1)), ((7, 3), (5, 2)), ((7, 3),)])
def test_rank_refuses_what_is_not_a_member(wrong):
    with pytest.raises(SpecError, match=r"block"):
        AxisSpace(64, 6, 2, 2, 1).rank(wrong)


@pytest.mark.parametrize("index", [-1, 1152])
def test_unrank_refuses_a_number_outside(index):
    with pytest.raises(SpecError, match=r"\[0, 1152\)"):
        AxisSpace(64, 6, 2, 2, 1).unrank(index)


def test_draws_build_in_keras():
    from keras import layers

    shape, target, pool, pool_stride = SMALL
    rng = np.random.default_rng(5)
    for _ in range(5):
        spec = suggest_blocks(Uniform(rng), "x", shape, target, (2, 3), pool, pool_stride)
        at = (None, *shape, 1)
        for kernel, stride, after in zip(spec.kernels, spec.strides, block_shapes(shape, spec), strict=True):
            at = layers.Conv3D(4, kernel, stride, padding="valid").compute_output_shape(at)
            at = layers.MaxPooling3D(spec.pool, spec.pool_stride).compute_output_shape(at)
            assert at == (None, *after, 4)
        assert at[1:4] == target
