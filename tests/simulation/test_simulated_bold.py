import numpy as np
import pytest
from nilearn import datasets

from eeg2fmri.errors import ConfigError
from eeg2fmri.simulation import amplitudes, bold, eeg
from eeg2fmri.simulation.anatomy import draw_anatomy, grid_affine
from eeg2fmri.simulation.networks import NETWORKS, place, region_maps, regions
from eeg2fmri.simulation.subject import draw_networks

GRID = (13, 12, 11)


@pytest.fixture(scope="module")
def anatomy():
    return draw_anatomy(GRID, 2.16, np.random.default_rng(5))


def long_networks(config, coupling, volumes=1500):
    config = config.model_copy(update={"coupling": coupling, "volumes": volumes})
    clock = eeg.Clock(4.0, 20, int(4 * config.tr * volumes) + 40)
    return draw_networks(config, clock, np.random.default_rng(8))


def test_grid_covers_the_published_field_of_view_at_any_size():
    for grid in ((64, 64, 30), GRID):
        affine = grid_affine(grid)
        corners = [affine[:3] @ [*corner, 1] for corner in ((-0.5,) * 3, np.array(grid) - 0.5)]
        np.testing.assert_allclose(corners[1] - corners[0], (210, 210, 120))
    np.testing.assert_allclose(np.diag(grid_affine((64, 64, 30)))[:3], (3.28125, 3.28125, 4))


def test_a_grid_without_a_brain_is_refused():
    with pytest.raises(ConfigError, match="grid"):
        draw_anatomy((2, 1, 3), 2.16, np.random.default_rng(0))


def test_mean_image_looks_like_a_brain(anatomy):
    assert anatomy.baseline.dtype == np.float32
    assert anatomy.baseline[anatomy.mask].min() > 5 * anatomy.baseline[0, 0, 0]
    assert 700 < np.median(anatomy.baseline[anatomy.mask]) < 1500
    middle = anatomy.positions()[anatomy.mask].mean(axis=0)
    np.testing.assert_allclose(middle, (0, -18, 14), atol=12)  # the brain lies where MNI152 has it


def test_network_maps_peak_in_grey_matter_near_their_regions(anatomy):
    for network in NETWORKS:
        placed = place(network, anatomy, np.random.default_rng(1)).map
        assert placed.shape == GRID
        assert placed.max() == 1
        assert not placed[~anatomy.mask].any()
        peak = anatomy.positions()[np.unravel_index(placed.argmax(), GRID)]
        assert np.linalg.norm(regions(network) - peak, axis=1).min() < 20


def test_every_region_name_is_a_published_one():
    published = datasets.fetch_coords_dosenbach_2010(ordered_regions=False)
    known = {
        (within, label.rsplit(" ", 1)[0]) for within, label in zip(published.networks, published.labels, strict=True)
    }
    for network in NETWORKS:
        assert {(network.region_network, name) for name in network.region_names} <= known
        assert len(regions(network)) >= len(network.region_names)


def test_response_peaks_at_five_seconds_and_latency_delays_it():
    peak = amplitudes.hrf(0.0).argmax() * amplitudes.STEP_S
    assert peak == pytest.approx(5.0, abs=0.11)
    assert amplitudes.hrf(1.0).argmax() * amplitudes.STEP_S == pytest.approx(peak + 1, abs=0.15)


def test_response_equals_a_direct_sum():
    drive = np.random.default_rng(0).standard_normal(700)
    at = amplitudes.HISTORY_S + 12.0
    k = round(at / amplitudes.STEP_S)
    h = amplitudes.hrf(0.3)
    by_hand = sum(h[i] * drive[k - i] for i in range(len(h))) * amplitudes.STEP_S
    assert amplitudes.respond(drive, 0.3, np.array([12.0]))[0] == pytest.approx(by_hand)


def test_amplitudes_are_standardised_in_expectation():
    z = amplitudes.standardise(amplitudes.draw_amplitude(400_000, np.random.default_rng(2)))
    assert z.mean() == pytest.approx(0, abs=0.1)
    assert z.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("coupling", [0.0, 0.6, 1.0])
