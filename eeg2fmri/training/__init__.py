"""Training: from windows of a store to a fitted model. Keras is imported on first use."""

from eeg2fmri.training.fit import FitResult, FitSettings, fit

__all__ = ["FitResult", "FitSettings", "fit"]
