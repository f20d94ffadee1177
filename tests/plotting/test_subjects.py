"""Models side by side and in pairs, read back from their artists."""

import pytest

from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import models_figure, pairs_figure

SCORES = {"linear": {"sub-01": 0.04, "sub-02": 0.06, "sub-03": 0.11}, "factorised": {"sub-01": 0.05, "sub-02": 0.09}}
SHUFFLED = {"linear": {"sub-01": -0.02, "sub-02": -0.03, "sub-03": 0.01}, "factorised": {"sub-01": 0.0, "sub-02": -0.1}}
INTERVALS = {"linear": (0.05, 0.09), "factorised": None}


def dots(axes):
    return [collection.get_offsets()[:, 1].tolist() for collection in axes.collections if len(collection.get_offsets())]


def test_every_subject_has_a_dot_beside_shuffled_eeg():
    figure = models_figure(SCORES, SHUFFLED, INTERVALS, title="k-fold")
    (axes,) = figure.axes
    found = dots(axes)
    for model in SCORES:
        assert list(SCORES[model].values()) in found
        assert list(SHUFFLED[model].values()) in found
    assert [label.get_text() for label in axes.get_xticklabels()] == ["linear", "factorised"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(names) == ["mean volume", "mean, 95 % interval", "model, a subject", "shuffled EEG, a subject"]


def test_the_mean_has_its_interval_where_there_is_one():
    (axes,) = models_figure(SCORES, SHUFFLED, INTERVALS).axes
    drawn = [container for container in axes.containers if container.lines[0] is not None]
    means = [float(container.lines[0].get_ydata()[0]) for container in drawn]
    assert means == pytest.approx([0.07, 0.07])
    ends = drawn[0].lines[2][0].get_segments()[0][:, 1]
    assert list(ends) == pytest.approx([0.05, 0.09])
    assert not drawn[1].has_yerr


def test_pairs_are_joined_and_in_order_of_their_difference():
    one, other = {"sub-01": 0.3, "sub-02": 0.1, "sub-03": 0.2}, {"sub-01": 0.1, "sub-02": 0.2, "sub-03": 0.15}
    left, right = pairs_figure(one, other, ("linear", "mean"), title="p").axes
    joined = sorted(tuple(line.get_ydata()) for line in left.lines[:3])
    assert joined == [(0.1, 0.2), (0.2, 0.15), (0.3, 0.1)]
    assert dots(right)[0] == pytest.approx([-0.1, 0.05, 0.2])
    assert [label.get_text() for label in right.get_xticklabels()] == ["sub-02", "sub-03", "sub-01"]
    assert [label.get_text() for label in left.get_xticklabels()] == ["linear", "mean"]


def test_many_subjects_are_not_named():
    many = {f"sub-{n:02d}": n / 10 for n in range(13)}
    _, right = pairs_figure(many, dict.fromkeys(many, 0.0), ("a", "b")).axes
    assert right.get_xticklabels() == []


def test_what_cannot_be_drawn_is_refused(refuses):
    with refuses(FigureError, "give one of each model"):
        models_figure(SCORES, SHUFFLED, {"linear": (0, 1)})
    with refuses(FigureError, "at least one model"):
        models_figure({}, {}, {})
    with refuses(FigureError, "give scores of the same subjects"):
        pairs_figure({"sub-01": 1.0}, {"sub-02": 1.0}, ("a", "b"))
