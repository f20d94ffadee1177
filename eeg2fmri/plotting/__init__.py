"""Figures from arrays and numbers, without windows or files."""

from eeg2fmri.plotting._page import FD_MM, ROUNDING, QualityPage
from eeg2fmri.plotting.canvas import figure_to_png, figure_to_rgb
from eeg2fmri.plotting.coefficients import coefficient_figure
from eeg2fmri.plotting.curves import learning_curves, score_figure
from eeg2fmri.plotting.instance import instance_figure
from eeg2fmri.plotting.overview import Measure, overview_figure
from eeg2fmri.plotting.quality import quality_page
from eeg2fmri.plotting.slices import comparison_figure, slice_figure

__all__ = [
    "FD_MM",
    "ROUNDING",
    "Measure",
    "QualityPage",
    "coefficient_figure",
    "comparison_figure",
    "figure_to_png",
    "figure_to_rgb",
    "instance_figure",
    "learning_curves",
    "overview_figure",
    "quality_page",
    "score_figure",
    "slice_figure",
]
