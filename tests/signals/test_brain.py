"""Courses of the whole brain over time."""

import numpy as np
import pytest

from eeg2fmri.signals import brain_courses


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["uint8", "int16", "float32"])
def test_global_signal_and_dvars_are_those_of_the_brain(rng, order, kind):
    volumes = np.asarray(rng.integers(0, 250, (6, 5, 4, 3)), kind, order=order)
    mask = rng.random((5, 4, 3)) > 0.4
    brain = volumes[:, mask].astype(np.float64)
    means, dvars = brain_courses(volumes, mask)
    np.testing.assert_allclose(means, brain.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(dvars, np.sqrt(np.mean(np.square(np.diff(brain, axis=0)), axis=1)), rtol=1e-5)
    assert (means.dtype, dvars.dtype, dvars.shape) == (np.float32, np.float32, (5,))


def test_a_volume_that_is_moved_stands_out_and_the_background_does_not_count(rng):
    volumes = np.tile(rng.normal(100, 20, (5, 4, 3)), (9, 1, 1, 1)).astype(np.float32)
    mask = np.zeros((5, 4, 3), bool)
    mask[1:4, 1:3, 1] = True
    volumes[3, ~mask] += 50
    volumes[6] = np.roll(volumes[6], 1, axis=0)
    assert list(np.flatnonzero(brain_courses(volumes, mask)[1])) == [5, 6]
