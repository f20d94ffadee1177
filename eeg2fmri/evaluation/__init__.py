"""Scores of synthesised recordings and their nulls, and the quality of measured recordings."""

from eeg2fmri.evaluation.metrics import (
    mae,
    psnr,
    r2_temporal,
    rmse,
    score_recording,
    skill,
    temporal_correlation,
)
from eeg2fmri.evaluation.nulls import r2_of_shifts, shuffled_order, shuffled_p_value
from eeg2fmri.evaluation.quality import (
    bridged_channels,
    broken_channels,
    line_noise,
    marker_deviation,
    outlier_volumes,
    relative_dvars,
    temporal_snr,
)
from eeg2fmri.evaluation.similarity import has_ssim, ssim

__all__ = [
    "bridged_channels",
    "broken_channels",
    "has_ssim",
    "line_noise",
    "mae",
    "marker_deviation",
    "outlier_volumes",
    "psnr",
    "r2_of_shifts",
    "r2_temporal",
    "relative_dvars",
    "rmse",
    "score_recording",
    "shuffled_order",
    "shuffled_p_value",
    "skill",
    "ssim",
    "temporal_correlation",
    "temporal_snr",
]
