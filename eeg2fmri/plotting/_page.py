"""Contents of a page of quality control.

C channels, S frequencies of the spectra, F of the spectrogram, W windows, V volumes, M volume markers.
Times are seconds after BOLD time zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eeg2fmri.plotting.axial import Affine

Array = NDArray[np.floating]
ROUNDING = 1.5  # samples: rounding may change an interval by one of them
FD_MM = 0.5  # Power et al. 2012, NeuroImage 59:2142


@dataclass(frozen=True)
class QualityPage:
    """Contents of the page of a recording.

    name, facts: the title, and the lines below it.
    channels: (C,) names.  broken: (C,) str, the fault that singles it out; empty for a good one.
    spectrum_frequencies: (S,) Hz.  spectrum_before, spectrum_after: (C, S) µV²/Hz; equal if nothing was cleaned.
    spectrogram: (W, C, F) magnitude in `unit` over windows of `tr` s, from `start` on.  frequencies: (F,) Hz.
    marker_times, marker_deviation: (M - 1,) from the second marker on; s, and ms from a whole number of TRs.
    sample_ms: of the EEG as it was recorded.  missing_times: of volumes without a marker.
    mean_volume, temporal_snr: (x, y, z).  mask: (x, y, z) bool.  affine: (4, 4), voxels to mm.
    global_signal: (V,) mean intensity in the brain, one a TR from `start` on.
    displacement: (V - 1,) mm, or empty where it is not known.  dvars: (V - 1,) by its typical value.
    outliers: (V - 1,) bool; all three of the second volume on.
    """

    name: str
    facts: Sequence[str]
    tr: float
    start: float
    channels: Sequence[str]
    broken: NDArray[np.object_]
    spectrum_frequencies: Array
    spectrum_before: Array
    spectrum_after: Array
    unit: str
    spectrogram: Array
    frequencies: Array
    marker_times: Array
    marker_deviation: Array
    sample_ms: float
    missing_times: Array
    mean_volume: Array
    temporal_snr: Array
    mask: NDArray[np.bool_]
    affine: Affine
    global_signal: Array
    displacement: Array
    dvars: Array
    outliers: NDArray[np.bool_]
