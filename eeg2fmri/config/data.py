"""Sections on data: what is simulated, how a recording becomes a spectrogram and volumes, who is in which split."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from eeg2fmri.config.base import Above, Count, Positive, Section, Triple


class SimulationConfig(Section):
    """What the simulator writes."""

    subjects: Positive = 6
    """Subjects of the dataset [subjects]. Source: the demo."""
    volumes: Annotated[int, Field(ge=2)] = 120
    """Volumes of each subject [volumes]. Source: the demo; NODDI has 300."""
    coupling: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the networks' BOLD that the EEG tells of; 0: nothing [-]. Source: by definition."""
    seed: Count = 0
    """Seed of everything that is drawn [-]. Source: ours."""
    grid: Triple = (64, 64, 30)
    """Volume along x, y, z [voxels]. Source: NODDI."""
    channels: Annotated[int, Field(ge=4, le=63)] = 63
    """EEG channels, 10-05 names [channels]; an ECG comes beside them. Source: NODDI."""
    sampling_rate: Above = 250.0
    """Sampling rate of the EEG [Hz]. Source: NODDI's export."""
    tr: Above = 2.16
    """Time between volumes [s]. Source: NODDI."""
    raw: bool = False
    """Write the EEG as the amplifier in the scanner records it: at 20 times `sampling_rate`, with gradient and pulse
    artefacts; the EEG without them goes to ``derivatives/simulation``. Source: most public data are clean."""
    confound: Literal["none", "pulse", "motion", "task"] = "none"
    """Something apart from the rhythms that moves EEG and BOLD, to try the baselines made for it; with `coupling` 0
    they share nothing else. ``pulse`` shows in the ECG, ``motion`` in ``derivatives/fmriprep`` (read with
    ``dataset.bold=fmriprep``), ``task`` in ``events.tsv`` [-]. Source: ours."""


