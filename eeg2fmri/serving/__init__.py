"""Serving: the saved form of a model, its MLflow wrapper, and synthesis from an EEG file."""

from eeg2fmri.serving.bundle import Bundle, load_bundle, save_bundle
from eeg2fmri.serving.files import synthesise_file

__all__ = ["Bundle", "load_bundle", "save_bundle", "synthesise_file"]
