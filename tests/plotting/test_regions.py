"""The figure of regions: their order, what is filled, what is said."""

import numpy as np
import pandas as pd
import pytest

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import figure_to_rgb, regions_figure


def table(count, kinds=("full", "low-pass 0.15 Hz")):
    r = np.linspace(0.4, -0.1, count)
    part = {"index": range(1, count + 1), "region": [f"R{n}" for n in range(1, count + 1)], "r": r, "r_low": r - 0.1,
            "r_high": r + 0.1, "r_null": 0.0, "r_null_sd": 0.08, "q": np.where(r > 0.2, 0.01, 0.5)}  # fmt: skip
    return pd.concat([pd.DataFrame({"series": kind, **part}) for kind in kinds], ignore_index=True)


def labels(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def test_regions_are_sorted_and_the_significant_ones_filled():
    figure = regions_figure(table(5), level=0.05, title="linear", notes=("no low-pass: x",))
    left, right = figure.axes
    assert [left.get_title(), right.get_title()] == ["full", "low-pass 0.15 Hz"]
    assert labels(left) == ["R5", "R4", "R3", "R2", "R1"]
    dots = {points.get_label(): points.get_offsets() for points in left.collections if len(points.get_offsets())}
    assert dots["q < 0.05"].tolist() == [[0.275, 3], [0.4, 4]]
    assert len(dots["not significant"]) == 3
    assert figure.get_suptitle() == "linear: 2 of 5 regions at q < 0.05"
    assert figure.texts[-1].get_text() == "no low-pass: x"
    bands = [(bar.get_x(), bar.get_width()) for bar in left.patches]
    assert bands == [pytest.approx((-1.96 * 0.08, 2 * 1.96 * 0.08))] * 5
    assert figure_to_rgb(figure).shape[1] == 1400


def test_without_intervals_there_are_none():
    few = table(4, ("full",)).assign(r_low=np.nan, r_high=np.nan, q=1.0)
    (axes,) = regions_figure(few, level=0.05, title="linear").axes
    assert "95 % interval over subjects" not in axes.get_legend_handles_labels()[1]


def test_many_regions_are_not_named():
    figure = regions_figure(table(61), level=0.05, title="linear")
    assert labels(figure.axes[0]) == []
    assert figure_to_rgb(figure).shape == figure_to_rgb(regions_figure(table(60), level=0.05, title="linear")).shape


def test_no_region_is_refused(refuses):
    with refuses(FigureError, "table is empty"):
        regions_figure(table(0), level=0.05, title="linear")
