"""Signals as arrays: cleaning of EEG, spectrograms, and the regridding and scaling of BOLD volumes."""

from eeg2fmri.signals.bold import BoldStatistics, recording_statistics, regrid, restore, standardise, without_drift
from eeg2fmri.signals.cleaning import CleanEeg, clean_eeg
from eeg2fmri.signals.eeg import EegStatistics, standardise_eeg
from eeg2fmri.signals.principal import principal_components
from eeg2fmri.signals.spectrogram import frequencies, spectrogram

__all__ = [
    "BoldStatistics",
    "CleanEeg",
    "EegStatistics",
    "clean_eeg",
    "frequencies",
    "principal_components",
    "recording_statistics",
    "regrid",
    "restore",
    "spectrogram",
    "standardise",
    "standardise_eeg",
    "without_drift",
]
