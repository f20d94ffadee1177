"""Maps of one subject: the weight is found where the evidence is, and without evidence nothing changes."""

import math

import numpy as np

from eeg2fmri.models.own_maps import SPACING_MM, nodes, smooth_weights

GRID = (12, 10, 9)
AFFINE = np.diag([10.0, 12.0, 14.0, 1.0])
AFFINE[:3, 3] = (-60, -55, -60)


def planted(rng, noise: float):
    """Scores of 400 volumes whose maps are twice the model's in the right half of the brain, and absent in the left."""
    mask = np.zeros(GRID, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    maps = np.linalg.qr(rng.standard_normal((math.prod(GRID), 20)) * mask.reshape(-1, 1))[0].T
    weight = np.where(np.arange(GRID[0]) >= 6, 1.0, -1.0)[:, None, None] * mask
    predicted = rng.standard_normal((400, 20))
    measured = predicted @ ((maps * (1 + weight.ravel())) @ maps.T) + noise * rng.standard_normal((400, 20))
    return predicted, measured, maps, mask, weight


def test_a_planted_weight_is_found(rng):
    predicted, measured, maps, mask, weight = planted(rng, 0.3)
    (found,) = smooth_weights(predicted, measured, maps, mask, AFFINE, (1.0,))
    assert found.shape == GRID
    assert not found[~mask].any()
    assert np.corrcoef(found[mask], weight[mask])[0, 1] > 0.85
    assert abs(found[9:11][mask[9:11]].mean() - 1) < 0.2
    assert abs(found[1:3][mask[1:3]].mean() + 1) < 0.2


def test_the_weight_shrinks_with_the_penalty_to_no_change_at_all(rng):
    predicted, measured, maps, mask, _ = planted(rng, 3.0)
    found = smooth_weights(predicted, measured, maps, mask, AFFINE, (0.1, 10.0, 1e4, math.inf))
    sizes = [float(np.square(each).sum()) for each in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.01 * sizes[0]
    assert sizes[3] == 0


def test_it_is_the_ridge_regression_that_it_says(rng):
    """The same, from the long design: one row for each volume and score, one column for each node."""
    predicted, measured, maps, mask, _ = planted(rng, 1.0)
    (found,) = smooth_weights(predicted, measured, maps, mask, AFFINE, (2.0,))
    shares = np.zeros((mask.sum(), len(nodes(mask, AFFINE))))
    for number, (near, share) in enumerate(nodes(mask, AFFINE)):
        shares[near, number] = share
    inside, error = maps[:, mask.ravel()], measured - predicted
    scale = 1 / error.std(axis=0)
    columns = [((predicted @ inside * share) @ inside.T * scale).ravel() for share in shares.T]
    design = np.stack(columns, axis=1)
    heights = np.linalg.solve(design.T @ design + 2 * np.eye(len(columns)), design.T @ (error * scale).ravel())
    np.testing.assert_allclose(found[mask], shares @ heights, rtol=1e-3, atol=1e-4)


def test_the_shares_of_a_voxel_add_up_to_one():
    mask = np.ones(GRID, bool)
    places = nodes(mask, AFFINE)
    total = np.zeros(mask.size)
    for near, share in places:
        total[near] += share
    np.testing.assert_allclose(total, 1)
    width = np.ptp(np.argwhere(mask) @ AFFINE[:3, :3], axis=0)
    assert len(places) == np.prod(np.ceil(width / SPACING_MM) + 1)
