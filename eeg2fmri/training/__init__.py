"""Training: from windows of a store to a fitted model. Keras is imported on first use."""

from eeg2fmri.training.feasible import check_feasible
from eeg2fmri.training.fit import fit
from eeg2fmri.training.settings import FitResult, FitSettings

__all__ = ["FitResult", "FitSettings", "check_feasible", "fit"]
