"""Settings of the family `factorised`, and ranges of a search around it."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from eeg2fmri.config.bands import FINE_BANDS, Bands, BandSets, Counts, Penalties, Positives
from eeg2fmri.config.base import Above, Count, Positive, Range, Section, Share, ordered
from eeg2fmri.config.model import Magnitudes


class RecordingTraining(Section):
    """Optimisation of a network that trains on whole recordings, one per step."""

    epochs: Positive = 20
    """Most passes over the training recordings [epochs]. Source: ours."""
    learning_rate: Above = 3e-4
    """Step size of Adam [-]. Source: ours."""
    patience: Positive = 5
    """Epochs without improvement after which training stops [epochs]. Source: ours."""


class FactorisedConfig(Magnitudes):
    """A network of few sources, ours: band power → sources over channels and bands → response → components.

    The sources start as those combinations of standardised log power that the haemodynamic response passes best; BOLD
    chooses their loadings. Training continues from there. Defaults without another source are those of
    ``docs/attempts.md``.
    """

    variant: ClassVar[str] = "factorised"

    family: Literal["factorised"] = "factorised"
    """A network of few sources."""
    sources: Positive = 8
    """Sources [-]. Source: measured, of 6 to 40."""
    hidden: Count = 32
    """Units that correct each window's sources, 0: none [-]. Source: measured; they add almost nothing."""
    dropout: Share = 0.2
    """Share of the hidden units that is dropped in training [-]. Source: ours."""
    components: Positive = 64
    """Principal components of BOLD that are predicted [-]. Source: as `linear`."""
    bands: Bands = FINE_BANDS
    """Edges of each band, the lower one included [Hz]. Source: measured, finer than the clinical ones is better."""
    penalties: Penalties = (0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
    """Ridge penalties of the loadings, of the variance of a source [-]; held-out subjects choose one for each
    component. Source: ours."""
    refit: bool = False
    """Fit once more, as `linear`, with the best number of epochs for validation subjects. Source: as `linear`."""
    drift_cutoff: Above = 128.0
    """Longest period in the fit [s], as `linear`. Source: SPM."""
    training: RecordingTraining = RecordingTraining()
    """Training after the start."""


class FactorisedRanges(Section):
    """Ranges of a search around `factorised`; each fit chooses its own penalties. Sources: around defaults."""

    bands: BandSets = ("clinical", "fine")
    """`bands`: the clinical five, or nine. Source: those that were measured."""
    sources: Positives = (4, 8, 16)
    """`sources` [-]. Source: around the default."""
    hidden: Counts = (0, 16, 32, 64)
    """`hidden` [-]. Source: around the default."""
    dropout: Range = (0.0, 0.5)
    """`dropout` [-]. Source: around the default."""
    components: Positives = (16, 32, 64, 128)
    """`components` [-]. Source: around the default."""
    learning_rate: Range = (1e-5, 1e-2)
    """`training.learning_rate`, on a logarithmic scale [-]. Source: around the default."""

    @model_validator(mode="after")
    def _low_before_high(self) -> Self:
        return ordered(self, "dropout", "learning_rate")
