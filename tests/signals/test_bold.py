import itertools

import numpy as np
import pytest

from eeg2fmri.signals import BoldStatistics, bold_scaling, recording_statistics, regrid, without_drift


@pytest.fixture
def volumes(rng):
    """Ten volumes of a bright brain in a dark box; (volume, x, y, z)."""
    anatomy = np.full((5, 4, 3), 20.0)
    anatomy[1:4, 1:3] = 700 + 100 * rng.random((3, 2, 3))
    return (anatomy + rng.normal(0, 5, (10, 5, 4, 3))).astype(np.float32)


@pytest.fixture
def statistics(volumes):
    return recording_statistics(volumes, volumes.mean(axis=0) > 300, iqr=False)


@pytest.mark.parametrize("grid", [(9, 8, 7), (6, 5, 4)])
def test_regridding_up_and_back_is_the_identity(grid, rng):
    small = rng.standard_normal((2, 6, 5, 4)).astype(np.float32)
    there = regrid(small, grid, "dct")
    assert there.shape == (2, *grid)
    assert there.dtype == np.float32
    np.testing.assert_allclose(regrid(there, (6, 5, 4), "dct"), small, atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "dct"])
@pytest.mark.parametrize("grid", [(9, 8, 7), (4, 3, 2), (9, 3, 4)])
def test_a_constant_volume_keeps_its_value(grid, method):
    np.testing.assert_allclose(regrid(np.full((2, 6, 5, 4), 731.0), grid, method), 731.0, rtol=1e-6)


@pytest.mark.parametrize("grid", [(40, 33, 26), (15, 18, 11)])
def test_a_blob_stays_where_it_is_and_does_not_ring(grid):
    shape, centre = np.array([20, 22, 16]), np.array([0.35, 0.6, 0.45])  # shares of the field of view
    where = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n for n in shape), indexing="ij"))
    blob = (1000 * np.exp(-(((where.T - centre) * shape) ** 2).sum(-1).T / 12)).astype(np.int16)
    out = regrid(blob[None], grid)[0]
    places = np.stack(np.meshgrid(*((np.arange(n) + 0.5) / n for n in grid), indexing="ij"))
    found = (places * out).sum((1, 2, 3)) / out.sum()
    np.testing.assert_allclose(found * shape, (where * blob).sum((1, 2, 3)) / blob.sum() * shape, atol=0.1)
    assert out.min() >= 0
    assert out.max() <= blob.max()


def _cosine_sum(volume, grid):
    """The definition, sum by sum.

    The orthonormal DCT-II coefficients of `volume` that fit `grid`, summed as cosines at the
    grid's voxel centres, the amplitude rescaled.
    """
    shape = volume.shape
    out = np.zeros(grid)
    for k in itertools.product(*(range(min(a, b)) for a, b in zip(shape, grid, strict=True))):
        coefficient = sum(
            volume[n] * np.prod([_basis(k[a], n[a], shape[a]) for a in range(3)]) for n in np.ndindex(shape)
        )
        for m in np.ndindex(grid):
            out[m] += coefficient * np.prod([_basis(k[a], m[a], grid[a]) for a in range(3)])
    return out * np.sqrt(np.prod(grid) / np.prod(shape))


def _basis(k, n, length):
    return np.sqrt((1 if k == 0 else 2) / length) * np.cos(np.pi * (n + 0.5) * k / length)


@pytest.mark.parametrize("grid", [(3, 4, 5), (2, 2, 3), (5, 2, 3)])
def test_regridding_is_the_cosine_sum(grid, rng):
    volume = rng.standard_normal((4, 3, 2))
    np.testing.assert_allclose(regrid(volume[None], grid, "dct")[0], _cosine_sum(volume, grid), atol=1e-5)


def test_regridding_down_drops_what_the_grid_cannot_hold(rng):
    n = np.arange(8)
    slow, fast = (np.cos(np.pi * (n + 0.5) * k / 8)[:, None, None] * np.ones((8, 3, 2)) for k in (2, 6))
    np.testing.assert_allclose(
        regrid((slow + fast)[None], (5, 3, 2), "dct"), regrid(slow[None], (5, 3, 2), "dct"), atol=1e-6
    )
    assert np.abs(regrid(slow[None], (5, 3, 2), "dct")).max() > 0.5
    np.testing.assert_allclose(regrid(fast[None], (5, 3, 2), "dct"), 0, atol=1e-6)


def test_volumes_on_the_grid_stay_as_they_are(rng):
    volumes = rng.standard_normal((2, 6, 5, 4)).astype(np.float32)
    assert regrid(volumes, (6, 5, 4)) is volumes


@pytest.mark.parametrize("kind", ["recording", "voxel"])
def test_restore_undoes_standardise(kind, volumes, statistics):
    there = bold_scaling(kind).standardise(volumes, statistics)
    assert there.dtype == np.float32
    np.testing.assert_allclose(bold_scaling(kind).restore(there, statistics), volumes, rtol=1e-5)


def test_restore_undoes_percent_signal_change_inside_the_mask(volumes, statistics):
    back = bold_scaling("psc").restore(bold_scaling("psc").standardise(volumes, statistics), statistics)
    mask = statistics.mask
    np.testing.assert_allclose(back[:, mask], volumes[:, mask], rtol=1e-5)
    outside = np.broadcast_to(statistics.voxel_mean[~mask], back[:, ~mask].shape)
    np.testing.assert_array_equal(back[:, ~mask], outside)


