"""Training: inputs and results of a fit. The families fit; modules that need Keras import it."""

from eeg2fmri.training.settings import MONITOR, Example, FitResult, FitSettings, History, OnEpoch

__all__ = ["MONITOR", "Example", "FitResult", "FitSettings", "History", "OnEpoch"]
