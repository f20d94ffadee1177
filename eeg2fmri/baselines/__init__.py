"""Baselines: what explains BOLD without a model's reading of the right EEG, and what anatomy alone reaches."""

from eeg2fmri.baselines.beside import Baselines, baselines_of, synthesise
from eeg2fmri.baselines.ceilings import CEILINGS
from eeg2fmri.baselines.regression import REGRESSIONS, Regression, arousal, fit_regressions

__all__ = [
    "CEILINGS",
    "REGRESSIONS",
    "Baselines",
    "Regression",
    "arousal",
    "baselines_of",
    "fit_regressions",
    "synthesise",
]
