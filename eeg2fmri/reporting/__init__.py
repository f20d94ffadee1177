"""Reports: one HTML page of an evaluation or of a cross-validation, which needs no network."""

from eeg2fmri.reporting.evaluation import Evaluated, evaluation_page
from eeg2fmri.reporting.page import Page, render
from eeg2fmri.reporting.words import NAMES, Overall, beaten_by, bounds, counted, interval_text, listed, score_text

__all__ = [
    "NAMES",
    "Evaluated",
    "Overall",
    "Page",
    "beaten_by",
    "bounds",
    "counted",
    "evaluation_page",
    "interval_text",
    "listed",
    "render",
    "score_text",
]
