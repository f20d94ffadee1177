"""Figures from arrays and numbers; nothing here opens a window or writes a file."""

from eeg2fmri.plotting.canvas import figure_to_rgb
from eeg2fmri.plotting.coefficients import coefficient_figure
from eeg2fmri.plotting.curves import learning_curves, score_figure
from eeg2fmri.plotting.slices import comparison_figure, slice_figure

__all__ = [
    "coefficient_figure",
    "comparison_figure",
    "figure_to_rgb",
    "learning_curves",
    "score_figure",
    "slice_figure",
]
