"""Sets of features side by side, read back from their artists."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import classes_figure

SCORES = {"regions": 0.8, "eeg": 0.7}
DRAWS = {"regions": np.linspace(0.3, 0.7, 41), "eeg": np.linspace(0.4, 0.6, 41)}
PROBABILITIES = {"regions": np.array([0.9, 0.6, 0.7]), "eeg": np.array([0.5, 0.4, 0.8])}
LABELS = ["case", "control", "case"]


def test_scores_are_drawn_in_their_nulls_and_every_subject_by_label():
    figure = classes_figure(SCORES, DRAWS, PROBABILITIES, LABELS, chance=0.5, title="group of study")
    left, right = figure.axes
    dots = [part.get_offsets() for part in left.collections if isinstance(part, PathCollection)]
    assert [float(place[0, 1]) for place in dots] == [0.8, 0.7]
    bars = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in left.patches]
    assert bars == [pytest.approx((0.31, 0.69)), pytest.approx((0.405, 0.595))]
    case, control = (dots.get_offsets() for dots in right.collections)
    assert sorted(case[:, 1]) == [0.5, 0.7, 0.8, 0.9]
    assert sorted(control[:, 1]) == [0.4, 0.6]
    (half,) = [line for line in right.lines if line.get_linestyle() == ":"]
    assert set(half.get_ydata()) == {0.5}
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["case", "control"]


def test_no_probability_decides_between_three_labels():
    figure = classes_figure(SCORES, DRAWS, PROBABILITIES, ["case", "control", "other"], chance=1 / 3, title="")
    left, right = figure.axes
    dotted = [[line for line in axes.lines if line.get_linestyle() == ":"] for axes in (left, right)]
    assert [len(lines) for lines in dotted] == [1, 0]


def test_what_cannot_be_drawn_is_refused(refuses):
    with refuses(FigureError, "give one of each set"):
        classes_figure(SCORES, DRAWS, {"eeg": np.ones(3)}, LABELS, chance=0.5, title="")
