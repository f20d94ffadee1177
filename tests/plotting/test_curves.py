"""Learning curves and score figures, read back from their artists."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from eeg2fmri.config import BASELINES
from eeg2fmri.errors import FigureError
from eeg2fmri.plotting import figure_to_rgb, learning_curves, score_figure

HISTORY = {
    "train/loss": [3.0, 2.0, 1.0, 0.5],
    "val/loss": [3.5, 2.5, 2.0, 2.2],
    "train/mae": [0.9, 0.8, 0.7, 0.6],
    "val/mae": [0.9, 0.85, 0.8, 0.82],
    "train/cosine": [0.1, 0.2, 0.3, 0.4],
    "val/cosine": [0.1, 0.15, 0.2, 0.2],
    "val/r2_temporal": [-0.1, 0.04, 0.03, 0.01],
    "train/learning_rate": [1e-3, 1e-3, 1e-3, 1e-3],
}
SCORES = {
    "r2_temporal": {
        "model": {"01": 0.04, "02": 0.06},
        "mean_volume": {"01": 0.0, "02": 0.0},
        "shuffled": {"01": -0.02, "02": -0.03},
    },
    "rmse": {
        "model": {"01": 0.4, "02": 0.5},
        "mean_volume": {"01": 0.41, "02": 0.52},
        "shuffled": {"01": 0.45, "02": np.nan},
    },
}


def titles(figure):
    return [axes.get_title().split(" (")[0] for axes in figure.axes]


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_a_panel_per_quantity_with_training_and_validation():
    figure = learning_curves(HISTORY, title="a run")
    assert titles(figure) == ["loss", "mean absolute error", "cosine distance of the latents", "temporal R²"]
    loss, r2 = figure.axes[0], figure.axes[3]
    assert list(lines(loss)["training"].get_ydata()) == HISTORY["train/loss"]
    assert list(lines(loss)["validation"].get_ydata()) == HISTORY["val/loss"]
    assert list(lines(loss)["validation"].get_xdata()) == [1, 2, 3, 4]
    assert "training" not in lines(r2)
    assert figure.get_suptitle() == "a run"


@pytest.mark.parametrize(("monitor", "best"), [("val/r2_temporal", 2), ("val/loss", 3), ("train/mae", 4)])
def test_the_best_epoch_is_marked_in_every_panel_and_in_the_legend(monitor, best):
    figure = learning_curves(HISTORY, monitor=monitor)
    for axes in figure.axes:
        assert list(lines(axes)[f"best epoch: {best}"].get_xdata()) == [best, best]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["training", "validation", f"best epoch: {best}"]


def test_epochs_may_be_counted_from_the_start_before_any_step():
    figure = learning_curves(HISTORY, first_epoch=0)
    assert list(lines(figure.axes[0])["validation"].get_xdata()) == [0, 1, 2, 3]
    assert "best epoch: 1" in lines(figure.axes[0])


def test_one_epoch_and_missing_keys_can_be_drawn():
    figure = learning_curves({"val/mae": [0.5], "val/loss": []})
    assert titles(figure) == ["mean absolute error"]
    assert list(lines(figure.axes[0])) == ["validation"]
    assert figure_to_rgb(figure).shape == (440, 600, 3)


def test_nan_leaves_a_gap_and_is_never_the_best_epoch():
    figure = learning_curves({"val/r2_temporal": [np.nan, 0.1, 0.2]})
    assert "best epoch: 3" in lines(figure.axes[0])
    figure = learning_curves({"val/r2_temporal": [np.nan]})
    assert not any(label.startswith("best") for label in lines(figure.axes[0]))


def test_a_history_without_curves_is_refused():
    with pytest.raises(FigureError, match="learning_rate"):
        learning_curves({"train/learning_rate": [1e-3]})


def test_a_panel_per_score_says_which_direction_is_better():
    assert titles(score_figure(SCORES)) == ["r2_temporal ↑", "rmse ↓"]


def test_dots_are_the_subjects_side_by_side_and_the_bar_their_mean():
    axes = score_figure(SCORES).axes[0]
    ticks = [tick.get_text() for tick in axes.get_yticklabels()]
    assert ticks == ["model", "mean volume", "shuffled EEG"]
    assert axes.yaxis_inverted()  # the model on top
    dots, bar = axes.collections[:2]
    np.testing.assert_allclose(dots.get_offsets(), [(0.04, 0), (0.06, 0)])
    np.testing.assert_allclose(bar.get_segments()[0][:, 0], 0.05)


def test_all_baselines_fit_with_their_names():
    conditions = ["model", "mean_volume", "shuffled", *BASELINES]
    names = ("r2_temporal", "skill", "ssim", "rmse")
    figure = score_figure({name: {c: {"01": 0.1 * i} for i, c in enumerate(conditions)} for name in names})
    image = figure_to_rgb(figure)
    assert image.shape[1] == 1070
    first, second = figure.axes[:2]
    assert len(first.get_yticks()) == len(second.get_yticks()) == 9
    labels = first.get_yticklabels()
    boxes = [label.get_window_extent() for label in labels]
    assert all(label.get_text() for label in labels)
    assert all(box.x0 >= 0 for box in boxes)
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    assert not any(label.get_text() for label in second.get_yticklabels())


def test_a_subject_without_a_value_has_no_dot():
    shuffled = score_figure(SCORES).axes[1].collections[4]
    np.testing.assert_allclose(shuffled.get_offsets(), [(0.45, 2)])


def test_a_condition_without_a_subject_leaves_a_gap():
    scores = {"ssim": {"model": {"01": 0.5, "02": 0.6}, "shuffled": {"02": 0.4}}}
    joined = score_figure(scores).axes[0].lines[:2]
    np.testing.assert_array_equal([line.get_xdata() for line in joined], [(0.5, np.nan), (0.6, 0.4)])


def test_no_scores_are_refused():
    with pytest.raises(FigureError, match="empty"):
        score_figure({})


def test_pixels_are_rgb_of_the_figures_size():
    image = figure_to_rgb(score_figure(SCORES))
    assert image.shape == (282, 760, 3)
    assert image.dtype == np.uint8
    assert (image[0, 0] == 255).all()
    assert image.min() < 50


def test_nothing_here_loads_pyplot():
    code = "import sys, eeg2fmri.plotting; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
