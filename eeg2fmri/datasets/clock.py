"""The common clock of a recording's EEG and BOLD, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Alignment:
    """Start of BOLD in the EEG, and how it is known. Samples count on the EEG's time axis.

    onset: sample (fractional, negative if the EEG starts later) of BOLD time zero, the onset of volume 0.
    period: samples from volume to volume, on the EEG's clock.  source: e.g. ``R128``, ``StartTime``.
    how: the way to the scanner's marker.  runner_up: the second best marker, and its pattern.
    markers_found, markers_missing: volumes of the run with and without a marker, if there are markers.
    onsets: samples at which the scanner starts a volume, also before and after the run; markers: those of
    the run's markers, as observed; both empty where another clock was used.
    known_from: the first sample that the onset was derived from.
    warnings: remarks that a person should check.
    """

    onset: float
    period: float
    source: str
    how: str = ""
    runner_up: str = ""
    markers_found: int = 0
    markers_missing: int = 0
    onsets: np.ndarray = field(default_factory=lambda: np.empty(0))
    markers: np.ndarray = field(default_factory=lambda: np.empty(0))
    known_from: float = 0.0
    warnings: tuple[str, ...] = ()
