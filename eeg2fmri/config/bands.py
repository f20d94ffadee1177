"""Frequency bands of the EEG, and types that the settings of the families with band power share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from eeg2fmri.config.base import Above, Count, Positive, Range


def _rising(bands: dict[str, Range]) -> dict[str, Range]:
    for name, (low, high) in bands.items():
        if not 0 <= low < high:
            raise ValueError(f"{name} must be (low, high) in Hz, 0 <= low < high, found ({low}, {high})")
    return bands


Bands = Annotated[dict[str, Range], Field(min_length=1), AfterValidator(_rising)]
Penalties = Annotated[tuple[Above, ...], Field(min_length=1)]
Positives = Annotated[tuple[Positive, ...], Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
BandSets = Annotated[tuple[Literal["clinical", "fine"], ...], Field(min_length=1)]
CLINICAL_BANDS: dict[str, Range] = {
    "delta": (0.1, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 80.0),
}
# Alpha, beta and gamma in parts: each network follows another part of a band.
FINE_BANDS: dict[str, Range] = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "low alpha": (8.0, 10.5),
    "high alpha": (10.5, 13.0),
    "low beta": (13.0, 17.0),
    "mid beta": (17.0, 23.0),
    "high beta": (23.0, 30.0),
    "low gamma": (30.0, 45.0),
    "high gamma": (45.0, 80.0),
}
BAND_SETS = {"clinical": CLINICAL_BANDS, "fine": FINE_BANDS}
