"""The whole configuration: typed, frozen, read from YAML, overridable key by key.

An unknown key is an error that names the nearest valid one. `flatten` gives the fully
resolved configuration as dotted keys, which is what a run logs.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eeg2fmri.errors import ConfigError

Triple = tuple[int, int, int]
_Model = TypeVar("_Model", bound=BaseModel)
Positive = Annotated[int, Field(ge=1)]
Range = tuple[float, float]

EEG_SCALINGS = ("channels", "training", "none")
BOLD_SCALINGS = ("recording", "volume", "voxel", "psc")
VARIANTS = ("lp", "fp", "talp", "tafp", "tafp-style", "tafp-style-prior")


class Section(BaseModel):
    """Base of all sections: immutable, and nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SimulationConfig(Section):
    """What the simulator writes. `grid`, `channels` and `volumes` set the size."""

    subjects: Positive = 6
    volumes: Annotated[int, Field(ge=2)] = 120
    coupling: Annotated[float, Field(ge=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0
    grid: Triple = (64, 64, 30)
    channels: Annotated[int, Field(ge=4, le=63)] = 63
    sampling_rate: Annotated[float, Field(gt=0)] = 250.0
    tr: Annotated[float, Field(gt=0)] = 2.16


class DataConfig(Section):
    """How a recording becomes a spectrogram and volumes (the reference's settings by default).

    The EEG window is one TR. `frequencies` bins after DC are kept; the context of volume v is the
    `context` windows before it; the first `bold_shift` volumes are dropped on both modalities.
    """

    frequencies: Positive = 134
    context: Positive = 10
    bold_shift: Annotated[int, Field(ge=0)] = 3
    grid: Triple = (64, 64, 30)
    iqr: bool = False
    channel_types: tuple[str, ...] = ("eeg", "ecg")


class SplitConfig(Section):
    """Subjects of the validation and test splits: a number of subjects or their labels.

    Numbers count from the end of the sorted subjects: the last ones are the test subjects, those
    before them validate, the others train.
    """

    validation: Annotated[int, Field(ge=0)] | tuple[str, ...] = 1
    test: Annotated[int, Field(ge=0)] | tuple[str, ...] = 2


class BlockSpec(Section):
    """Architecture of an encoder: one kernel and stride per residual block, one pool for all."""

    kernels: Annotated[tuple[Triple, ...], Field(min_length=1)]
    strides: Annotated[tuple[Triple, ...], Field(min_length=1)]
    pool: Triple = (1, 1, 1)
    pool_stride: Triple = (1, 1, 1)

    @model_validator(mode="after")
    def _same_depth(self) -> Self:
        if len(self.kernels) != len(self.strides):
            raise ValueError(f"{len(self.kernels)} kernels but {len(self.strides)} strides: give one of each per block")
        if any(n < 1 for t in (*self.kernels, *self.strides, self.pool, self.pool_stride) for n in t):
            raise ValueError("kernels, strides and pools must be at least 1 on every axis")
        return self


PUBLISHED_EEG = BlockSpec(kernels=((7, 37, 2), (7, 7, 2)), strides=((3, 5, 1), (2, 2, 1)), pool=(2, 2, 1))
PUBLISHED_FMRI = BlockSpec(
    kernels=((14, 6, 12), (6, 4, 6), (12, 47, 5)), strides=((2, 1, 1), (1, 1, 1), (1, 1, 1)), pool=(2, 2, 2)
)


class TrainingConfig(Section):
    """Optimisation of a deep model; defaults are the published ones where there are any."""

    epochs: Positive = 10
    batch_size: Positive = 4
    learning_rate: Annotated[float, Field(gt=0)] = 0.002980911194116198
    patience: Positive = 3
    monitor: Literal["val/r2_temporal", "val/loss", "val/mae"] = "val/r2_temporal"


class Calhas2022Config(Section):
    """The family of Calhas & Henriques (2022), arXiv 2203.03481; defaults as published."""

    family: Literal["calhas2022"] = "calhas2022"
    variant: Literal["lp", "fp", "talp", "tafp", "tafp-style", "tafp-style-prior"] = "tafp-style"
    latent: Triple = (7, 7, 7)
    filters: Positive = 4
    eeg: BlockSpec = PUBLISHED_EEG
    fmri: BlockSpec = PUBLISHED_FMRI
    max_pool: bool = True
    batch_norm: bool = True
    skip: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    output_conv: bool = True
    start_at_mean: bool = True
    eeg_scaling: Literal["channels", "training", "none"] = "channels"
    bold_scaling: Literal["recording", "volume", "voxel", "psc"] = "recording"
    training: TrainingConfig = TrainingConfig()


class LinearConfig(Section):
    """Distributed-lag ridge regression from log band power to principal components of BOLD.

    `lags`: ``haemodynamic`` lets a channel and band act through the canonical response and its
    latency derivative over all lags of the context, ``free`` gives every lag its own coefficient.
    `drift_cutoff`: slower changes (s) are left out of the fit (SPM's 128 s).
    """

    family: Literal["linear"] = "linear"
    variant: Literal["linear"] = "linear"
    components: Positive = 64
    lags: Literal["haemodynamic", "free"] = "haemodynamic"
    drift_cutoff: Annotated[float, Field(gt=0)] = 128.0
    penalties: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (
        0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300,
    )  # fmt: skip
    bold_scaling: Literal["recording", "volume", "voxel", "psc"] = "recording"


ModelConfig = Annotated[Calhas2022Config | LinearConfig, Field(discriminator="family")]


class SearchConfig(Section):
    """Ranges of the search (domain: Snoek et al. 2012 as used by the published method)."""

    sampler: Literal["tpe", "gp", "random"] = "tpe"
    epochs: Positive = 2
    startup_trials: Annotated[int, Field(ge=0)] = 5
    architectures: bool = True
    learning_rate: Range = (1e-10, 1e-2)
    weight_decay: Range = (1e-10, 1e-1)
    batch_size: Annotated[tuple[Positive, ...], Field(min_length=1)] = (4, 8, 16, 32, 64)
    latent_side: Annotated[tuple[Positive, ...], Field(min_length=1)] = (4, 5, 6, 7, 8, 9, 10, 15, 20)
    filters: Annotated[tuple[Positive, ...], Field(min_length=1)] = (2, 4, 8, 16)
    dropout: Range = (0.0, 0.5)
    eeg_target: Triple = (6, 6, 8)
    fmri_target: Triple = (7, 7, 7)
    eeg_blocks: tuple[int, int] = (2, 3)
    fmri_blocks: tuple[int, int] = (2, 3)
    # Both encoders, one window; the published pair needs 3.8e8. Dearer draws are pruned untrained.
    max_multiply_adds: Annotated[int, Field(gt=0)] = 1_200_000_000

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("learning_rate", "weight_decay", "dropout", "eeg_blocks", "fmri_blocks"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be (low, high), found ({low}, {high})")
        return self


class EvaluationConfig(Section):
    """The shuffled-EEG control: how many shuffles every score averages, and how many give the p-value."""

    shuffles: Positive = 5
    permutations: Annotated[int, Field(ge=19)] = 999
    seed: Annotated[int, Field(ge=0)] = 0


class RegistryConfig(Section):
    """Name of the registered model and the alias that serving follows."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[^/:]+$")] = "eeg2fmri"
    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] = "champion"


class RunConfig(Section):
    """Reproducibility and hardware."""

    seed: Annotated[int, Field(ge=0)] = 2
    device: Literal["auto", "cpu", "gpu"] = "auto"
    gpu_memory_limit: Annotated[int, Field(ge=1)] | None = None
    experiment: Annotated[str, Field(min_length=1)] = "eeg2fmri"


class Config(Section):
    """The whole configuration, one section per concern."""

    run: RunConfig = RunConfig()
    simulation: SimulationConfig | None = None
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    models: Annotated[tuple[ModelConfig, ...], Field(min_length=1)] = (Calhas2022Config(), LinearConfig())
    search: SearchConfig = SearchConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    registry: RegistryConfig = RegistryConfig()

    @model_validator(mode="after")
    def _distinct_models(self) -> Self:
        names = [m.variant for m in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"models: every variant may appear once, found {names}")
        return self

    def model(self, variant: str | None) -> Calhas2022Config | LinearConfig:
        """The configured model called `variant`, or the first one.

        A variant of `calhas2022` that is not listed is derived from the listed model of that
        family by changing the variant only.
        """
        if variant is None:
            return self.models[0]
        for model in self.models:
            if model.variant == variant:
                return model
        if variant in VARIANTS:
            base = next((m for m in self.models if isinstance(m, Calhas2022Config)), Calhas2022Config())
            return Calhas2022Config.model_validate({**base.model_dump(), "variant": variant})
        if variant == "linear":
            return LinearConfig()
        raise ConfigError(
            f"variant {variant!r} is not known; expected one of {', '.join((*VARIANTS, 'linear'))}"
            f"{nearest(variant, (*VARIANTS, 'linear'))}"
        )


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint naming the choice closest to `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def load_config(path: Path | str | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file and apply dotted overrides, e.g. ``{"run.seed": 3}``.

    Parameters
    ----------
    path : path to a YAML file; ``None`` gives the defaults.
    overrides : dotted key to value; a part of a key that indexes a list is a number.

    Raises
    ------
    ConfigError
        If the file is missing or not YAML, or a key or value is not valid.
    """
    tree: dict[str, Any] = {}
    source = "the defaults" if path is None else str(path)
    if path is not None:
        try:
            tree = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except OSError as err:
            raise ConfigError(f"configuration {path} cannot be read ({err.strerror}); give a YAML file") from err
        except (yaml.YAMLError, UnicodeDecodeError) as err:
            raise ConfigError(f"configuration {path} is not YAML: {' '.join(str(err).split())}") from err
        if not isinstance(tree, dict):
            raise ConfigError(f"configuration {path} must be a mapping of sections, found {type(tree).__name__}")
    overrides = overrides or {}
    if "models" not in tree and any(key.startswith("models.") for key in overrides):
        tree["models"] = Config().model_dump(mode="json")["models"]
    for key, value in overrides.items():
        _set(tree, key, value)
    return parse(Config, tree, source)


def parse_overrides(text: str | None) -> dict[str, Any]:
    """Overrides from ``"run.seed=3; data.iqr=true"``; values are YAML."""
    pairs: dict[str, Any] = {}
    for part in (text or "").split(";"):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"override {part.strip()!r} must read KEY=VALUE, for instance run.seed=3")
        try:
            pairs[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as err:
            raise ConfigError(f"override {part.strip()!r}: the value is not YAML") from err
    return pairs


def parse(cls: type[_Model], tree: Any, source: str) -> _Model:
    """Validate `tree` as `cls`; the first fault becomes a one-line `ConfigError`."""
    try:
        return cls.model_validate(tree)
    except ValidationError as err:
        fault = err.errors(include_url=False)[0]
        path = [p for p in fault["loc"] if p not in ("calhas2022", "linear")]
        where = ".".join(str(p) for p in path) or cls.__name__
        if fault["type"] == "extra_forbidden":
            keys = _keys_at(cls, fault["loc"][:-1])
            hint = nearest(str(path[-1]), keys) or f"; valid keys: {', '.join(keys)}"
            raise ConfigError(f"{source}: unknown key {where!r}{hint}") from err
        message = fault["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{source}: {where}: {message} (found {fault['input']!r:.80})") from err


def flatten(tree: Mapping[str, Any] | BaseModel, prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a nested mapping; lists stay values."""
    items = tree.model_dump(mode="json") if isinstance(tree, BaseModel) else tree
    flat: dict[str, Any] = {}
    for key, value in items.items():
        name = f"{prefix}{key}"
        flat.update(flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return flat


def _set(tree: Any, dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    node = tree
    for part in parents:
        node = _child(node, part, dotted)
    if isinstance(node, list):
        node[_index(node, last, dotted)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"override {dotted!r}: {parents[-1]!r} is a value, not a section")


def _child(node: Any, part: str, dotted: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, dotted)]
    if not isinstance(node, dict):
        raise ConfigError(f"override {dotted!r}: {part!r} lies inside a value, not a section")
    if node.get(part) is None:
        node[part] = {}
    return node[part]


def _index(node: list[Any], part: str, dotted: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(f"override {dotted!r}: {part!r} must be a number from 0 to {len(node) - 1}")
    return int(part)


def _keys_at(cls: type[BaseModel], loc: Iterable[Any]) -> list[str]:
    """Names of the fields of the section that `loc` leads to."""
    families: dict[str, type[BaseModel]] = {"calhas2022": Calhas2022Config, "linear": LinearConfig}
    section: type[BaseModel] = cls
    for part in loc:
        if part in families:
            section = families[part]
        elif isinstance(part, str):
            field = section.model_fields[part].annotation
            options = [field, *getattr(field, "__args__", ())]
            section = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), section)
    return list(section.model_fields)
