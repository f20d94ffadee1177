"""One instance: the EEG's context and the volume."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import figure_to_rgb, instance_figure

TR, HZ = 2.0, np.arange(1, 14) / 2.0


@pytest.fixture
def context(rng):
    return rng.gamma(2, 1, (10, 13))


@pytest.fixture
def volume(rng):
    return rng.random((6, 7, 5))


def test_the_context_ends_where_the_volume_starts(context, volume):
    figure = instance_figure(context, HZ, TR, volume, channel="Oz", title="sub-01, volume 12")
    axes = next(axes for axes in figure.axes if axes.get_title() == "EEG, Oz")
    (mesh,) = (item for item in axes.collections if isinstance(item, QuadMesh))
    np.testing.assert_allclose(mesh.get_array(), 10 * np.log10(2 * TR * context.T**2))
    np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], np.arange(-20, 2, 2))
    assert figure.get_suptitle() == "sub-01, volume 12"
    assert figure_to_rgb(figure).shape == (700, 1900, 3)


def test_the_volume_is_drawn_as_slices(context, volume):
    figure = instance_figure(context, HZ, TR, volume, limits=(0, 2))
    images = {axes.get_title(): axes.images[0] for axes in figure.axes if axes.images}
    assert list(images) == ["Z₀", "Z₃"]
    assert {image.get_clim() for image in images.values()} == {(0, 2)}


def test_a_silent_window_is_drawn(context, volume):
    whole = drawn(context, volume)
    context[3] = 0
    np.testing.assert_array_equal(np.delete(drawn(context, volume), 3, axis=1), np.delete(whole, 3, axis=1))
    assert (drawn(context, volume)[:, 3] < whole.min()).all()
    assert np.unique(drawn(0 * context, volume)).size == 1


def drawn(context, volume):
    """Decibels, (frequencies, windows), of the figure's mesh; the figure is drawn too."""
    figure = instance_figure(context, HZ, TR, volume)
    assert figure_to_rgb(figure).shape == (700, 1900, 3)
    (mesh,) = (item for axes in figure.axes for item in axes.collections if isinstance(item, QuadMesh) and
               axes.get_title())  # fmt: skip
    assert np.isfinite(mesh.get_array()).all()
    return mesh.get_array()


def test_what_does_not_fit_is_refused(context, volume, refuses):
    with refuses(FigureError, r"context has shape \(10, 13\): expected \(windows, 12\)"):
        instance_figure(context, HZ[1:], TR, volume)
    with refuses(FigureError, "context holds NaN"):
        instance_figure(np.full_like(context, np.nan), HZ, TR, volume)
    with refuses(FigureError, "volume has shape"):
        instance_figure(context, HZ, TR, volume[0])
