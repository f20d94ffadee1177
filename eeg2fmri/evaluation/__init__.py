"""Scores of synthesised recordings and their nulls, and the quality of measured recordings."""

from eeg2fmri.evaluation.compare import Comparison, compare
from eeg2fmri.evaluation.dynamics import Dynamics, best_voxels, correlation_map, dynamics_of, pearson
from eeg2fmri.evaluation.metrics import (
    mae,
    psnr,
    r2_temporal,
    r2_temporal_no_global,
    rmse,
    score_recording,
    skill,
    temporal_correlation,
)
from eeg2fmri.evaluation.middle import middle_change
from eeg2fmri.evaluation.nulls import (
    Null,
    p_number,
    p_text,
    pooled_null,
    r2_of_shifts,
    shuffled_null,
    shuffled_order,
    smallest_p,
)
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
    "Comparison",
    "Dynamics",
    "Null",
    "Profile",
    "Relevance",
    "bands_of",
    "best_voxels",
    "bridged_channels",
    "broken_channels",
    "compare",
    "correlation_map",
    "dynamics_of",
    "half",
    "has_ssim",
    "least_windows",
    "line_noise",
    "mae",
    "marker_deviation",
    "middle_change",
    "outlier_volumes",
    "p_number",
    "p_text",
    "pearson",
    "pooled_null",
    "profile",
    "psnr",
    "r2_by_shift",
    "r2_of_shifts",
    "r2_temporal",
    "r2_temporal_no_global",
    "regions_of",
    "relative_dvars",
    "rmse",
    "score_recording",
    "shuffled_null",
    "shuffled_order",
    "skill",
    "smallest_p",
    "ssim",
    "temporal_correlation",
    "temporal_snr",
]
