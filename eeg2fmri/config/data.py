"""Sections on data: the simulation, the choice and preparation of recordings, and the split of subjects."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from eeg2fmri.config.base import Above, Count, Positive, Section, Triple


class GroupsConfig(Section):
    """Two groups of subjects with EEG only, recorded outside the scanner; every second subject is a case.

    The column ``group`` of ``participants.tsv`` says ``control`` or ``case``.
    """

    network: Literal["visual", "sensorimotor", "midline-theta", "default-mode", "attention", "frontal-gamma"] = "visual"
    """Network with another rhythm in cases; that of ``visual`` is the occipital alpha rhythm. Source: ours."""
    size: Above = 1.0
    """Amplitude of its rhythm in cases, as a factor [-]. Source: by definition."""
    variability: Above = 1.5
    """Slow fluctuation of that amplitude (of its logarithm) in cases, as a factor [-]. Source: ours."""


class SimulationConfig(Section):
    """Settings of the simulator."""

    subjects: Positive = 6
    """Subjects of the dataset [subjects]. Source: ours; the demo has 8."""
    volumes: Annotated[int, Field(ge=2)] = 120
    """Volumes of each subject [volumes]. Source: ours; the demo has 150, NODDI 300."""
    coupling: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the networks' BOLD that the EEG drives; 0: nothing [-]. Source: by definition."""
    seed: Count = 0
    """Seed of all random numbers [-]. Source: ours."""
    grid: Triple = (64, 64, 30)
    """Volume along x, y, z [voxels]. Source: NODDI."""
    channels: Annotated[int, Field(ge=4, le=63)] = 63
    """EEG channels, 10-05 names [channels]; an ECG is added. Source: NODDI."""
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
    ``dataset.bold=fmriprep``), ``task`` in ``events.tsv``. Source: ours."""
    groups: GroupsConfig | None = None
    """Labelled subjects with EEG only, to try `classify`; by default EEG and BOLD of subjects without a label."""


class CleaningConfig(Section):
    """Cleaning of the EEG before its spectrogram; by default only bad channels are interpolated."""

    gradient: bool = False
    """Subtract the scanner's artefact by a sliding mean over volumes. Source: Allen et al. 2000; most public data
    are clean."""
    template: Annotated[int, Field(ge=3)] = 21
    """Volumes in the sliding mean of `gradient`, an odd number [volumes]. Source: Allen et al. 2000."""
    sampling_rate: Above | None = None
    """Rate of the EEG after cleaning [Hz]; by default its own."""
    pulse: bool = False
    """Subtract the heart's artefact by the mean beat and its principal components; needs an ECG or R peaks.
    Source: Niazy et al. 2005; most public data are clean."""
    pulse_components: Positive = 4
    """Principal components that `pulse` subtracts [-]. Source: Niazy et al. 2005 used 3 or 4."""
    interpolate_bads: bool = True
    """Interpolate channels that the dataset marks as bad; false keeps them, for names without a known position.
    Source: common practice."""
    average_reference: bool = False
    """Subtract the mean of all EEG channels. Source: measured, `r2_temporal` changes by at most 0.0008."""

    @field_validator("template")
    @classmethod
    def _has_a_middle(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that the window is symmetric around its volume")
        return value


def _labels(value: Any) -> Any:
    """Read labels from a list, a comma-separated text, or a single one; YAML reads some as numbers."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    listed = value if isinstance(value, (list, tuple)) else [value]
    return tuple(str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in listed)


Labels = Annotated[tuple[str, ...], BeforeValidator(_labels)]


OTHER_SETTINGS = {"sub": "subjects", "ses": "sessions", "task": "tasks", "run": "runs", "echo": "echo", "part": "part"}


def _of_all(value: Any) -> Any:
    """Apply one value to all recordings."""
    return value if isinstance(value, dict) else {"all": value}


End = Literal["refuse", "end", "start"]
ByRecording = Annotated[dict[str, End], BeforeValidator(_of_all)]


