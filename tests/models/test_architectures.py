"""The architecture space is exact and countable; what is derived from a shape is its nearest to the published one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from eeg2fmri.config import PUBLISHED_EEG, PUBLISHED_FMRI, Calhas2022Config
from eeg2fmri.errors import SpecError
from eeg2fmri.models.architectures import EEG_TARGET, FMRI_TARGET, AxisSpace, nearest_blocks, with_encoders
from eeg2fmri.models.spec import block_shapes, conv_length
from tests.fakes import EEG_SPEC

EEG = ((64, 134, 10), EEG_TARGET, (2, 2, 1), (1, 1, 1))
FMRI = ((64, 64, 30), FMRI_TARGET, (2, 2, 2), (1, 1, 1))


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


@pytest.mark.parametrize(("pool", "pool_stride"), [(1, 1), (2, 1), (2, 2), (3, 2), (1, 3)])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_unrank_is_a_bijection_onto_the_brute_force_space(depth, pool, pool_stride):
    for length, target in itertools.product(range(1, 8), range(1, 6)):
        space = AxisSpace(length, target, depth, pool, pool_stride)
        members = [space.unrank(i) for i in range(space.count)]
        assert set(members) == set(brute_force(length, target, depth, pool, pool_stride))
        assert [space.rank(m) for m in members] == list(range(space.count))
        assert len(set(members)) == space.count


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
            counts += [AxisSpace(*ends).count for ends in zip(shape, target, (depth,) * 3, pool, stride, strict=True)]
    assert full == {2: [1152, 11162, 3, 887, 887, 81], 3: [19602, 421935, 6, 14910, 14910, 552]}
    assert len(brute_force(30, 7, 2, 2, 1)) == 81
    assert len(brute_force(10, 8, 3, 1, 1)) == 6


@pytest.mark.parametrize(("spec", "ends"), [(PUBLISHED_EEG, EEG), (PUBLISHED_FMRI, FMRI)])
def test_published_networks_are_members(spec, ends):
    shape, target, pool, pool_stride = ends
    for axis in range(3):
        space = AxisSpace(shape[axis], target[axis], len(spec.kernels), pool[axis], pool_stride[axis])
        index = space.rank(sequence(spec, axis))
        assert 0 <= index < space.count
        assert space.unrank(index) == sequence(spec, axis)


@pytest.mark.parametrize("wrong", [((2, 3), (2, 2)), ((7, 0), (7, 2)), ((65, 1), (1, 1)), ((7, 3), (5, 2)), ((7, 3),)])
def test_rank_refuses_what_is_not_a_member(wrong):
    with pytest.raises(SpecError, match=r"block"):
        AxisSpace(64, 6, 2, 2, 1).rank(wrong)


@pytest.mark.parametrize("index", [-1, 1152])
def test_unrank_refuses_a_number_outside(index):
    with pytest.raises(SpecError, match=r"\[0, 1152\)"):
        AxisSpace(64, 6, 2, 2, 1).unrank(index)


def difference(sequence, published):
    return sum(abs(a - b) for pair in zip(sequence, published, strict=True) for a, b in zip(*pair, strict=True))


class TestFitToShape:
    """63 and 32 channels are common caps, 43 those of Oddball, 100 the frequencies of XP2."""

    def test_published_shapes_get_the_published_encoders(self):
        config = with_encoders(Calhas2022Config(), EEG[0], FMRI[0])
        assert (config.eeg, config.fmri) == (PUBLISHED_EEG, PUBLISHED_FMRI)

    def test_what_is_configured_stays(self):
        config = with_encoders(Calhas2022Config(eeg=EEG_SPEC), (32, 134, 10), FMRI[0])
        assert (config.eeg, config.fmri) == (EEG_SPEC, PUBLISHED_FMRI)

    @pytest.mark.parametrize(
        ("published", "axis", "length", "target", "count"),
        [
            (PUBLISHED_EEG, 0, 64, 6, 1152),
            (PUBLISHED_EEG, 0, 63, 6, None),
            (PUBLISHED_EEG, 0, 43, 6, 331),
            (PUBLISHED_EEG, 0, 32, 6, None),
            (PUBLISHED_EEG, 0, 10, 6, None),
            (PUBLISHED_EEG, 1, 100, 6, 4569),
            (PUBLISHED_EEG, 2, 12, 8, None),
            (PUBLISHED_FMRI, 0, 40, 7, None),
            (PUBLISHED_FMRI, 1, 48, 7, None),
            (PUBLISHED_FMRI, 2, 24, 7, None),
            (PUBLISHED_FMRI, 2, 7, 4, 1),
        ],
    )
    def test_of_all_sequences_the_least_different_one_is_taken(self, published, axis, length, target, count):
        wanted = sequence(published, axis)
        space = AxisSpace(length, target, len(wanted), published.pool[axis], 1)
        assert count in (None, space.count)
        least = min((difference(s, wanted), s) for s in map(space.unrank, range(space.count)))
        shape = [*EEG[0]] if published is PUBLISHED_EEG else [*FMRI[0]]
        shape[axis] = length
        found = nearest_blocks(tuple(shape), published, EEG_TARGET if published is PUBLISHED_EEG else FMRI_TARGET)
        assert sequence(found, axis) == least[1]
        for other in {0, 1, 2} - {axis}:
            assert sequence(found, other) == sequence(published, other)

    @pytest.mark.parametrize(
        ("published", "target", "shape", "end", "pool"),
        [
            (PUBLISHED_EEG, EEG_TARGET, (4, 134, 10), (2, 6, 8), (2, 2, 1)),
            (PUBLISHED_EEG, EEG_TARGET, (5, 7, 3), (3, 5, 3), (2, 2, 1)),
            (PUBLISHED_EEG, EEG_TARGET, (2, 30, 1), (2, 6, 1), (1, 2, 1)),
            (PUBLISHED_FMRI, FMRI_TARGET, (9, 8, 7), (6, 5, 4), (2, 2, 2)),
            (PUBLISHED_FMRI, FMRI_TARGET, (3, 4, 1), (3, 1, 1), (1, 2, 1)),
        ],
        ids=str,
    )
    def test_a_short_axis_ends_at_the_longest_length_that_it_can(self, published, target, shape, end, pool):
        found = nearest_blocks(shape, published, target)
        assert block_shapes(shape, found)[-1] == end
        assert found.pool == pool
        for axis in range(3):
            if end[axis] < target[axis]:
                assert set(sequence(found, axis)) == {(1, 1)}

    def test_every_shape_has_encoders(self):
        rng = np.random.default_rng(5)
        for _ in range(40):
            eeg_shape, grid = (tuple(int(n) for n in rng.integers(1, high)) for high in ((70, 150, 20), (70, 70, 40)))
            config = with_encoders(Calhas2022Config(), eeg_shape, grid)
            for shape, spec, target in ((eeg_shape, config.eeg, EEG_TARGET), (grid, config.fmri, FMRI_TARGET)):
                end = block_shapes(shape, spec)[-1]
                assert all(1 <= reached <= wanted for reached, wanted in zip(end, target, strict=True))
                assert block_shapes(shape, spec, max_pool=False)
