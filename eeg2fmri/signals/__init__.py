"""Signals as arrays: cleaning of EEG, spectrograms, grids and scales of BOLD volumes."""

from eeg2fmri.signals.bads import interpolate_bads
from eeg2fmri.signals.bold import (
    BoldStatistics,
    drift_waves,
    recording_statistics,
    without_drift,
)
from eeg2fmri.signals.brain import brain_courses
from eeg2fmri.signals.cleaning import CleanEeg, Marks, check_cleaning, check_finite, clean_eeg
from eeg2fmri.signals.gradient import volume_locked_share
from eeg2fmri.signals.image import nifti_image
from eeg2fmri.signals.montage import check_positions, current_source_density
from eeg2fmri.signals.parts import CleanedParts
from eeg2fmri.signals.principal import principal_components
from eeg2fmri.signals.regressors import beat_amplitudes, event_response, pulse_courses
from eeg2fmri.signals.regrid import regrid
from eeg2fmri.signals.scaling import EegStatistics, bold_scaling, eeg_scaling
from eeg2fmri.signals.signal import DENSITY, POTENTIAL, Signal
from eeg2fmri.signals.spectrogram import frequencies, spectrogram
from eeg2fmri.signals.windows import contexts, window_magnitudes

__all__ = [
    "DENSITY",
    "POTENTIAL",
    "BoldStatistics",
    "CleanEeg",
    "CleanedParts",
    "EegStatistics",
    "Marks",
    "Signal",
    "beat_amplitudes",
    "bold_scaling",
    "brain_courses",
    "check_cleaning",
    "check_finite",
    "check_positions",
    "clean_eeg",
    "contexts",
    "current_source_density",
    "drift_waves",
    "eeg_scaling",
    "event_response",
    "frequencies",
    "interpolate_bads",
    "nifti_image",
    "principal_components",
    "pulse_courses",
    "recording_statistics",
    "regrid",
    "spectrogram",
    "volume_locked_share",
    "window_magnitudes",
    "without_drift",
]
