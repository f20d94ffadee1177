"""Entry points of the code of each step: with inputs and settings, the code that they reach is the step's key.

They are the functions that make the numbers and files of a step. Logging and drawing are left out: another colour in
a figure must not repeat a training.
"""

from __future__ import annotations

from eeg2fmri.config import ModelConfig, family_path

SIMULATION_CODE = ("eeg2fmri.simulation:simulate",)
STORE_CODE = ("eeg2fmri.datasets:find_recordings", "eeg2fmri.store:build_store", "eeg2fmri.pipeline.quality")
# The linear family is a baseline of every model.
SCORING_CODE = ("eeg2fmri.scoring:score_windows", "eeg2fmri.scoring:choose_region", family_path("linear"))


def preprocessing_code(layout: str) -> tuple[str, ...]:
    """Return the entry points of a store's code for a layout, perhaps of another package (``package.module:Class``)."""
    return (*STORE_CODE, layout) if ":" in layout else STORE_CODE


def training_code(model: ModelConfig) -> tuple[str, ...]:
    """Return the entry points for fitting a model and its saved files; of its own family only."""
    return (family_path(model.family), "eeg2fmri.serving:save_bundle", "eeg2fmri.serving.interval:calibrate")


def evaluation_code(model: ModelConfig) -> tuple[str, ...]:
    """Return of scoring a model and of explaining its score."""
    return (*SCORING_CODE, "eeg2fmri.explanation:relevance", family_path(model.family), "eeg2fmri.serving:load_bundle")


def classification_code(model: ModelConfig) -> tuple[str, ...]:
    """Return the entry points for features of subjects and for their classification."""
    entries = ("eeg2fmri.classification:subject_features", "eeg2fmri.classification:classify_subjects")
    return (*entries, family_path(model.family), "eeg2fmri.serving:load_bundle")


def adaptation_code(model: ModelConfig) -> tuple[str, ...]:
    """Return the entry points for adapting a model to a subject and scoring it; of its own family only."""
    return ("eeg2fmri.adaptation:adapt_bundle", *SCORING_CODE, *training_code(model))
