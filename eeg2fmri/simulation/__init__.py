"""Simulated simultaneous EEG-fMRI with known truth, written as a BIDS dataset."""

from eeg2fmri.simulation.dataset import is_simulated, is_simulation, simulate
from eeg2fmri.simulation.truth import (
    best_r2_temporal,
    power_of_waves,
    read_amplitudes,
    read_best_r2,
    read_mask,
    read_networks,
    read_true_eeg,
    read_truth,
    simulated_root,
)

__all__ = [
    "best_r2_temporal",
    "is_simulated",
    "is_simulation",
    "power_of_waves",
    "read_amplitudes",
    "read_best_r2",
    "read_mask",
    "read_networks",
    "read_true_eeg",
    "read_truth",
    "simulate",
    "simulated_root",
]
