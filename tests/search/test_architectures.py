"""What Optuna draws reaches its target exactly, and every member of the space can be drawn."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest

from eeg2fmri.config import PUBLISHED_EEG, PUBLISHED_FMRI, Calhas2022Ranges
from eeg2fmri.errors import SpecError
from eeg2fmri.families.calhas2022_blocks import block_parameters, suggest_blocks
from eeg2fmri.models.architectures import AxisSpace
from eeg2fmri.models.spec import block_shapes

EEG = ((64, 134, 10), Calhas2022Ranges().eeg_target, (2, 2, 1), (1, 1, 1))
FMRI = ((64, 64, 30), Calhas2022Ranges().fmri_target, (2, 2, 2), (1, 1, 1))
SMALL = ((9, 14, 6), (2, 3, 4), (2, 2, 1), (1, 1, 1))
PUBLISHED = [("eeg", PUBLISHED_EEG, EEG), ("fmri", PUBLISHED_FMRI, FMRI)]


class Uniform(optuna.trial.FixedTrial):
    """A trial that answers with uniform draws and keeps what it was asked."""

    def __init__(self, rng):
        super().__init__({})
        self.rng, self.asked = rng, {}

    def suggest_float(self, name, low, high):
        return self.asked.setdefault(name, float(self.rng.uniform(low, high)))

    def suggest_int(self, name, low, high):
        return self.asked.setdefault(name, int(self.rng.integers(low, high + 1)))


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
        (
            {"target": (2, 15, 4)},
            "eeg_target 15 on axis 1 cannot be reached from 14 by 2 .* pool 2; the nearest that can be is 12;",
        ),
        ({"pool": (9, 2, 1)}, "axis 0 cannot be reached from 9 by 2 blocks with pool 9; nothing can be"),
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
