"""Scores of synthesised recordings, the nulls they stand beside, and the quality of measured ones."""

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
from eeg2fmri.evaluation.relevance import (
    Profile,
    Relevance,
    bands_of,
    half,
    least_windows,
    profile,
    r2_by_shift,
    regions_of,
)
from eeg2fmri.evaluation.similarity import has_ssim, ssim

__all__ = [
    "Profile",
    "Relevance",
    "bands_of",
    "bridged_channels",
    "broken_channels",
    "half",
    "has_ssim",
    "least_windows",
    "line_noise",
    "mae",
    "marker_deviation",
    "outlier_volumes",
    "profile",
    "psnr",
    "r2_by_shift",
    "r2_of_shifts",
    "r2_temporal",
    "regions_of",
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
