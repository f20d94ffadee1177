"""Datasets on disk: recordings of simultaneous EEG and BOLD, and how they are read."""

from eeg2fmri.datasets.bids import find_recordings
from eeg2fmri.datasets.recording import Bold, Eeg, Recording, bold_onset, load_bold, load_eeg

__all__ = ["Bold", "Eeg", "Recording", "bold_onset", "find_recordings", "load_bold", "load_eeg"]
