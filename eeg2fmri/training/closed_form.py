"""Scores on validation subjects, the same for every family, and the result of one that is fitted in one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from eeg2fmri.evaluation import mae, r2_temporal
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.store import Windows
from eeg2fmri.training.settings import Example, FitResult, OnEpoch


def closed_form_result(
    model: FittedModel, validation: Windows, facts: Mapping[str, str | int | float], on_epoch: OnEpoch | None
) -> FitResult:
    """Score a fitted model on validation subjects as the only epoch of its fit."""
    metrics, example = validation_scores(model, validation)
    if on_epoch:
        on_epoch(0, metrics, example)
    return FitResult(model, {key: [value] for key, value in metrics.items()}, 0, facts)


def validation_scores(model: FittedModel, windows: Windows) -> tuple[dict[str, float], Example]:
    """Compute `scores_of` the volumes that a fitted model gives for all instances."""
    return scores_of(windows, np.arange(len(windows)), lambda rows: model.synthesise(windows.eeg(rows)), model)


def scores_of(
    windows: Windows, rows: np.ndarray, synthesise: Callable[[np.ndarray], np.ndarray], model: FittedModel
) -> tuple[dict[str, float], Example]:
    """Compute MAE and `r2_temporal` in standard units, the mean over recordings, and return one example.

    Parameters
    ----------
    windows : of validation subjects.
    rows : the instances that are scored.
    synthesise : called with the instances of each recording; intensities (n, X, Y, Z).
    model : defines the standard units.

    Returns
    -------
    ``val/mae`` and ``val/r2_temporal``; and (measured, synthesised), the middle volume of the first recording.
    """
    absolute, scores, examples = [], [], []
    for number, recording in enumerate(windows.recordings):
        own = rows[windows.owner[rows] == number]
        synthesised = model.standard_units(synthesise(own))
        measured = windows.standardised(own, "recording")
        absolute.append(mae(measured, synthesised))
        scores.append(r2_temporal(measured, synthesised, recording.mask))
        middle = len(own) // 2
        examples.append((measured[middle].copy(), synthesised[middle].copy()))
    return {"val/mae": float(np.mean(absolute)), "val/r2_temporal": float(np.mean(scores))}, examples[0]
