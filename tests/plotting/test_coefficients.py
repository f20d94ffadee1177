"""The figure of a linear model's coefficients: what is drawn where, and what is refused."""

import numpy as np
import pytest
from matplotlib.image import AxesImage

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import coefficient_figure, figure_to_rgb

CHANNELS = ("Fp1", "FP2", "Cz", "Oz", "T7", "T8", "ECG")
BANDS = ("theta", "alpha")
GRID = (7, 6, 5)


@pytest.fixture
def maps(rng):
    shape = (len(CHANNELS), len(BANDS))
    return {"strength": rng.random(shape), "weights": rng.standard_normal(shape), "component": rng.uniform(-1, 1, GRID)}


def draw(maps, channels=CHANNELS, **changes):
    return coefficient_figure(**{**maps, **changes}, channels=channels, bands=BANDS, title="linear")


def images(figure):
    """The images of a figure by their axes' title; the heat map has none."""
    found = {
        axes.get_title(): axes.images[0] for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"
    }
    assert all(isinstance(image, AxesImage) for image in found.values())
    return found


def test_heat_map_heads_and_slices(maps):
    figure = draw(maps)
    found = images(figure)
    assert list(found) == ["", "theta", "alpha", *(f"z = {z}" for z in range(5))]
    np.testing.assert_array_equal(found[""].get_array(), maps["strength"].T)
    np.testing.assert_array_equal(found["z = 3"].get_array(), maps["component"][:, :, 3].T)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(CHANNELS)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(BANDS)
    assert figure_to_rgb(figure).shape == (1040, 1400, 3)


def test_signed_colours_are_symmetric_and_shared(maps):
    found = images(draw(maps))
    limit = np.abs(maps["weights"][:-1]).max()  # ECG is no place on the head
    assert found["theta"].get_clim() == found["alpha"].get_clim() == pytest.approx((-limit, limit))
    assert found["z = 0"].get_clim() == found["z = 4"].get_clim() == (-1, 1)
    assert found[""].get_clim() == (0, maps["strength"].max())


def test_a_head_has_its_band_at_its_place(maps):
    weights = np.zeros((len(CHANNELS), 2))
    weights[4, 1] = 1  # alpha at T7, on the left
    alpha = images(draw(maps, weights=weights))["alpha"].get_array()
    row, column = np.unravel_index(np.argmax(alpha), alpha.shape)
    assert column < 0.3 * alpha.shape[1]
    assert 0.3 < row / alpha.shape[0] < 0.7


def test_channels_without_places_have_no_heads(maps):
    figure = draw(maps, channels=("Fp1", "Fp2", "Cz", "a", "b", "c", "d"))
    assert list(images(figure)) == ["", *(f"z = {z}" for z in range(5))]
    assert figure_to_rgb(figure).shape == (700, 1400, 3)


def test_many_slices_are_thinned(maps, rng):
    titles = list(images(draw(maps, component=rng.uniform(-1, 1, (7, 6, 30)))))[3:]
    assert titles == ["z = 2", "z = 6", "z = 10", "z = 14", "z = 18", "z = 22", "z = 26"]


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ({"strength": np.ones((2, 7))}, r"strength has shape \(2, 7\): expected \(7, 2\)"),
        ({"weights": np.full((7, 2), np.nan)}, "weights holds NaN"),
        ({"component": np.ones((3, 3))}, "component has shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused(maps, fault, match, refuses):
    with refuses(FigureError, match):
        draw(maps, **fault)
