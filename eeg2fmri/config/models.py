"""Sections on models: one class per family, and how a deep one is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from eeg2fmri.config.base import Positive, Range, Section, Triple

Variant = Literal["lp", "fp", "talp", "tafp", "tafp-style", "tafp-style-prior"]
VARIANTS: tuple[str, ...] = get_args(Variant)
EegScaling = Literal["channels", "training", "none"]
BoldScaling = Literal["recording", "volume", "voxel", "psc"]


def _ordered(bands: dict[str, Range]) -> dict[str, Range]:
    for name, (low, high) in bands.items():
        if not 0 <= low < high:
            raise ValueError(f"{name} must be (low, high) in Hz, 0 <= low < high, found ({low}, {high})")
    return bands


Bands = Annotated[dict[str, Range], Field(min_length=1), AfterValidator(_ordered)]
Penalties = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
CLINICAL_BANDS: dict[str, Range] = {
    "delta": (0.1, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 80.0),
}
# Alpha, beta and gamma in parts: networks differ in which part of a band they follow.
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
    """Optimisation of a deep model; defaults are the published ones where there are any, but for `shuffle`.

    shuffle: windows are drawn in random order each epoch; the published code takes them as they were
    recorded, subject by subject.  schedule: how the learning rate falls, step by step, to `final_share`
    of itself at the last epoch's end; `warmup_epochs` of straight rise come first.  global_clipnorm:
    largest norm of the gradient of all weights together.
    precision: of the arithmetic in training; weights and the served model are float32.
    """

    epochs: Positive = 10
    batch_size: Positive = 4
    shuffle: bool = True
    learning_rate: Annotated[float, Field(gt=0)] = 0.002980911194116198
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    final_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    global_clipnorm: Annotated[float, Field(gt=0)] | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    patience: Positive = 3


class RecordingTraining(Section):
    """Optimisation of a network that is trained on whole recordings, one a step."""

    epochs: Positive = 20
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    patience: Positive = 5


class ModelConfig(Section):
    """Base of the settings of every family.

    family : its name.

    A family also gives, each as a setting or as a class attribute: `variant`, what the model is called in runs
    and summaries (a `Literal` if a setting), and `eeg_scaling` and `bold_scaling`, how windows and volumes are
    scaled around its network (`eeg2fmri.signals.scaling`).
    """

    family: str

    if TYPE_CHECKING:

        @property
        def variant(self) -> str: ...
        @property
        def eeg_scaling(self) -> str: ...
        @property
        def bold_scaling(self) -> str: ...


class Magnitudes(ModelConfig):
    """Base of families that take the EEG's magnitudes as they are."""

    eeg_scaling: ClassVar[str] = "none"
    bold_scaling: ClassVar[str] = "recording"


