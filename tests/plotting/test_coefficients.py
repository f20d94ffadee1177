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
    return {"strength": rng.random(shape), "weights": rng.standard_normal(shape), "component": rng.uniform(-1, 1, GRID),
            "anatomy": rng.random(GRID)}  # fmt: skip


def draw(maps, channels=CHANNELS, **changes):
    return coefficient_figure(**{**maps, **changes}, channels=channels, bands=BANDS, title="linear")


def images(figure):
    """The uppermost images of a figure by their axes' title; the heat map has none."""
    found = {
        axes.get_title(): axes.images[-1] for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"
    }
    assert all(isinstance(image, AxesImage) for image in found.values())
    return found


def test_heat_map_heads_and_slices(maps):
    figure = draw(maps)
    found = images(figure)
    assert list(found) == ["", "theta", "alpha", "Z₀", "Z₁", "Z₂", "Z₃", "Z₄"]
    np.testing.assert_array_equal(found[""].get_array(), maps["strength"].T)
    drawn = found["Z₃"].get_array()
    np.testing.assert_array_equal(drawn.compressed(), maps["component"][:, :, 3].T[~np.ma.getmaskarray(drawn)])
    np.testing.assert_array_equal(found["Z₃"].axes.images[0].get_array(), maps["anatomy"][:, :, 3].T)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(CHANNELS)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(BANDS)
    assert figure_to_rgb(figure).shape == (1040, 1400, 3)


def test_signed_colours_are_symmetric_and_shared(maps):
    found = images(draw(maps))
    limit = np.abs(maps["weights"][:-1]).max()  # ECG is no place on the head
    assert found["theta"].get_clim() == found["alpha"].get_clim() == pytest.approx((-limit, limit))
    assert found["Z₀"].get_clim() == found["Z₄"].get_clim() == (-1, 1)
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
    assert list(images(figure)) == ["", "Z₀", "Z₁", "Z₂", "Z₃", "Z₄"]
    assert figure_to_rgb(figure).shape == (700, 1400, 3)


def test_many_slices_are_thinned(maps, rng):
    component = rng.uniform(-1, 1, (7, 6, 32))
    titles = list(images(draw(maps, component=component, anatomy=component)))[3:]
    assert titles == ["Z₂", "Z₆", "Z₁₀", "Z₁₄", "Z₁₈", "Z₂₂", "Z₂₆", "Z₃₀"]


def test_the_component_is_turned_by_the_affine_and_ends_around_the_brain(maps):
    mask = np.zeros(GRID, bool)
    mask[1:6, 1:5, 1:3] = True
    affine = np.array([[-3.0, 0, 0, 9], [0, 3, 0, -9], [0, 0, 4, -12], [0, 0, 0, 1]])
    found = images(draw(maps, affine=affine, mask=mask))
    assert list(found)[3:] == ["z = −8 mm", "z = −4 mm"]
    small = np.abs(maps["component"][::-1, :, 2].T) < 0.15
    drawn = found["z = −4 mm"].get_array().filled(9)
    np.testing.assert_array_equal(drawn, np.where(small, 9, maps["component"][::-1, :, 2].T))
    assert [text.get_text() for text in found["z = −8 mm"].axes.texts] == ["L", "R"]


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ({"strength": np.ones((2, 7))}, r"strength has shape \(2, 7\): expected \(7, 2\)"),
        ({"weights": np.full((7, 2), np.nan)}, "weights holds NaN"),
        ({"component": np.ones((3, 3))}, "component has shape"),
        ({"anatomy": np.ones((7, 6, 4))}, "anatomy has shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused(maps, fault, match, refuses):
    with refuses(FigureError, match):
        draw(maps, **fault)