def test_network_courses_have_the_stated_size_and_sign(tiny, coupling):
    networks = long_networks(tiny, coupling)
    low, high = bold.FLUCTUATION_PERCENT
    size = 2 * networks.courses.std(axis=1)
    np.testing.assert_allclose(size, networks.percent)
    assert ((size >= low) & (size <= high)).all()
    np.testing.assert_allclose(networks.driven.mean(axis=1), 0, atol=1e-12)
    share = networks.driven.var(axis=1) / networks.courses.var(axis=1)
    np.testing.assert_allclose(share, coupling**2, atol=0.2)


def test_sign_follows_the_literature(tiny):
    networks = long_networks(tiny, 1.0)
    lag = 2  # volumes, close to the response's peak
    for network, amplitude, course in zip(NETWORKS, networks.at_volumes, networks.courses, strict=True):
        assert np.sign(np.corrcoef(amplitude[:-lag], course[lag:])[0, 1]) == network.sign


def test_without_coupling_the_eeg_says_nothing(tiny):
    networks = long_networks(tiny, 0.0)
    assert not networks.driven.any()
    for lag in range(6):
        for amplitude, course in zip(networks.at_volumes, networks.courses, strict=True):
            # 1500 volumes of these slow processes are some 150 independent ones
            assert abs(np.corrcoef(amplitude[: 1500 - lag], course[lag:])[0, 1]) < 0.3


def test_temporal_snr_is_the_drawn_one(anatomy):
    noise = bold.draw_noise(np.random.default_rng(4))
    times = 2.16 * np.arange(150)
    maps, courses = bold.draw_nuisance(anatomy, noise, times, 2.16, np.random.default_rng(6))
    images = bold.scan(anatomy, noise, maps[3:], courses[3:], np.random.default_rng(7))  # without drift
    assert images.dtype == np.int16
    series = images[anatomy.mask].astype(float)
    measured = np.median(series.mean(axis=1) / series.std(axis=1))
    assert bold.TEMPORAL_SNR[0] <= noise.tsnr <= bold.TEMPORAL_SNR[1]
    assert measured == pytest.approx(noise.tsnr, rel=0.15)


def test_regions_tile_the_cortex(anatomy):
    maps, networks = region_maps(anatomy)
    assert maps.shape == (160, *GRID)
    assert len(networks) == 160
    assert set(networks) >= {network.region_network for network in NETWORKS}
    together = maps.sum(axis=0)
    assert (together <= anatomy.grey + 1e-5).all()
    assert together[anatomy.mask].sum() > 0.8 * anatomy.grey[anatomy.mask].sum()


@pytest.mark.parametrize("whole_brain", [0.25, 0.6])
def test_physiological_noise_has_the_stated_shares(anatomy, whole_brain):
    noise = bold.Noise(70.0, 0.9, whole_brain)
    maps, courses = bold.draw_nuisance(anatomy, noise, 2.16 * np.arange(1500), 2.16, np.random.default_rng(9))
    power = (maps[:, anatomy.mask] ** 2).mean(axis=1) * courses.var(axis=1)
    parts = {"regions": power[3:163].sum(), "whole brain": power[163], "cycles": power[164:].sum()}
    expected = {"regions": 0.96 - whole_brain, "whole brain": whole_brain, "cycles": 0.04}
    for name, share in expected.items():
        assert parts[name] / noise.physiological_percent**2 == pytest.approx(share, rel=0.2)


def test_regions_share_activity_within_their_network_only(anatomy):
    _, networks = region_maps(anatomy)
    noise = bold.Noise(70.0, 0.9, 0.4)
    _, courses = bold.draw_nuisance(anatomy, noise, 2.16 * np.arange(1500), 2.16, np.random.default_rng(9))
    correlation = np.corrcoef(courses[3:163])
    same = np.array(networks)[:, None] == np.array(networks)
    assert correlation[same & ~np.eye(160, dtype=bool)].mean() == pytest.approx(bold.WITHIN_NETWORK_SHARE, abs=0.1)
    assert correlation[~same].mean() == pytest.approx(0, abs=0.1)


def test_slices_are_interleaved():
    np.testing.assert_allclose(bold.slice_times(5, 2.0), [0, 1.2, 0.4, 1.6, 0.8])
