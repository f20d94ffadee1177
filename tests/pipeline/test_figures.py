"""The volume that `train` and `evaluate` draw: which one, where, and in which unit."""

import dataclasses

import numpy as np
import pytest
import zarr

from eeg2fmri import plotting
from eeg2fmri.pipeline.figures import smoothed, volume_figure
from eeg2fmri.store import Windows
from eeg2fmri.testing.recordings import CONTEXT, GRID, SIGNAL, recording

DROPPED = 3


@pytest.fixture
def drawn(monkeypatch):
    """What `comparison_figure` is given."""
    given = {}
    original = plotting.comparison_figure

    def remember(measured, synthesised, anatomy, **options):
        given.update(measured=measured, synthesised=synthesised, anatomy=anatomy, **options)
        return original(measured, synthesised, anatomy, **options)

    monkeypatch.setattr(plotting, "comparison_figure", remember)
    return given


def test_the_middle_volume_is_named_by_its_number_and_time_in_the_file(drawn):
    stored = recording("sub-09", 1)
    windows = Windows([stored], CONTEXT)
    volume_figure(windows, (np.zeros(GRID), np.zeros(GRID)), DROPPED, title="linear")
    number = DROPPED + CONTEXT + (24 - CONTEXT) // 2
    assert drawn["title"] == f"linear · sub-09_task-rest_run-1 · volume {number} at {number / 2:.1f} s"
    assert "Middle volume" in drawn["caption"]
    np.testing.assert_array_equal(drawn["affine"], SIGNAL.affine)
    np.testing.assert_array_equal(drawn["mask"], stored.mask)


def test_a_stretch_after_a_gap_is_counted_from_the_start_of_the_file(drawn, tmp_path):
    stored = recording("sub-09", 1)
    group = zarr.open_group(tmp_path / "recording", mode="w")
    for name, values in stored.group.items():
        group.create_array(name, data=values)
    stretch = dataclasses.replace(stored, group=group, part=(5, 11))
    volume_figure(Windows([stretch], CONTEXT), (np.zeros(GRID), np.zeros(GRID)), DROPPED, title="linear")
    assert f"volume {DROPPED + 5 + CONTEXT + (11 - CONTEXT) // 2} at" in drawn["title"]


def test_change_is_in_percent_of_the_recording_s_mean(drawn):
    stored = recording("sub-09", 1)
    two_percent = 0.02 * stored.statistics.voxel_mean / stored.statistics.sd
    figure = volume_figure(Windows([stored], CONTEXT), (two_percent, -0.5 * two_percent), 0, title="linear")
    np.testing.assert_allclose(drawn["measured"][stored.mask], 2, rtol=1e-4)
    np.testing.assert_allclose(drawn["synthesised"][stored.mask], -1, rtol=1e-4)
    assert any(axes.get_ylabel() == "change from the mean (%)" for axes in figure.axes)


def test_smoothing_keeps_a_constant_and_spreads_a_point_over_its_width():
    mask = np.zeros((9, 11, 7), bool)
    mask[1:, 2:10, 1:6] = True
    np.testing.assert_allclose(smoothed(3.0 * mask, mask, np.array([2.0, 3, 1])), 3 * mask)
    point = np.zeros((31, 33, 35))
    point[15, 16, 17] = 1
    spread = smoothed(point, np.ones(point.shape, bool), np.array([4.0, 6, 8]))
    half = spread[15, 16, 17] / 2
    assert spread[17, 16, 17] == pytest.approx(half, rel=0.01)
    assert spread[15, 19, 17] == pytest.approx(half, rel=0.01)
    assert spread[15, 16, 21] == pytest.approx(half, rel=0.01)