class Calhas2022Config(ModelConfig):
    """The family of Calhas & Henriques (2022), arXiv 2203.03481; defaults as published.

    eeg, fmri : blocks of the encoders; by default the published ones on the published shapes, and on
        others those that are nearest to them.
    weight_decay : L2 penalty of kernels and biases of the residual blocks, and of nothing else, as published.
    fourier : `random` features, or the `fixed` ones of the published code.
    output_filter : after the dense decoder, `conv` (1×1×1), `local` (a weight and a bias per voxel) or
        `none`; `auto` is `conv` with the dense decoder and `none` with `pca`.
    decoder : `dense`, or `pca`: the mean volume plus a learned combination of `components` spatial
        principal components of the training set. It has no fMRI encoder and no cosine term: it trains on
        `components` numbers a window. `dropout` acts in the fMRI encoder.
    """

    family: Literal["calhas2022"] = "calhas2022"
    variant: Variant = "tafp-style"
    latent: Triple = (7, 7, 7)
    filters: Positive = 4
    eeg: BlockSpec | None = None
    fmri: BlockSpec | None = None
    max_pool: bool = True
    batch_norm: bool = True
    skip: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    fourier: Literal["random", "fixed"] = "random"
    output_filter: Literal["auto", "none", "conv", "local"] = "auto"
    decoder: Literal["dense", "pca"] = "dense"
    components: Positive = 64
    start_at_mean: bool = True
    eeg_scaling: EegScaling = "channels"
    bold_scaling: BoldScaling = "recording"
    training: TrainingConfig = TrainingConfig()

    @property
    def attends(self) -> bool:
        """Whether the variant has topographical attention."""
        return self.variant.startswith("ta")

    @property
    def projects(self) -> bool:
        """Whether the variant has Fourier features."""
        return "fp" in self.variant

    @property
    def filter(self) -> str:
        """The output filter, `auto` resolved."""
        automatic = "conv" if self.decoder == "dense" else "none"
        return automatic if self.output_filter == "auto" else self.output_filter

    @property
    def aligns(self) -> bool:
        """Whether there is an fMRI encoder, whose latents and the EEG's are drawn together."""
        return self.decoder == "dense"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        dense = self.decoder == "dense"
        refused = {
            f"fourier: the variant {self.variant} has no Fourier features to fix; choose fp, tafp, tafp-style or "
            "tafp-style-prior, or leave it at random": self.fourier == "fixed" and not self.projects,
            f"output_filter: {self.output_filter} would take volumes out of the span of decoder: pca; set it to none "
            "or auto": not dense and self.filter != "none",
            "start_at_mean: false, but decoder: pca is the mean volume plus components; set decoder: dense or "
            "start_at_mean: true": not dense and not self.start_at_mean,
        }
        for reason, impossible in refused.items():
            if impossible:
                raise ValueError(reason)
        return self


class LinearConfig(Magnitudes):
    """Distributed-lag ridge regression from log band power to principal components of BOLD.

    A channel and band act through the canonical response and its latency derivative over all lags of the context.
    `bands`: edges in Hz, the lower one included; by default the clinical bands (IFCN; Babiloni et
    al. 2020). A band in which the spectrogram has no bin is left out.
    `drift_cutoff`: slower changes (s) are left out of the fit (SPM's 128 s).
    `penalties`: each component's is chosen of these by held-out subjects.
    `refit`: the model that is kept is fitted once more, on training and validation subjects together;
    validation scores stay those of the fit without them.
    """

    variant: ClassVar[str] = "linear"
    family: Literal["linear"] = "linear"
    components: Positive = 64
    bands: Bands = CLINICAL_BANDS
    drift_cutoff: Annotated[float, Field(gt=0)] = 128.0
    penalties: Penalties = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
    refit: bool = False


class FactorisedConfig(Magnitudes):
    """A network of few sources, ours: band power → sources over channels and bands → response → components.

    `linear_share` of the prediction is a linear path, the regression of family `linear` (its defaults, these
    bands), fitted in closed form and not trained on; the rest is the sources'. They start at a reduced-rank
    regression: on standardised log power, each feature let through by a gate, its strength in a ridge
    regression (`gate_rounds` times over, 0: no gates); with the one of the ridge `penalties` (of the mean
    variance of a feature) that predicts held-out training subjects best; to BOLD without `nuisance`
    components of noise. They are trained on from there; `hidden` units correct each window's sources (0: none). `members` networks, each without some of the training
    subjects, are averaged. `drift_cutoff` and `refit` as in `linear`; a refit takes the epochs that were best
    for validation subjects.
    """

    variant: ClassVar[str] = "factorised"
    family: Literal["factorised"] = "factorised"
    linear_share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    sources: Positive = 8
    members: Positive = 3
    gate_rounds: Annotated[int, Field(ge=0)] = 3
    hidden: Annotated[int, Field(ge=0)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    components: Positive = 64
    bands: Bands = FINE_BANDS
    nuisance: Annotated[int, Field(ge=0)] = 6
    penalties: Penalties = (0.3, 1, 3, 10, 30)
    refit: bool = False
    drift_cutoff: Annotated[float, Field(gt=0)] = 128.0
    training: RecordingTraining = RecordingTraining()


class MeanConfig(Magnitudes):
    """The null as a model: the mean training volume, whatever the EEG."""

    variant: ClassVar[str] = "mean"
    family: Literal["mean"] = "mean"
