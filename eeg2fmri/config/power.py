"""Settings of the families that read log band power, and of the null; ranges of searches around them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from eeg2fmri.config.base import Above, Count, Positive, Range, Section, Share, ordered
from eeg2fmri.config.models import Magnitudes


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

    The sources start as a reduced-rank regression on standardised log power. Each feature has a gate, its strength
    in a ridge regression. Training continues from there. Defaults without another source are those of
    ``docs/attempts.md``.
    """

    variant: ClassVar[str] = "factorised"

    family: Literal["factorised"] = "factorised"
    """A network of few sources."""
    linear_share: Share = 0.5
    """Share of the regression of `linear` (its defaults, these bands) in the prediction, fitted in closed form and not
    trained [-]. Source: measured, the fewest subjects get worse."""
    sources: Positive = 8
    """Sources [-]. Source: measured, of 5 to 20."""
    members: Positive = 3
    """Networks that are averaged, each without some of the training subjects [-]. Source: measured; 7 are better with
    enough subjects."""
    gate_rounds: Count = 3
    """Rounds of the gates' regression, 0: no gates [-]. Source: measured."""
    hidden: Count = 32
    """Units that correct each window's sources, 0: none [-]. Source: measured; they add almost nothing."""
    dropout: Share = 0.2
    """Share of the hidden units that is dropped in training [-]. Source: ours."""
    components: Positive = 64
    """Principal components of BOLD that are predicted [-]. Source: as `linear`."""
    bands: Bands = FINE_BANDS
    """Edges of each band, the lower one included [Hz]. Source: measured, finer than the clinical ones is better."""
    nuisance: Count = 6
    """Components of noise that are removed from the targets of the start [-]. Source: measured."""
    penalties: Penalties = (0.3, 1, 3, 10, 30)
    """Ridge penalties of the sources, of the mean variance of a feature [-]; held-out training subjects choose.
    Source: ours."""
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
    linear_share: Range = (0.0, 0.9)
    """`linear_share` [-]. Source: around the default."""
    sources: Positives = (4, 8, 16)
    """`sources` [-]. Source: around the default."""
    gate_rounds: Counts = (0, 1, 3)
    """`gate_rounds` [-]. Source: those that were measured."""
    hidden: Counts = (0, 16, 32, 64)
    """`hidden` [-]. Source: around the default."""
    dropout: Range = (0.0, 0.5)
    """`dropout` [-]. Source: around the default."""
    nuisance: Counts = (0, 3, 6, 10)
    """`nuisance` [-]. Source: around the default."""
    components: Positives = (16, 32, 64, 128)
    """`components` [-]. Source: around the default."""
    learning_rate: Range = (1e-5, 1e-2)
    """`training.learning_rate`, on a logarithmic scale [-]. Source: around the default."""

    @model_validator(mode="after")
    def _low_before_high(self) -> Self:
        return ordered(self, "linear_share", "dropout", "learning_rate")


class MeanConfig(Magnitudes):
    """The null as a model: the mean training volume for any EEG."""

    variant: ClassVar[str] = "mean"

    family: Literal["mean"] = "mean"
    """The mean training volume."""
