"""Scores of synthesised recordings and the nulls they stand beside."""

from eeg2fmri.evaluation.metrics import (
    mae,
    psnr,
    r2_temporal,
    rmse,
    score_recording,
    skill,
    ssim,
    temporal_correlation,
)
from eeg2fmri.evaluation.nulls import r2_of_shifts, shuffled_order, shuffled_p_value

__all__ = [
    "mae",
    "psnr",
    "r2_of_shifts",
    "r2_temporal",
    "rmse",
    "score_recording",
    "shuffled_order",
    "shuffled_p_value",
    "skill",
    "ssim",
    "temporal_correlation",
]
