"""The linear family: band power, lag shapes, and what its coefficients say."""

import numpy as np
import pytest

from eeg2fmri.config import LinearConfig
from eeg2fmri.errors import SpecError
from eeg2fmri.models.linear import LinearNetwork, bands_with_bins, lag_shapes, log_band_power

TR = 2.0
FREQUENCIES = np.arange(1, 21) / TR  # 0.5 to 10 Hz: delta, theta, alpha
EDGES = np.array([[0.1, 4.0], [4.0, 8.0], [8.0, 13.0]])
GRID, CHANNELS, CONTEXT = (4, 3, 2), 3, 5
BANDS = len(EDGES)


def test_log_band_power_is_the_log_of_the_summed_squares():
    eeg = np.zeros((1, 1, 20, 1))
    eeg[0, 0, [0, 1], 0] = 3, 4  # 0.5 and 1 Hz: delta
    eeg[0, 0, 15, 0] = 2  # 8 Hz: alpha
    power = log_band_power(eeg, FREQUENCIES, EDGES)
    assert power.shape == (1, 1, BANDS, 1)
    np.testing.assert_allclose(np.exp(power[0, 0, :, 0]), [25, 0, 4], atol=1e-9)


def test_bands_without_bins_are_left_out():
    kept = bands_with_bins(LinearConfig().bands, FREQUENCIES)
    assert list(kept) == ["delta", "theta", "alpha"]
    np.testing.assert_array_equal(np.stack(list(kept.values())), EDGES)


def test_frequencies_outside_every_band_are_refused(refuses):
    with refuses(SpecError, "no frequency of 100 to 200 Hz is in a band"):
        bands_with_bins(LinearConfig().bands, np.array([100.0, 200.0]))


def test_the_haemodynamic_shape_peaks_five_seconds_before_the_volume():
    shapes = lag_shapes(10, 2.16)
    lags = (10 - np.arange(10) - 0.5) * 2.16
    assert shapes.shape == (10, 2)
    np.testing.assert_allclose(np.linalg.norm(shapes, axis=0), 1, rtol=1e-6)
    assert lags[shapes[:, 0].argmax()] == pytest.approx(5.4)
    assert shapes[:3, 0].max() < 0  # the undershoot, some 15 to 20 s back


class TestMaps:
    """Weights of one channel and band on one of two components, by two lag shapes."""

    @pytest.fixture
    def network(self, rng):
        components = np.linalg.qr(rng.standard_normal((24, 2)))[0].T.astype(np.float32)
        coefficients = np.zeros((CHANNELS, BANDS, 2, 2), np.float32)
        coefficients[1, 2, :, 1] = 3, -1
        coefficients[0, 0, 0, 0] = 0.5
        return LinearNetwork(
            frequencies=FREQUENCIES.astype(np.float32),
            bands=EDGES,
            power_mean=np.zeros((CHANNELS, BANDS), np.float32),
            power_sd=np.full((CHANNELS, BANDS), 0.5, np.float32),
            lag_shapes=rng.standard_normal((CONTEXT, 2)).astype(np.float32),
            coefficients=coefficients.reshape(-1, 2),
            components=components,
            intercept=np.zeros(24, np.float32),
            grid=np.array(GRID),
        )

    def test_strength_is_the_size_of_what_white_log_power_drives(self, network):
        mask = np.ones(GRID, bool)
        mask[0] = False
        strength = network.maps(mask).strength
        lags = 0.5 * network.lag_shapes @ [3, -1]
        expected = np.sqrt(np.square(np.outer(lags, network.components[1][mask.ravel()])).sum() / mask.sum())
        assert strength.shape == (CHANNELS, BANDS)
        assert strength[1, 2] == pytest.approx(expected, rel=1e-5)
        assert np.count_nonzero(strength) == 2

    def test_weights_are_those_of_the_strongest_component_at_its_peak(self, network):
        maps = network.maps(np.ones(GRID, bool))
        assert np.abs(maps.component).max() == maps.component.max() == pytest.approx(1)
        eeg = np.ones((2, CHANNELS, len(FREQUENCIES), CONTEXT), np.float32)
        eeg[1, 1, FREQUENCIES >= 8] *= np.exp(0.25)  # one deviation of log power, an amplitude's half
        change = np.subtract(*network.predict(eeg)[::-1])
        assert maps.weights[1, 2] == pytest.approx(change[maps.component == 1].item(), rel=1e-4)
        assert np.count_nonzero(maps.weights) == 1
