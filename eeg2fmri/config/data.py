"""Sections on data: what is simulated, how a recording becomes a spectrogram and volumes, who is in which split."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

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


def _labels(value: Any) -> Any:
    """Labels as a list, a comma-separated text, or a single one; YAML reads some as numbers."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    listed = value if isinstance(value, (list, tuple)) else [value]
    return tuple(str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in listed)


Labels = Annotated[tuple[str, ...], BeforeValidator(_labels)]


OTHER_SETTINGS = {"sub": "subjects", "ses": "sessions", "task": "tasks", "run": "runs", "echo": "echo", "part": "part"}


def _of_all(value: Any) -> Any:
    """One value is that of all recordings."""
    return value if isinstance(value, dict) else {"all": value}


End = Literal["refuse", "end", "start"]
ByRecording = Annotated[dict[str, End], BeforeValidator(_of_all)]


def _as_text(value: Any) -> Any:
    """A marker or a label may be a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Label = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class DatasetConfig(Section):
    """Which recordings of a dataset are used, and how EEG and BOLD are put on one clock.

    `name` is a known layout or the dotted path of a class (``package.module:Class``). Labels choose
    recordings, all where there is none. `eeg` and `bold` are ``raw`` or the name of a derivative;
    ``auto`` is what the layout says (raw, for most). `volume_marker` is the description of the scanner's
    marker; ``auto`` takes the one in the rhythm of the volumes. Volume markers that span fewer volumes than
    the BOLD file cannot say which end they miss: `missing_markers` is ``end`` where it is known that the
    first ones are there, ``start`` where the last ones are: of all recordings, or by their names, e.g.
    ``{all: end, sub-03_task-rest: start}``. `surplus_markers`, likewise, says where markers without a
    volume in the file lie: ``start`` for dummy volumes, ``end``. `orientation` is how the voxels of images
    are stored whose header does not say, e.g. ``LAS``.

    `entities` chooses by any other BIDS entity, e.g. ``{acq: std, dir: AP}``. `task_alias` pairs tasks of
    different names, EEG: BOLD. `part` is that of the BOLD files. Several echoes of one run are refused;
    `echo` is the number of one, or ``combine``.
    """

    name: Annotated[str, Field(min_length=1)] = "bids"
    subjects: Labels = ()
    sessions: Labels = ()
    tasks: Labels = ()
    runs: Labels = ()
    entities: dict[str, Labels] = Field(default_factory=dict)
    task_alias: dict[str, Label] = Field(default_factory=dict)
    echo: Positive | Literal["refuse", "combine"] = "refuse"
    part: Literal["mag", "phase", "real", "imag"] = "mag"
    eeg: Annotated[str, Field(min_length=1)] = "auto"
    bold: Annotated[str, Field(min_length=1)] = "auto"
    alignment: Literal["auto", "markers", "start-time", "events", "xp", "wall-clock", "scanner", "file-start"] = "auto"
    volume_marker: Label = "auto"
    missing_markers: ByRecording = Field(default_factory=dict)
    surplus_markers: ByRecording = Field(default_factory=dict)
    orientation: str | None = None

    @field_validator("orientation")
    @classmethod
    def _names_three_axes(cls, value: str | None) -> str | None:
        plain = "" if value is None else value.translate(str.maketrans("LPI", "RAS"))
        if value is not None and sorted(plain) != sorted("RAS"):
            raise ValueError("must name three axes by where they lead, e.g. RAS or LAS")
        return value

    @field_validator("entities")
    @classmethod
    def _have_no_other_setting(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for key, labels in value.items():
            if key in OTHER_SETTINGS:
                raise ValueError(f"{key} is chosen by dataset.{OTHER_SETTINGS[key]}")
            if not labels:
                raise ValueError(f"{key} has no label; give one, or leave it out")
        return value


class DataConfig(Section):
    """How a recording becomes a spectrogram and volumes.

    The EEG window is one TR. `frequencies` bins after DC are kept; the context of volume v is the
    `context` windows before it; the first `dropped_volumes` volumes are dropped on both modalities.
    Volumes keep their own grid, or are brought to `grid` over the same field of view by `regrid`: ``linear``
    interpolation, or the reference's ``dct``, which rings at edges.
    `current_source_density` makes the spectrogram of the EEG's surface Laplacian (mV/m²), which tells
    neighbouring sources apart better than potentials do. `channel_types` are those that a model sees: an ECG
    predicts BOLD by the heart alone, so it must be asked for by name.
    """

    renamed: ClassVar = {"bold_shift": "dropped_volumes"}

    frequencies: Positive = 134
    context: Positive = 10
    dropped_volumes: Annotated[int, Field(ge=0)] = 3
    grid: Triple | None = None
    regrid: Literal["linear", "dct"] = "linear"
    iqr: bool = False
    channel_types: tuple[str, ...] = ("eeg",)
    cleaning: CleaningConfig = CleaningConfig()
    current_source_density: bool = False

    @model_validator(mode="after")
    def _no_bad_neighbours(self) -> Self:
        if self.current_source_density and not self.cleaning.interpolate_bads:
            raise ValueError(
                "current_source_density: a bad channel would reach its neighbours; set cleaning.interpolate_bads: true"
            )
        return self


class SplitConfig(Section):
    """Subjects of the validation and test splits: a number of subjects or their labels.

    Numbers count from the end of the sorted subjects: the last ones are the test subjects, those
    before them validate, the others train.
    """

    validation: Annotated[int, Field(ge=0)] | tuple[str, ...] = 1
    test: Annotated[int, Field(ge=0)] | tuple[str, ...] = 2
