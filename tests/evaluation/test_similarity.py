"""SSIM against TensorFlow's own, which the published code calls slice by slice."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation import has_ssim, ssim


def pair(rng, grid, volumes=2):
    """Volumes on the standard scale, background below 0 as there, and others near them; float32."""
    measured = rng.uniform(-1, 3, (volumes, *grid))
    return measured.astype(np.float32), (0.8 * measured + rng.normal(0, 0.5, measured.shape)).astype(np.float32)


def published(measured, synthesised):
    """Every third slice by `tf.image.ssim`, range by range as the published code gives it."""
    scores = []
    for volume, guess in zip(measured, synthesised, strict=True):
        for z in range(0, volume.shape[2], 3):
            first, second = volume[None, :, :, z, None], guess[None, :, :, z, None]
            maximum = max(first.max(), second.max())
            scores.append(float(tf.image.ssim(first, second, max_val=maximum)[0]))
    return float(np.mean(scores))


@pytest.mark.parametrize("grid", [(64, 64, 30), (11, 12, 4), (23, 17, 1)], ids=str)
def test_equals_tensorflow(rng, grid):
    measured, synthesised = pair(rng, grid)
    assert ssim(measured, synthesised) == pytest.approx(published(measured, synthesised), abs=1e-6)
    assert ssim(measured, synthesised) < 0.95


def test_a_slice_below_zero_counts_as_in_tensorflow(rng):
    measured, synthesised = pair(rng, (14, 12, 4))
    without = ssim(measured, synthesised)
    measured[..., 3] -= 5
    synthesised[..., 3] -= 5
    assert ssim(measured, synthesised) == pytest.approx(published(measured, synthesised), abs=1e-6)
    assert ssim(measured, synthesised) != pytest.approx(without, abs=1e-3)


def test_only_every_third_slice_counts(rng):
    measured, synthesised = pair(rng, (12, 11, 5))
    skipped = synthesised.copy()
    skipped[..., [1, 2, 4]] = 9.0
    assert ssim(measured, skipped) == ssim(measured, synthesised)
    skipped[..., 3] = 9.0
    assert ssim(measured, skipped) != ssim(measured, synthesised)


def test_slices_without_a_range_are_left_out(rng):
    measured, synthesised = pair(rng, (12, 11, 4))
    only_first = ssim(measured[..., :1], synthesised[..., :1])
    measured[..., 3] = synthesised[..., 3] = 0
    assert ssim(measured, synthesised) == pytest.approx(only_first, rel=1e-12)
    with pytest.raises(EvaluationError, match="maximum of every axial slice is 0"):
        ssim(0 * measured, 0 * measured)


def test_a_perfect_synthesis_scores_one(rng):
    measured, _ = pair(rng, (12, 13, 4))
    assert ssim(measured, measured) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("grid", [(10, 11, 4), (12, 9, 4)], ids=str)
def test_a_slice_smaller_than_the_window_is_refused(rng, grid):
    measured, synthesised = pair(rng, grid)
    assert not has_ssim(grid)
    with pytest.raises(EvaluationError, match=f"axial slices of {grid[0]} x {grid[1]} voxels: SSIM needs"):
        ssim(measured, synthesised)
    with pytest.raises(tf.errors.InvalidArgumentError):
        published(measured, synthesised)