def _as_text(value: Any) -> Any:
    """Return a marker or a label as text; YAML may read it as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Label = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class DatasetConfig(Section):
    """Choice of recordings of a dataset, and the clock of EEG and BOLD."""

    name: Annotated[str, Field(min_length=1)] = "bids"
    """Layout: bids, noddi, oddball, cn-epfl, xp1, xp2 or the path of a class, ``package.module:Class``.
    Source: BIDS is the standard."""
    subjects: Labels = ()
    """Labels of the subjects to use; all if there is none."""
    sessions: Labels = ()
    """Labels of the sessions to use; all if there is none."""
    tasks: Labels = ()
    """Labels of the tasks to use; all if there is none."""
    runs: Labels = ()
    """Labels of the runs to use; all if there is none."""
    entities: dict[str, Labels] = Field(default_factory=dict)
    """Labels of any other BIDS entity, e.g. ``{acq: std, dir: AP}``."""
    task_alias: dict[str, Label] = Field(default_factory=dict)
    """Tasks with different names in EEG and BOLD, as EEG: BOLD, e.g. ``{ECON: EC}``. Source: ds006040 needs it."""
    echo: Positive | Literal["refuse", "combine"] = "refuse"
    """Number of the echo to use [-], or ``combine`` all by T2*; by default several echoes are refused.
    Source: no echo is the best in general."""
    part: Literal["mag", "phase", "real", "imag"] = "mag"
    """Part of complex BOLD files. Source: BIDS."""
    eeg: Annotated[str, Field(min_length=1)] = "auto"
    """EEG to read: ``raw`` or the name of a derivative; ``auto`` is the layout's own choice. Source: the published
    code."""
    bold: Annotated[str, Field(min_length=1)] = "auto"
    """BOLD to read: ``raw``, the name of a derivative, e.g. ``fmriprep``, or ``auto``. Source: the published code."""
    alignment: Literal["auto", "markers", "start-time", "events", "xp", "wall-clock", "scanner", "file-start"] = "auto"
    """Source of the common clock of EEG and BOLD; ``auto`` uses the best one of the recording. Source: measured, the
    start of the file is up to two minutes wrong."""
    volume_marker: Label = "auto"
    """Description of the scanner's marker; ``auto`` finds the one in the rhythm of the volumes."""
    missing_markers: ByRecording = Field(default_factory=dict)
    """End of the run that lacks markers, if they span fewer volumes than BOLD has: ``end`` if the first ones are there,
    ``start`` if the last ones are there; for all recordings or by name, ``{all: end, sub-03_task-rest: start}``.
    By default such recordings are refused."""
    surplus_markers: ByRecording = Field(default_factory=dict)
    """End of the run that has markers without a volume, in the same form: ``start`` for dummy volumes, or ``end``. By
    default such recordings are refused."""
    orientation: str | None = None
    """Orientation of the stored voxels if the header does not give it, e.g. ``LAS``. By default such files are
    refused."""

    @field_validator("orientation")
    @classmethod
    def _names_three_axes(cls, value: str | None) -> str | None:
        plain = "" if value is None else value.translate(str.maketrans("LPI", "RAS"))
        if value is not None and sorted(plain) != sorted("RAS"):
            raise ValueError("must name the directions of three axes, e.g. RAS or LAS")
        return value

    @field_validator("entities")
    @classmethod
    def _have_no_other_setting(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for key, labels in value.items():
            if key in OTHER_SETTINGS:
                raise ValueError(f"{key} is chosen by dataset.{OTHER_SETTINGS[key]}")
            if not labels:
                raise ValueError(f"{key} has no label; set one, or leave it out")
        return value


class DataConfig(Section):
    """Preparation of a recording: a spectrogram with one window per TR, and volumes."""

    renamed: ClassVar = {"bold_shift": "dropped_volumes"}

    frequencies: Positive = 134
    """Bins after DC that are kept, 1/TR apart [bins]. Source: Calhas & Henriques 2022."""
    context: Positive = 10
    """Windows before a volume, the input of a model [TR]. Source: Calhas & Henriques 2022; 21.6 s span the response."""
    dropped_volumes: Count = 3
    """First volumes that are dropped in both modalities [volumes]. Source: the published code; 6 for CN-EPFL and
    XP2."""
    grid: Triple | None = None
    """Grid of the volumes over the same field of view [voxels]; by default their own."""
    regrid: Literal["linear", "dct"] = "linear"
    """Method for the new grid: ``linear`` interpolation, or the published ``dct``, which rings at edges.
    Source: ours."""
    iqr: bool = False
    """Ignore values outside Q1 - 1.5·IQR … Q3 + 1.5·IQR in standardisation. Source: the published code."""
    channel_types: tuple[str, ...] = ("eeg",)
    """Types of the channels that a model gets. An ECG predicts BOLD by the heart beat, so it must be set explicitly.
    Source: ours; the published data have it among the 64."""
    cleaning: CleaningConfig = CleaningConfig()
    """Cleaning of the EEG."""
    current_source_density: bool = False
    """Spectrogram of the EEG's surface Laplacian (mV/m²), which separates neighbouring sources better.
    Source: the published code uses potentials."""

    @model_validator(mode="after")
    def _no_bad_neighbours(self) -> Self:
        if self.current_source_density and not self.cleaning.interpolate_bads:
            raise ValueError(
                "current_source_density: a bad channel would change its neighbours; set cleaning.interpolate_bads: true"
            )
        return self


class SplitConfig(Section):
    """Subjects of validation and test; the others train.

    Numbers count from the end of the sorted subjects: the last ones are the test subjects, those
    before them validate. Labels may be those of sessions, ``01_ses-02``: then the parts are sessions, and a
    person may be tested whose other sessions train.
    """

    validation: Count | tuple[str, ...] | None = None
    """Validation subjects: a number [subjects], or labels. By default as the store was prepared, else 1.
    Source: the demo's eight subjects."""
    test: Count | tuple[str, ...] | None = None
    """Test subjects: a number [subjects], or labels. By default as the store was prepared, else 2.
    Source: the published code."""


class CrossvalConfig(Section):
    """Folds of `crossval`, and the models that it compares; it takes no notice of `split`."""

    protocol: Literal["leave-one-subject-out", "k-fold", "leave-one-session-out"] = "leave-one-subject-out"
    """Those who are tested together: one subject, a group of subjects, or one session of every subject. With
    ``leave-one-session-out`` people are tested whose other sessions train. Source: common practice."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds of ``k-fold`` [folds]. Source: common practice."""
    validation: Positive = 1
    """Subjects of a fold that validate, taken from those that would train [subjects]. Source: as `split.validation`."""
    models: Labels = ()
    """Variants of the models that are compared; all configured ones where there is none."""
