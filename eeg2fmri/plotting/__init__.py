"""Figures from arrays and numbers, without windows or files."""

from eeg2fmri.plotting._page import FD_MM, ROUNDING, QualityPage
from eeg2fmri.plotting._scale import Scale, make_scale
from eeg2fmri.plotting.attribution import attention_figure, shares_figure
from eeg2fmri.plotting.axial import Axial, Layer, draw_overlay, draw_slice, note_sides
from eeg2fmri.plotting.canvas import figure_to_png, figure_to_rgb
from eeg2fmri.plotting.classes import classes_figure
from eeg2fmri.plotting.coefficients import coefficient_figure
from eeg2fmri.plotting.curves import SHORT_NAMES, learning_curves, score_figure
from eeg2fmri.plotting.dynamics import DynamicsPage, ScoreEvidence, correlation_scale, dynamics_figure
from eeg2fmri.plotting.instance import instance_figure
from eeg2fmri.plotting.overview import Measure, overview_figure
from eeg2fmri.plotting.quality import quality_page
from eeg2fmri.plotting.regions import regions_figure
from eeg2fmri.plotting.relevance import relevance_figure, relevance_figures
from eeg2fmri.plotting.slices import comparison_figure, slice_figure
from eeg2fmri.plotting.subjects import models_figure, pairs_figure
from eeg2fmri.plotting.voxels import voxels_figure

__all__ = [
    "FD_MM",
    "ROUNDING",
    "SHORT_NAMES",
    "Axial",
    "DynamicsPage",
    "Layer",
    "Measure",
    "QualityPage",
    "Scale",
    "ScoreEvidence",
    "attention_figure",
    "classes_figure",
    "coefficient_figure",
    "comparison_figure",
    "correlation_scale",
    "draw_overlay",
    "draw_slice",
    "dynamics_figure",
    "figure_to_png",
    "figure_to_rgb",
    "instance_figure",
    "learning_curves",
    "make_scale",
    "models_figure",
    "note_sides",
    "overview_figure",
    "pairs_figure",
    "quality_page",
    "regions_figure",
    "relevance_figure",
    "relevance_figures",
    "score_figure",
    "shares_figure",
    "slice_figure",
    "voxels_figure",
]
