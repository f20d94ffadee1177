"""Reports: one HTML page of an evaluation or of a cross-validation, which needs no network."""

from eeg2fmri.reporting.crossval import Crossed, crossval_page
from eeg2fmri.reporting.evaluation import Evaluated, evaluation_page
from eeg2fmri.reporting.page import Page, render
from eeg2fmri.reporting.words import (
    NAMES,
    Overall,
    beaten_by,
    bounds,
    ceilings_text,
    counted,
    interval_text,
    listed,
    paired,
    score_text,
)

__all__ = [
    "NAMES",
    "Crossed",
    "Evaluated",
    "Overall",
    "Page",
    "beaten_by",
    "bounds",
    "ceilings_text",
    "counted",
    "crossval_page",
    "evaluation_page",
    "interval_text",
    "listed",
    "paired",
    "render",
    "score_text",
]
