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
from eeg2fmri.evaluation.nulls import shuffled_order

__all__ = [
    "mae",
    "psnr",
    "r2_temporal",
    "rmse",
    "score_recording",
    "shuffled_order",
    "skill",
    "ssim",
    "temporal_correlation",
]
