"""Signals as arrays: cleaning of EEG, spectrograms, and the regridding and scaling of BOLD volumes."""

from eeg2fmri.signals.bold import (
    BoldStatistics,
    drift_waves,
    recording_statistics,
    regrid,
    restore,
    standardise,
    without_drift,
)
from eeg2fmri.signals.brain import brain_courses
from eeg2fmri.signals.cleaning import CleanEeg, Marks, check_cleaning, clean_eeg
from eeg2fmri.signals.eeg import EegStatistics, standardise_eeg
from eeg2fmri.signals.gradient import volume_locked_share
from eeg2fmri.signals.montage import check_positions, current_source_density
from eeg2fmri.signals.nuisance import noise_components
from eeg2fmri.signals.principal import principal_components
from eeg2fmri.signals.signal import Signal
from eeg2fmri.signals.spectrogram import frequencies, spectrogram

__all__ = [
    "BoldStatistics",
    "CleanEeg",
    "EegStatistics",
    "Marks",
    "Signal",
    "brain_courses",
    "check_cleaning",
    "check_positions",
    "clean_eeg",
    "current_source_density",
    "drift_waves",
    "frequencies",
    "noise_components",
    "principal_components",
    "recording_statistics",
    "regrid",
    "restore",
    "spectrogram",
    "standardise",
    "standardise_eeg",
    "volume_locked_share",
    "without_drift",
]
