"""The figure of significant voxels: what is coloured, and what the title says."""

import numpy as np
import pytest

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import figure_to_rgb, voxels_figure

GRID = (9, 8, 7)


@pytest.fixture
def drawn(rng):
    mask = np.zeros(GRID, bool)
    mask[1:-1, 1:-1, 1:-1] = True
    significant = np.zeros(GRID, bool)
    significant[2:4, 3, 2] = True
    return {
        "correlation": np.where(mask, rng.uniform(-0.5, 0, GRID), 0) + 0.6 * significant,
        "significant": significant,
        "mask": mask,
        "background": rng.random(GRID) + mask,
        "level": 0.05,
        "title": "linear",
        "affine": np.diag([3, 3, 4, 1]),
    }


def maps(figure):
    return {axes.get_title(): axes.images[1] for axes in figure.axes if len(axes.images) == 2}


def test_only_significant_voxels_have_a_colour(drawn):
    figure = voxels_figure(**drawn)
    images = maps(figure)
    assert len(images) == 5  # all slices with brain
    assert sum(image.get_array().count() for image in images.values()) == 2
    shown = images["z = 8 mm"].get_array()  # slice 2
    np.testing.assert_array_equal(~np.ma.getmaskarray(shown).T, drawn["significant"][:, :, 2])
    assert figure.texts[0].get_text() == "linear: 2 of 210 voxels at q < 0.05"
    assert figure_to_rgb(figure).shape == (560, 1400, 3)
    assert {text.get_text() for axes in figure.axes for text in axes.texts} == {"L", "R"}


def test_nothing_found_is_said(drawn):
    figure = voxels_figure(**drawn | {"significant": np.zeros(GRID, bool)})
    assert figure.texts[0].get_text() == "linear: 0 of 210 voxels at q < 0.05"
    assert all(image.get_array().mask.all() for image in maps(figure).values())


def test_a_voxel_that_was_not_tested_is_refused(drawn, refuses):
    with refuses(FigureError, "significant holds voxels outside mask"):
        voxels_figure(**drawn | {"significant": np.ones(GRID, bool)})
