"""Sections on data: what is simulated, how a recording becomes a spectrogram and volumes, who is in which split."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from eeg2fmri.config.base import Positive, Section, Triple


class SimulationConfig(Section):
    """What the simulator writes. `grid`, `channels` and `volumes` set the size.

    `raw` writes the EEG as the amplifier in the scanner records it: at 20 times `sampling_rate` (5 kHz),
    with gradient and pulse artefacts; the EEG without them goes to ``derivatives/simulation``.
    """

    subjects: Positive = 6
    volumes: Annotated[int, Field(ge=2)] = 120
    coupling: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0
    grid: Triple = (64, 64, 30)
    channels: Annotated[int, Field(ge=4, le=63)] = 63
    sampling_rate: Annotated[float, Field(gt=0)] = 250.0
    tr: Annotated[float, Field(gt=0)] = 2.16
    raw: bool = False


class CleaningConfig(Section):
    """What is done to the EEG before its spectrogram; by default nothing but interpolating bad channels.

    `gradient` subtracts the scanner's artefact by a sliding mean over `template` volumes (Allen et al.
    2000), `sampling_rate` is the rate in Hz that the EEG is brought to, `pulse` subtracts the heart's
    artefact by the mean beat and `pulse_components` principal components (Niazy et al. 2005).
    """

    gradient: bool = False
    template: Annotated[int, Field(ge=3)] = 21
    sampling_rate: Annotated[float, Field(gt=0)] | None = None
    pulse: bool = False
    pulse_components: Annotated[int, Field(ge=1)] = 4
    interpolate_bads: bool = True
    average_reference: bool = False

    @field_validator("template")
    @classmethod
    def _has_a_middle(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that the window lies evenly around its volume")
        return value


class DataConfig(Section):
    """How a recording becomes a spectrogram and volumes (the reference's settings by default).

    The EEG window is one TR. `frequencies` bins after DC are kept; the context of volume v is the
    `context` windows before it; the first `bold_shift` volumes are dropped on both modalities.
    Volume markers that span fewer volumes than the BOLD file cannot say which end they miss:
    `missing_markers` is ``end`` where it is known that the first ones are there.
    """

    frequencies: Positive = 134
    context: Positive = 10
    bold_shift: Annotated[int, Field(ge=0)] = 3
    grid: Triple = (64, 64, 30)
    iqr: bool = False
    missing_markers: Literal["refuse", "end"] = "refuse"
    channel_types: tuple[str, ...] = ("eeg", "ecg")
    cleaning: CleaningConfig = CleaningConfig()


class SplitConfig(Section):
    """Subjects of the validation and test splits: a number of subjects or their labels.

    Numbers count from the end of the sorted subjects: the last ones are the test subjects, those
    before them validate, the others train.
    """

    validation: Annotated[int, Field(ge=0)] | tuple[str, ...] = 1
    test: Annotated[int, Field(ge=0)] | tuple[str, ...] = 2