def test_recording_scaling_is_one_z_score(volumes, statistics):
    found = bold_scaling("recording").standardise(volumes, statistics)
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std() == pytest.approx(1, rel=1e-5)
    assert np.abs(found.mean(axis=(1, 2, 3))).max() > 1e-4  # not one per volume


def test_volume_scaling_gives_each_volume_mean_0_and_deviation_1(volumes, statistics):
    drift = volumes * np.arange(1, 11, dtype=np.float32)[:, None, None, None]
    found = bold_scaling("volume").standardise(drift, statistics)
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=(1, 2, 3)), 1, rtol=1e-5)


def test_volume_scaling_is_restored_to_the_recordings_level(volumes, statistics):
    back = bold_scaling("volume").restore(bold_scaling("volume").standardise(volumes, statistics), statistics)
    np.testing.assert_allclose(back.mean(axis=(1, 2, 3)), statistics.mean, rtol=1e-5)
    np.testing.assert_allclose(back.std(axis=(1, 2, 3)), statistics.sd, rtol=1e-5)


def test_voxel_scaling_gives_each_voxel_mean_0_and_deviation_1_over_time(volumes, statistics):
    found = bold_scaling("voxel").standardise(volumes, statistics)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), 1, rtol=1e-3)


def test_a_voxel_that_never_changes_is_0(volumes):
    volumes[:, 2, 1, 1] = 50
    statistics = recording_statistics(volumes, np.ones((5, 4, 3), bool), iqr=False)
    assert not bold_scaling("voxel").standardise(volumes, statistics)[:, 2, 1, 1].any()


def test_percent_signal_change_is_in_percent_of_the_voxels_mean_and_0_outside():
    volumes = np.full((4, 3, 2, 1), 200.0, np.float32)
    volumes[:, 0] = np.array([198, 202, 204, 196], np.float32)[:, None, None]
    mask = np.ones((3, 2, 1), bool)
    mask[0, 1] = False
    found = bold_scaling("psc").standardise(volumes, recording_statistics(volumes, mask, iqr=False))
    np.testing.assert_allclose(found[:, 0, 0, 0], [-1, 1, 2, -2], rtol=1e-5)
    assert not found[:, 0, 1].any()
    assert not found[:, 1:].any()


def test_statistics_are_over_everything_and_over_time(volumes):
    mask = volumes.mean(axis=0) > 300
    found = recording_statistics(volumes, mask, iqr=False)
    wide = volumes.astype(np.float64)
    assert (found.mean, found.sd) == (pytest.approx(wide.mean()), pytest.approx(wide.std()))
    np.testing.assert_allclose(found.voxel_mean, wide.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.voxel_sd, wide.std(axis=0), rtol=1e-5)
    assert found.mask is mask
    assert isinstance(found, BoldStatistics)


@pytest.mark.parametrize("sign", [1, -1])
def test_iqr_statistics_equal_a_hand_computation(sign):
    # sorted 1 … 8 and 14: Q1 = 3, Q3 = 7, IQR = 4, so -3 … 13 is kept
    volumes = sign * np.array([14, 3, 1, 8, 5, 2, 7, 4, 6], np.float32).reshape(9, 1, 1, 1)
    found = recording_statistics(volumes, np.ones((1, 1, 1), bool), iqr=True)
    assert found.mean == sign * 4.5
    assert found.sd == pytest.approx(np.sqrt(5.25))
    assert found.voxel_mean == pytest.approx(sign * 50 / 9)  # the outlier stays in the data


@pytest.mark.parametrize("outlier", [1e6, -1e6])
def test_iqr_statistics_ignore_planted_outliers(outlier, rng):
    clean = rng.normal(500, 20, (20, 6, 5, 4))
    mask = np.ones((6, 5, 4), bool)
    spoiled = clean.copy()
    spoiled[::7, 2, 3, 1] = outlier
    found, expected = (recording_statistics(v, mask, iqr=True) for v in (spoiled, clean))
    assert found.mean == pytest.approx(expected.mean, rel=1e-3)
    assert found.sd == pytest.approx(expected.sd, rel=1e-2)
    assert recording_statistics(spoiled, mask, iqr=False).sd > 100 * found.sd


@pytest.mark.parametrize("sign", [1, -1])
def test_iqr_bounds_are_kept_themselves(sign):
    # Q1 = 3, Q3 = 7 again: 13 lies on the bound
    volumes = sign * np.array([13, 3, 1, 8, 5, 2, 7, 4, 6], np.float64).reshape(9, 1, 1, 1)
    assert recording_statistics(volumes, np.ones((1, 1, 1), bool), iqr=True).mean == volumes.mean()


def test_iqr_of_a_full_recording_is_vectorised(rng):
    volumes = rng.standard_normal((20, 64, 64, 30), dtype=np.float32)
    volumes[3, 4, 5, 6] = 1e9
    assert recording_statistics(volumes, np.ones((64, 64, 30), bool), iqr=True).sd == pytest.approx(0.98, abs=0.02)


def test_drifts_and_the_mean_are_taken_out_and_faster_changes_kept():
    times = np.arange(60) + 0.5
    slow = 3 + np.cos(np.pi * times * 2 / 60)  # period 60 volumes = 120 s
    fast = np.cos(np.pi * times * 10 / 60)  # period 24 s
    series = np.stack([slow + fast, 5 * slow], axis=1).reshape(60, 2, 1)
    left = without_drift(series, tr=2.0, cutoff=100.0)
    np.testing.assert_allclose(left[:, 0, 0], fast, atol=1e-9)
    np.testing.assert_allclose(left[:, 1, 0], 0, atol=1e-9)
