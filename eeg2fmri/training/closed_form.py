"""Scores on validation subjects, the same for every family, and the result of one that is fitted in one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from eeg2fmri.evaluation import mae, middle_change, r2_temporal
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
    """`scores_of` the volumes that a fitted model gives for all instances."""
    return scores_of(windows, np.arange(len(windows)), lambda rows: model.synthesise(windows.eeg(rows)), model)


def scores_of(
    windows: Windows, rows: np.ndarray, synthesise: Callable[[np.ndarray], np.ndarray], model: FittedModel
) -> tuple[dict[str, float], Example]:
    """MAE and `r2_temporal` in standard units, the mean over recordings, and one example.

    Parameters
    ----------
    windows : of validation subjects.
    rows : the instances that are scored.
    synthesise : called with those of one recording after the other; intensities (n, X, Y, Z).
    model : whose standard units they are brought to.

    Returns
    -------
    ``val/mae`` and ``val/r2_temporal``; and (measured, synthesised), `middle_change` of the first recording.
    """
    absolute, scores, examples = [], [], []
    for number, recording in enumerate(windows.recordings):
        own = rows[windows.owner[rows] == number]
        synthesised = model.standard_units(synthesise(own))
        measured = windows.standardised(own, "recording")
        absolute.append(mae(measured, synthesised))
        scores.append(r2_temporal(measured, synthesised, recording.mask))
        examples.append((middle_change(measured), middle_change(synthesised)))
    return {"val/mae": float(np.mean(absolute)), "val/r2_temporal": float(np.mean(scores))}, examples[0]
