"""Settings of the family `linear`, and ranges of a search around it."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from eeg2fmri.config.bands import CLINICAL_BANDS, Bands, BandSets, Penalties, Positives
from eeg2fmri.config.base import Above, Positive, Range, Section, ordered
from eeg2fmri.config.model import Magnitudes


class LinearConfig(Magnitudes):
    """Distributed-lag ridge regression from log band power to principal components of BOLD.

    A channel and band act through the canonical response and its latency derivative over all lags of the context.
    """

    variant: ClassVar[str] = "linear"

    family: Literal["linear"] = "linear"
    """Ridge regression, in closed form."""
    components: Positive = 64
    """Principal components of BOLD that are predicted [-]. Source: measured, 16 to 256 score the same."""
    bands: Bands = CLINICAL_BANDS
    """Edges of each band, the lower one included [Hz]; a band without a bin is left out. Source: IFCN; Babiloni et
    al. 2020."""
    drift_cutoff: Above = 128.0
    """Longest period in the fit [s]; slower changes are left out. Source: SPM; measured, 64 and 256 do no better."""
    penalties: Penalties = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
    """Ridge penalties, of features of equal variance [-]; held-out subjects choose one for each component.
    Source: measured, more do no better."""
    refit: bool = False
    """Fit once more, on training and validation subjects together, after all choices. Validation scores are those of
    the fit without them. Source: ours."""


class LinearRanges(Section):
    """Ranges of a search around `linear`; each fit chooses its own penalties."""

    bands: BandSets = ("clinical", "fine")
    """`bands`: the clinical five, or nine. Source: those that were measured."""
    components: Positives = (16, 32, 64, 128)
    """`components` [-]. Source: around the default."""
    drift_cutoff: Range = (60.0, 200.0)
    """`drift_cutoff` [s]. Source: around the default."""

    @model_validator(mode="after")
    def _low_before_high(self) -> Self:
        return ordered(self, "drift_cutoff")
