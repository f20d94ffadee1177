"""The slice figures, read back from their artists."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import comparison_figure, figure_to_rgb, slice_figure

GRID = (5, 6, 8)


@pytest.fixture
def volume():
    """A ramp from 0 to 1 in shuffled order: exactly a known share lies below any threshold."""
    return np.random.default_rng(2).permutation(np.linspace(0, 1, np.prod(GRID))).reshape(GRID)


def slices(figure):
    """Images of the slices by their label, without colour bars and the stack."""
    return {axes.get_title(): axes.images[0] for axes in figure.axes if axes.images}


def stack(figure):
    return next(axes for axes in figure.axes if axes.name == "3d")


def bars(figure):
    return [axes for axes in figure.axes if axes.get_ylabel() and not axes.images]


def test_every_third_slice_is_drawn_with_x_right_and_y_up(volume):
    figure = slice_figure(volume, threshold=0)
    assert list(slices(figure)) == ["Z₀", "Z₃", "Z₆"]
    for z, image in zip((0, 3, 6), slices(figure).values(), strict=True):
        np.testing.assert_array_equal(image.get_array(), volume[:, :, z].T)
        assert image.axes.get_ylim() == (0, 6)
        assert image.axes.get_xlim() == (0, 5)


def test_labels_count_in_subscripts():
    assert list(slices(slice_figure(np.ones((2, 3, 14)))))[-1] == "Z₁₂"


def test_voxels_below_the_threshold_are_blank_and_transparent(volume):
    for z, image in zip((0, 3, 6), slices(slice_figure(volume)).values(), strict=True):
        below = volume[:, :, z].T < 0.37
        np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), below)
        alpha = image.to_rgba(image.get_array())[..., 3]
        np.testing.assert_array_equal(alpha, np.where(below, 0.0, 1.0))


def test_all_slices_share_one_scale_and_one_bar(volume):
    figure = slice_figure(volume, unit_label="BOLD (% change)")
    assert {image.get_clim() for image in slices(figure).values()} == {(0, 1)}
    (bar,) = bars(figure)
    assert bar.get_ylabel() == "BOLD (% change)"
    assert bar.get_ylim() == (0, 1)


def test_given_limits_set_scale_and_threshold(volume):
    figure = slice_figure(volume, limits=(-1, 3), threshold=0.4)
    for z, image in zip((0, 3, 6), slices(figure).values(), strict=True):
        assert image.get_clim() == (-1, 3)
        np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), volume[:, :, z].T < 0.6)


def test_signed_scale_is_symmetric_and_blanks_small_sizes(volume):
    residual = volume - 0.4  # -0.4 … 0.6
    for z, image in zip((0, 3, 6), slices(slice_figure(residual, signed=True)).values(), strict=True):
        assert image.get_clim() == pytest.approx((-0.6, 0.6))
        small = np.abs(residual[:, :, z].T) < 0.37 * residual.max()
        np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), small)
        alpha = image.to_rgba(image.get_array())[..., 3]
        np.testing.assert_array_equal(alpha, np.where(small, 0.0, 1.0))


def test_stack_holds_the_drawn_voxels_and_nothing_else(volume):
    axes = stack(slice_figure(volume))
    planes = [c for c in axes.collections if isinstance(c, Poly3DCollection)]
    drawn = int((volume[:, :, ::3] >= 0.37).sum())
    FigureCanvasAgg(axes.figure).draw()
    assert sum(len(plane.get_paths()) for plane in planes) == drawn + 3  # and a frame per slice
    assert [label.get_text() for label in axes.get_zticklabels()] == ["Z₀", "Z₃", "Z₆"]


def test_large_slices_are_thinned_in_the_stack_only():
    figure = slice_figure(np.ones((130, 70, 2)), threshold=0)
    plane = stack(figure).collections[1]
    FigureCanvasAgg(figure).draw()
    assert len(plane.get_paths()) == 44 * 24
    assert slices(figure)["Z₀"].get_array().shape == (70, 130)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (3, 2, 4), (4, 5, 100)])
@pytest.mark.parametrize("signed", [False, True])
def test_any_shape_and_a_constant_volume_can_be_drawn(shape, signed):
    image = figure_to_rgb(slice_figure(np.zeros(shape, np.float32), signed=signed))
    assert image.shape == (700, 1400, 3)


def test_figures_can_be_drawn_in_threads(volume):
    def draw(threshold):
        return figure_to_rgb(slice_figure(volume, threshold=threshold, title=f"{threshold}"))

    thresholds = [0.1, 0.3, 0.5, 0.7]
    with ThreadPoolExecutor(4) as pool:
        for image, threshold in zip(pool.map(draw, thresholds), thresholds, strict=True):
            np.testing.assert_array_equal(image, draw(threshold))


AFFINE = np.array([[-3.0, 0, 0, 6], [0, 2, 0, -5], [0, 0, 4, -12], [0, 0, 0, 1]])  # stored to the left


def rows(figure):
    """Images over the anatomy by the name of their row, in the order of the slices."""
    drawn = [axes for axes in figure.axes if axes.images]
    columns = len(drawn) // 3
    assert all(len(axes.images) == 2 for axes in drawn)
    return {
        drawn[i].get_ylabel(): [axes.images[1] for axes in drawn[i : i + columns]]
        for i in range(0, 3 * columns, columns)
    }


def test_the_slice_figure_has_millimetres_and_sides_where_an_affine_is_given(volume):
    figure = slice_figure(volume, affine=AFFINE, threshold=0)
    assert list(slices(figure)) == ["z = −12 mm", "z = 0 mm", "z = 12 mm"]
    image = slices(figure)["z = 0 mm"]
    np.testing.assert_array_equal(image.get_array(), volume[::-1, :, 3].T)
    assert (image.axes.get_xlim(), image.axes.get_ylim()) == ((0, 15), (0, 12))
    assert [label.get_text() for label in stack(figure).get_zticklabels()] == ["−12 mm", "0 mm", "12 mm"]
    assert sum(text.get_text() == "L" for axes in figure.axes for text in axes.texts) == 1


def test_comparison_has_three_rows_over_the_anatomy(volume):
    anatomy = volume[::-1]
    figure = comparison_figure(volume, 0.25 * volume, anatomy, title="epoch 3", caption="fixed", threshold=0)
    drawn = rows(figure)
    assert list(drawn) == ["measured", "synthesised", "measured −\nsynthesised"]
    for z, column in zip((0, 2, 3, 4, 6, 7), zip(*drawn.values(), strict=True), strict=True):
        for image, expected in zip(column, (volume, 0.25 * volume, 0.75 * volume), strict=True):
            np.testing.assert_allclose(image.get_array(), expected[:, :, z].T)
            np.testing.assert_array_equal(image.axes.images[0].get_array(), anatomy[:, :, z].T)
            assert image.axes.images[0].get_cmap()(0.5)[:3] == pytest.approx((0.5, 0.5, 0.5), abs=0.01)
    assert [text.get_text() for text in figure.texts] == ["epoch 3", "fixed"]


def test_comparison_has_one_symmetric_scale_of_the_measured_change(volume):
    figure = comparison_figure(volume, 3 * volume, volume, unit_label="change (%)")
    limit = np.percentile(volume, 99.5)
    assert {image.get_clim() for row in rows(figure).values() for image in row} == {(-limit, limit)}
    (bar,) = [axes for axes in bars(figure) if not axes.images]
    assert bar.get_ylabel() == "change (%)"
    given = comparison_figure(volume, 3 * volume, volume, limit=0.25)
    assert {image.get_clim() for row in rows(given).values() for image in row} == {(-0.25, 0.25)}


def test_a_model_that_draws_anatomy_only_leaves_its_row_empty(volume):
    shown = rows(comparison_figure(volume - 0.5, np.zeros(GRID), volume))
    assert all(np.ma.getmaskarray(image.get_array()).all() for image in shown["synthesised"])
    assert not all(np.ma.getmaskarray(image.get_array()).all() for image in shown["measured"])


def test_nothing_outside_the_brain_is_coloured(volume):
    mask = np.zeros(GRID, bool)
    mask[1:3, 2:5, 2:4] = True
    shown = rows(comparison_figure(volume, volume, volume, mask=mask, affine=AFFINE, threshold=0))
    assert [image.axes.get_title() for image in shown["measured"]] == ["z = −4 mm", "z = 0 mm"]
    for z, image in zip((2, 3), shown["measured"], strict=True):
        np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), ~mask[::-1, :, z].T)
        assert (image.axes.get_xlim(), image.axes.get_ylim()) == ((3, 15), (2, 12))


def test_comparison_of_many_slices_keeps_six_evenly_spaced_columns():
    volume = np.random.default_rng(1).random((3, 4, 48))
    titles = [axes.get_title() for axes in comparison_figure(volume, volume, volume).axes if axes.get_title()]
    assert titles == ["Z₄", "Z₁₂", "Z₂₀", "Z₂₈", "Z₃₆", "Z₄₄"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volume": np.ones((2, 3))}, "volume has shape"),
        ({"volume": np.ones((2, 3, 0))}, "volume has shape"),
        ({"volume": np.full((2, 3, 4), np.nan)}, "volume holds NaN"),
        ({"threshold": 1.0}, "threshold=1.0"),
        ({"threshold": -0.1}, "threshold=-0.1"),
        ({"limits": (2, 1)}, "low < high"),
        ({"signed": True, "limits": (-1, 2)}, "signed"),
    ],
)
def test_slice_figure_refuses(change, message):
    arguments = {"volume": np.ones((2, 3, 4)), **change}
    with pytest.raises(FigureError, match=message):
        slice_figure(arguments.pop("volume"), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"synthesised": np.ones((2, 3, 5))}, "synthesised has shape"),
        ({"synthesised": np.full((2, 3, 4), np.inf)}, "synthesised holds"),
        ({"anatomy": np.ones((2, 4, 4))}, "anatomy has shape"),
        ({"mask": np.ones((2, 3, 5), bool)}, "mask has shape"),
        ({"affine": np.zeros((4, 4))}, "affine must be"),
    ],
)
def test_comparison_figure_refuses(change, message):
    volume = np.ones((2, 3, 4))
    with pytest.raises(FigureError, match=message):
        comparison_figure(**{"measured": volume, "synthesised": volume, "anatomy": volume, **change})
