"""Where the code of each step starts: with its inputs and settings, what it reaches is the step's key.

Named is what makes the numbers and files that a step leaves behind. How a step logs and draws is left out: a
figure in another colour trains nothing anew.
"""

from __future__ import annotations

from eeg2fmri.config import ModelConfig, family_path

SIMULATION_CODE = ("eeg2fmri.simulation:simulate",)
STORE_CODE = ("eeg2fmri.datasets:find_recordings", "eeg2fmri.store:build_store", "eeg2fmri.pipeline.quality")
# The linear family is a baseline of every model.
SCORING_CODE = ("eeg2fmri.scoring:score_windows", "eeg2fmri.scoring:choose_region", family_path("linear"))


def preprocessing_code(layout: str) -> tuple[str, ...]:
    """Of making a store of a dataset in a layout, which may be another package's (``package.module:Class``)."""
    return (*STORE_CODE, layout) if ":" in layout else STORE_CODE


def training_code(model: ModelConfig) -> tuple[str, ...]:
    """Of fitting a model and of what is kept of it; of its own family only."""
    return (family_path(model.family), "eeg2fmri.serving:save_bundle")


def evaluation_code(model: ModelConfig) -> tuple[str, ...]:
    """Of scoring a model and of explaining its score."""
    return (*SCORING_CODE, "eeg2fmri.explanation:relevance", family_path(model.family), "eeg2fmri.serving:load_bundle")
