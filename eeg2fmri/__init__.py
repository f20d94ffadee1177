"""eeg2fmri: synthesise fMRI volumes from simultaneous EEG, tracked and served with MLflow."""

__version__ = "0.1.0"