class CleaningConfig(Section):
    """What is done to the EEG before its spectrogram; by default nothing but interpolating bad channels."""

    gradient: bool = False
    """Subtract the scanner's artefact by a sliding mean over volumes. Source: Allen et al. 2000; most public data
    are clean."""
    template: Annotated[int, Field(ge=3)] = 21
    """Volumes that the sliding mean of `gradient` takes, an odd number [volumes]. Source: Allen et al. 2000."""
    sampling_rate: Above | None = None
    """Rate that the EEG is brought to [Hz]; by default its own."""
    pulse: bool = False
    """Subtract the heart's artefact by the mean beat and its principal components; needs an ECG or R peaks.
    Source: Niazy et al. 2005; most public data are clean."""
    pulse_components: Positive = 4
    """Principal components that `pulse` subtracts [-]. Source: Niazy et al. 2005 took 3 or 4."""
    interpolate_bads: bool = True
    """Interpolate channels that the dataset marks as bad; false keeps them, where names have no known place.
    Source: common practice."""
    average_reference: bool = False
    """Subtract the mean of all EEG channels. Source: measured, `r2_temporal` is within 0.0008 with it."""

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
    """Which recordings of a dataset are used, and how EEG and BOLD are put on one clock."""

    name: Annotated[str, Field(min_length=1)] = "bids"
    """Layout: bids, noddi, oddball, cn-epfl, xp1, xp2 or the path of a class, ``package.module:Class``.
    Source: BIDS is the standard."""
    subjects: Labels = ()
    """Labels of the subjects that are used; all where there is none."""
    sessions: Labels = ()
    """Labels of the sessions, likewise."""
    tasks: Labels = ()
    """Labels of the tasks, likewise."""
    runs: Labels = ()
    """Labels of the runs, likewise."""
    entities: dict[str, Labels] = Field(default_factory=dict)
    """Labels of any other BIDS entity, e.g. ``{acq: std, dir: AP}``."""
    task_alias: dict[str, Label] = Field(default_factory=dict)
    """Pairs of tasks that are called differently, EEG: BOLD, e.g. ``{ECON: EC}``. Source: ds006040 needs it."""
    echo: Positive | Literal["refuse", "combine"] = "refuse"
    """Number of the echo that is used [-], or ``combine`` all by T2*; several are refused otherwise.
    Source: no echo is better in general."""
    part: Literal["mag", "phase", "real", "imag"] = "mag"
    """Part of complex BOLD files. Source: BIDS."""
    eeg: Annotated[str, Field(min_length=1)] = "auto"
    """``raw`` or the name of a derivative; ``auto`` is what the layout says. Source: the published code."""
    bold: Annotated[str, Field(min_length=1)] = "auto"
    """``raw`` or the name of a derivative, likewise, e.g. ``fmriprep``. Source: the published code."""
    alignment: Literal["auto", "markers", "start-time", "events", "xp", "wall-clock", "scanner", "file-start"] = "auto"
    """What puts EEG and BOLD on one clock; ``auto`` takes the best that the recording has. Source: measured, the
    start of the file is up to two minutes off."""
    volume_marker: Label = "auto"
    """Description of the scanner's marker; ``auto`` takes the one in the rhythm of the volumes."""
    missing_markers: ByRecording = Field(default_factory=dict)
    """Which end lacks markers where they span fewer volumes than BOLD has: ``end`` where the first ones are there,
    ``start`` where the last ones are; of all recordings or by name, ``{all: end, sub-03_task-rest: start}``.
    By default they are refused."""
    surplus_markers: ByRecording = Field(default_factory=dict)
    """Where markers without a volume lie, likewise: ``start`` for dummy volumes, or ``end``. By default
    they are refused."""
    orientation: str | None = None
    """How voxels are stored where the header does not say, e.g. ``LAS``. By default such files are refused."""

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
    """How a recording becomes a spectrogram, one window a TR, and volumes."""

    renamed: ClassVar = {"bold_shift": "dropped_volumes"}

    frequencies: Positive = 134
    """Bins after DC that are kept, 1/TR apart [bins]. Source: Calhas & Henriques 2022."""
    context: Positive = 10
    """Windows before a volume that a model sees [TR]. Source: Calhas & Henriques 2022; 21.6 s span the response."""
    dropped_volumes: Count = 3
    """First volumes that are dropped on both modalities [volumes]. Source: the published code; 6 for CN-EPFL and
    XP2."""
    grid: Triple | None = None
    """Grid that volumes are brought to over the same field of view [voxels]; by default their own."""
    regrid: Literal["linear", "dct"] = "linear"
    """How volumes are brought there: ``linear`` interpolation, or the published ``dct``, which rings at edges.
    Source: ours."""
    iqr: bool = False
    """Set values outside Q1 - 1.5·IQR … Q3 + 1.5·IQR aside while standardising. Source: the published code."""
    channel_types: tuple[str, ...] = ("eeg",)
    """Types of channels that a model sees. An ECG predicts BOLD by the heart alone, so it must be asked for.
    Source: ours; the published data have it among the 64."""
    cleaning: CleaningConfig = CleaningConfig()
    """What is done to the EEG first."""
    current_source_density: bool = False
    """Spectrogram of the EEG's surface Laplacian (mV/m²), which tells neighbouring sources apart better.
    Source: the published code takes potentials."""

    @model_validator(mode="after")
    def _no_bad_neighbours(self) -> Self:
        if self.current_source_density and not self.cleaning.interpolate_bads:
            raise ValueError(
                "current_source_density: a bad channel would reach its neighbours; set cleaning.interpolate_bads: true"
            )
        return self


class SplitConfig(Section):
    """Who validates and who tests; the others train.

    Numbers count from the end of the sorted subjects: the last ones are the test subjects, those
    before them validate. Labels may be those of sessions, ``01_ses-02``: then the parts are sessions, and a
    person may be tested whose other sessions train.
    """

    validation: Count | tuple[str, ...] | None = None
    """Validation subjects: a number [subjects], or labels. By default as the store was prepared, else 1.
    Source: the demo's six subjects."""
    test: Count | tuple[str, ...] | None = None
    """Test subjects, likewise. By default as the store was prepared, else 2 [subjects]. Source: the published code."""


class CrossvalConfig(Section):
    """How `crossval` makes folds of the subjects, and which models it compares; it takes no notice of `split`."""

    protocol: Literal["leave-one-subject-out", "k-fold", "leave-one-session-out"] = "leave-one-subject-out"
    """Who is tested together: one subject, a group of subjects, or one session of every subject. With
    ``leave-one-session-out`` people are tested whose other sessions train. Source: common practice."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of ``k-fold`` [folds]. Source: common practice."""
    validation: Positive = 1
    """Subjects of a fold that validate, taken from those that would train [subjects]. Source: as `split.validation`."""
    models: Labels = ()
    """Variants of the models that are compared; all configured ones where there is none."""
