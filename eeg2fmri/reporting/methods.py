"""A paragraph for the methods section of an article, from the settings of a model and of its evaluation.

Every number in it is one of a setting, of the data, or of a work that it cites. Sentences are short, so that an author
can leave out what does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from eeg2fmri.config import (
    Calhas2022Config,
    DataConfig,
    EvaluationConfig,
    FactorisedConfig,
    LinearConfig,
    MeanConfig,
    ModelConfig,
    flatten,
)
from eeg2fmri.evaluation import FDR_LEVEL
from eeg2fmri.models.linear import bands_with_bins
from eeg2fmri.reporting.words import counted, listed
from eeg2fmri.scoring import RESAMPLES
from eeg2fmri.store import StoredRecording

SCALED = {
    "recording": "Volumes were standardised by one mean and one standard deviation of their recording.",
    "volume": "Each volume was standardised by its own mean and standard deviation.",
    "voxel": "Each voxel was standardised over time, within its recording.",
    "psc": "Volumes were expressed as percent signal change.",
}
EEG_SCALED = {
    "channels": "EEG windows were standardised over channels, for each frequency and lag.",
    "training": "EEG windows were standardised by the mean and standard deviation of the training windows.",
}


def data_methods(settings: Mapping[str, Any], recordings: Sequence[StoredRecording]) -> str:
    """Describe recordings and their preparation.

    Parameters
    ----------
    settings : of the store.
    recordings : all that trained, validated or tested a model.
    """
    data, signal = DataConfig.model_validate(dict(settings)), recordings[0].signal
    people = len({recording.subject for recording in recordings})
    clocks = sorted({str(r.attributes.get("alignment", {}).get("source", "")) for r in recordings} - {""})
    rebuilt = sorted({name for r in recordings for name in r.attributes.get("interpolated", ())})
    context = data.context * signal.tr
    space = "were not registered to each other" if signal.space == "native" else f"were in the space {signal.space}"
    grid = " × ".join(map(str, signal.grid))
    frequencies = f"{signal.frequencies[0]:.3g} to {signal.frequencies[-1]:.3g} Hz"
    sentences = [
        f"Simultaneous EEG and BOLD of {counted(people, 'subject')} were used ({counted(len(recordings), 'recording')}"
        f", {counted(len(signal.channels), 'EEG channel')}, TR {signal.tr:g} s).",
        f"Their clocks were aligned by {listed(clocks)}." if clocks else "",
        f"The first {counted(data.dropped_volumes, 'volume')} of each recording were left out in both modalities."
        if data.dropped_volumes
        else "",
        *_cleaning(data, rebuilt),
        "The EEG's current source density (surface Laplacian) was computed." if data.current_source_density else "",
        f"The EEG's magnitude spectrum was computed in windows of one TR, without overlap and without a taper: "
        f"{counted(len(signal.frequencies), 'bin')}, {frequencies}.",
        f"A model predicted a volume from the {counted(data.context, 'window')} before it ({context:g} s).",
        f"Volumes had {grid} voxels"
        + (f" after {'trilinear' if data.regrid == 'linear' else 'DCT'} resampling" if data.grid else "")
        + f"; those of different subjects {space}.",
        "Intensities beyond 1.5 interquartile ranges of the quartiles were left out of the standardisation."
        if data.iqr
        else "",
    ]
    return _joined(sentences)


def _cleaning(data: DataConfig, rebuilt: Sequence[str]) -> list[str]:
    cleaning, types = data.cleaning, [kind.upper() for kind in data.channel_types]
    return [
        f"The channels of type {listed(types)} were used." if types != ["EEG"] else "",
        f"The gradient artefact was subtracted as the mean of {cleaning.template} volumes (Allen et al. 2000)."
        if cleaning.gradient
        else "",
        f"The pulse artefact was subtracted as the mean beat and {counted(cleaning.pulse_components, 'component')} of "
        f"an optimal basis set (Niazy et al. 2005)."
        if cleaning.pulse
        else "",
        f"The EEG was resampled to {cleaning.sampling_rate:g} Hz." if cleaning.sampling_rate else "",
        f"Channels that the dataset marks as bad were interpolated ({listed(rebuilt)})." if rebuilt else "",
        "The EEG was referenced to the mean of all channels." if cleaning.average_reference else "",
    ]


@singledispatch
def model_methods(config: ModelConfig, frequencies: np.ndarray) -> str:
    """Describe a model by its settings; one of a family without words of its own lists them.

    A package registers its own words: ``@model_methods.register``.

    Parameters
    ----------
    config : of the model.
    frequencies : (F,) Hz, of its EEG windows; a band without one of them is not used.
    """
    names = {key: value for key, value in flatten(config).items() if key not in ("family", "variant")}
    settings = ", ".join(f"{key} = {value}" for key, value in names.items())
    return f"The model {config.variant} was of the family {config.family}" + (f" ({settings})." if settings else ".")


@model_methods.register
def _(config: MeanConfig, frequencies: np.ndarray) -> str:
    return "The model mean predicted the mean training volume at every time, from no EEG."


@model_methods.register
def _(config: LinearConfig, frequencies: np.ndarray) -> str:
    bands = bands_with_bins(config.bands, frequencies)
    return _joined(
        [
            f"The model {config.variant} was a ridge regression on the log power of each channel in "
            f"{counted(len(bands), 'band')}: {_bands(bands)}.",
            "Power acted through the canonical haemodynamic response and its latency derivative "
            "(Friston et al. 1998, Glover 1999).",
            f"It predicted up to {counted(config.components, 'principal component')} of the training volumes.",
            f"Changes slower than {config.drift_cutoff:g} s were left out of the fit.",
            f"The penalty of each component was the best for subjects left out, among {_numbers(config.penalties)}.",
            REFITTED if config.refit else "",
        ]
    )


@model_methods.register
def _(config: FactorisedConfig, frequencies: np.ndarray) -> str:
    training, bands = config.training, bands_with_bins(config.bands, frequencies)
    return _joined(
        [
            f"The model {config.variant} was a network of {counted(config.sources, 'source')} between log band power "
            f"and up to {counted(config.components, 'principal component')} of BOLD.",
            f"Power of each channel was computed in {counted(len(bands), 'band')}: {_bands(bands)}.",
            "The sources acted through the canonical haemodynamic response (Glover 1999).",
            "They started as the combinations of log power of which the response leaves the largest share of variance "
            "(de Cheveigné & Parra 2014).",
            "Their loadings started as a ridge regression, in which recordings were weighted by their precision.",
            f"The penalty of each component was the best for training subjects left out, among "
            f"{_numbers(config.penalties)}.",
            f"A layer of {counted(config.hidden, 'unit')} (dropout {config.dropout:g}) corrected the sources."
            if config.hidden
            else "",
            f"Changes slower than {config.drift_cutoff:g} s were left out of the fit.",
            f"Training took at most {counted(training.epochs, 'epoch')} of Adam, learning rate "
            f"{training.learning_rate:g}, one recording per step (Kingma & Ba 2015).",
            f"It stopped after {counted(training.patience, 'epoch')} without a better score of validation subjects, "
            f"and the best epoch was kept.",
            REFITTED if config.refit else "",
        ]
    )


@model_methods.register
def _(config: Calhas2022Config, frequencies: np.ndarray) -> str:
    training, pca = config.training, config.decoder == "pca"
    latent = " × ".join(map(str, config.latent))
    features = "random" if config.fourier == "random" else "fixed"
    return _joined(
        [
            f"The model was the variant {config.variant} of Calhas & Henriques 2022.",
            f"A residual convolutional encoder mapped EEG windows to a latent of {latent} "
            f"({counted(config.filters, 'filter')} per convolution).",
            "Topographical attention over channels came before it." if config.attends else "",
            f"The latent passed through {features} Fourier features." if config.projects else "",
            f"The decoder was the mean training volume and up to {counted(config.components, 'principal component')}."
            if pca
            else f"A dense layer decoded the volume; an encoder of fMRI, dropout {config.dropout:g}, was used in "
            f"training only.",
            "The loss was the squared error."
            if pca
            else "The loss was the mean absolute error, and one minus the cosine of the two latents.",
            f"Weights of the residual blocks had a squared penalty of {config.weight_decay:g}."
            if config.weight_decay
            else "",
            EEG_SCALED.get(config.eeg_scaling, ""),
            f"Training took at most {counted(training.epochs, 'epoch')} of Adam, learning rate "
            f"{training.learning_rate:g}, batches of {training.batch_size} (Kingma & Ba 2015).",
            f"The learning rate fell to a share of {training.final_share:g} along a cosine."
            if training.schedule == "cosine"
            else "",
            f"It rose over the first {training.warmup_epochs:g} epochs." if training.warmup_epochs else "",
            f"The norm of the gradient was limited to {training.global_clipnorm:g}."
            if training.global_clipnorm
            else "",
            f"Training stopped after {counted(training.patience, 'epoch')} without a better score of validation "
            f"subjects, and the best epoch was kept.",
        ]
    )


REFITTED = "After all choices it was fitted once more, on training and validation subjects together."


def scaling_methods(config: ModelConfig) -> str:
    """Describe how the model's volumes were standardised for its fit."""
    return SCALED.get(config.bold_scaling, "")


