"""Axial slices: where left is, how high a slice lies, and its proportions."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from nibabel.affines import from_matvec
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import Axial, Layer, draw_overlay, draw_slice, figure_to_rgb, make_scale
from eeg2fmri.plotting.canvas import new_figure

SHAPE, SIZES = (7, 9, 5), (3.0, 2.0, 4.0)
RAS = from_matvec(np.diag(SIZES), [-9.0, -8.0, -12.0])  # x of -9 to 9 mm, z of -12 to 4 mm
BRIGHT_MM = (6.0, -4.0, 4.0)  # right, back, top


def stored(code):
    """An affine of the same voxels stored as `code`, and a volume with one bright voxel at `BRIGHT_MM`."""
    orientation = axcodes2ornt(tuple(code))
    shape = tuple(SHAPE[int(axis)] for axis in orientation[:, 0])
    affine = RAS @ np.linalg.inv(inv_ornt_aff(orientation, shape))
    volume = np.zeros(shape)
    volume[tuple(np.rint(np.linalg.solve(affine, [*BRIGHT_MM, 1])[:3]).astype(int))] = 1
    assert volume.sum() == 1
    return affine, volume


def drawn(axial, z, *layers, **options):
    axes = new_figure(4, 4, "").add_axes((0, 0, 1, 1))
    draw_slice(axes, axial, z, *layers, **options)
    return axes


@pytest.mark.parametrize("code", ["RAS", "LAS", "LPI", "RSA", "PIL"])
def test_the_subject_s_right_is_drawn_on_the_side_marked_r(code):
    affine, volume = stored(code)
    axial = Axial.of(volume.shape, affine)
    assert axial.shape == SHAPE
    np.testing.assert_allclose(axial.affine, RAS)
    axes = drawn(axial, 4, Layer(volume, make_scale(volume, False, 0, (0, 1), None)), sides=True)
    ((row, column),) = np.argwhere(axes.images[0].get_array() == 1)
    left, right, bottom, top = axes.images[0].get_extent()
    across = left + (column + 0.5) * (right - left) / SHAPE[0]
    up = bottom + (row + 0.5) * (top - bottom) / SHAPE[1]
    assert (across, up) == (7 * 3 - 4.5, 3 * 2 - 1)  # in the right half, in the back half
    assert axes.images[0].origin == "lower"
    assert axes.get_title() == "z = 4 mm"
    sides = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert sides["L"] < 0.5 < sides["R"]


def test_the_bright_voxel_is_right_of_the_middle_in_pixels():
    affine, volume = stored("LAS")
    axes = drawn(Axial.of(volume.shape, affine), 4, Layer(volume, make_scale(volume, False, 0.5, (0, 1), "autumn")),
                 label=False)  # fmt: skip
    rows, columns = np.nonzero((figure_to_rgb(axes.figure) == [255, 255, 0]).all(axis=2))
    assert columns.min() > 200
    assert rows.min() > 200  # y is -4 mm: the back, at the bottom


def test_slices_have_the_proportions_of_their_voxels():
    affine, volume = stored("LAS")
    axes = drawn(Axial.of(volume.shape, affine), 0, Layer(volume, make_scale(volume, False, 0, (0, 1), None)))
    assert axes.get_aspect() == 1
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 21), (0, 18))


def test_without_an_affine_slices_are_counted_and_no_side_is_marked():
    volume = np.arange(24.0).reshape(2, 3, 4)
    axes = drawn(Axial.of((2, 3, 4)), 3, Layer(volume, make_scale(volume, False, 0, None, None)), sides=True)
    assert axes.get_title() == "Z₃"
    assert not axes.texts
    np.testing.assert_array_equal(axes.images[0].get_array(), volume[:, :, 3].T)


def test_heights_of_tilted_slices_are_about():
    tilt = np.deg2rad(20)
    turned = from_matvec([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]) @ RAS
    axial = Axial.of(SHAPE, turned)
    middle = turned @ [3, 4, 1, 1]
    assert axial.label(1) == f"z ≈ −{round(-middle[2])} mm"
    assert Axial.of(SHAPE, RAS).label(1) == "z = −8 mm"


def test_the_box_ends_one_voxel_around_the_brain():
    affine, volume = stored("LPI")
    mask = np.zeros(volume.shape, bool)
    mask[1:3, 4:7, 1:3] = True  # x of 12 to 18 mm from the left, y of 4 to 10 mm from the back
    axial = Axial.of(volume.shape, affine, mask)
    assert axial.box == (9, 21, 2, 12)
    assert axial.slices == (2, 3)
    assert axial.spread(6) == [2, 3]


def test_slices_are_spread_over_the_middles_of_equal_parts():
    assert Axial.of((2, 3, 48)).spread(6) == [4, 12, 20, 28, 36, 44]
    assert Axial.of((2, 3, 4)).spread(6) == [0, 1, 2, 3]


def test_activity_lies_over_the_anatomy_where_it_is_not_blank():
    activity = np.zeros((2, 3, 1))
    activity[1, 2] = 1
    axes = new_figure(2, 3, "").add_axes((0, 0, 1, 1))
    anatomy = np.arange(6.0).reshape(2, 3, 1)
    draw_overlay(axes, Axial.of((2, 3, 1)), 0, anatomy, activity, make_scale(activity, True, 0.3, (-1, 1), None))
    pixels = figure_to_rgb(axes.figure)
    red, grey = pixels[50, 150].astype(int), pixels[50, 50].astype(int)
    assert red[0] > 2 * red[1]
    assert np.ptp(grey) == 0
    assert axes.get_facecolor() == to_rgba("black")


@pytest.mark.parametrize("affine", [np.eye(3), np.diag([1.0, 2, 0, 1]), np.full((4, 4), np.nan)])
def test_an_affine_that_places_nothing_is_refused(affine, refuses):
    with refuses(FigureError, "affine must be"):
        Axial.of(SHAPE, affine)
