"""Training: what a fit is given and gives back. The families fit; Keras is imported by the modules that need it."""

from eeg2fmri.training.settings import MONITOR, Example, FitResult, FitSettings, History, OnEpoch

__all__ = ["MONITOR", "Example", "FitResult", "FitSettings", "History", "OnEpoch"]
