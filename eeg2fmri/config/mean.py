"""Settings of the family `mean`, the null."""

from __future__ import annotations

from typing import ClassVar, Literal

from eeg2fmri.config.model import Magnitudes


class MeanConfig(Magnitudes):
    """The null as a model: the mean training volume for any EEG."""

    variant: ClassVar[str] = "mean"

    family: Literal["mean"] = "mean"
    """The mean training volume."""