def score_methods(
    config: EvaluationConfig, context: int, conditions: Sequence[str], *, interval: bool, voxels: bool
) -> str:
    """Describe the deciding score, its null and its baselines.

    Parameters
    ----------
    config : of the evaluation.
    context : TR; the least shift.
    conditions : that were scored.
    interval, voxels : there is one over subjects; voxels were tested.
    """
    cutoff = f"{config.drift_cutoff:g} s"
    baselines = [text for name, text in BASELINES.items() if name in conditions]
    return _joined(
        [
            "Models were scored by the share of BOLD's temporal variance explained inside the brain (r2_temporal).",
            "For scores, volumes were standardised by one mean and one standard deviation of their recording.",
            f"Each voxel's mean over time and changes slower than {cutoff} were removed from measured and synthesised "
            f"series (cosine set, Friston et al. 2000).",
            "Scores were averaged over the recordings of a subject, then over subjects.",
            f"The null distribution was that of {config.permutations:,} circular shifts of the synthesised series, "
            f"within each recording (Theiler et al. 1992).",
            f"Every shift was at least {counted(context, 'volume')} either way.",
            "The p-value is the share of scores at least as high, the model's own among them (Phipson & Smyth 2010).",
            f"The 95 % interval of the mean is from {RESAMPLES:,} resamples of the subjects (Efron & Tibshirani 1993)."
            if interval
            else "",
            "Pearson's r over time of each voxel was tested one-sided, by the variance of its circular shifts "
            f"(Bartlett 1935). The false-discovery rate was {FDR_LEVEL:g} (Benjamini & Hochberg 1995)."
            if voxels
            else "",
            f"Baselines were {listed(baselines)}." if baselines else "",
            "Scores without the global signal had its course regressed out of every series (Fox et al. 2009).",
        ]
    )


BASELINES = {
    "swapped": "the model given the EEG of other subjects",
    "arousal": "the log ratio of alpha and theta power through the haemodynamic response",
    "motion_pulse": "head motion, heart rate and pulse amplitude",
    "task": "task regressors",
    "linear": "a linear regression of band power with default settings",
    "subject_mean": "the subject's own mean volume",
}


def software(versions: Mapping[str, str]) -> str:
    """Name the software with its versions."""
    return "Software: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."


def _bands(bands: Mapping[str, Sequence[float] | np.ndarray]) -> str:
    return ", ".join(f"{name} {low:g}–{high:g} Hz" for name, (low, high) in bands.items())


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _joined(sentences: Sequence[str]) -> str:
    return " ".join(filter(None, sentences))
