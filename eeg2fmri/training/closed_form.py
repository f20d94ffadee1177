"""What is common to families that are fitted in one step: the score on validation subjects, and the result."""

from __future__ import annotations

from collections.abc import Mapping

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
    """MAE and `r2_temporal` in standard units, the mean over recordings, and one example."""
    absolute, scores, examples = [], [], []
    for number, recording in enumerate(windows.recordings):
        rows = windows.indices(number)
        synthesised = model.standard_units(model.synthesise(windows.eeg(rows)))
        measured = windows.standardised(rows, "recording")
        absolute.append(mae(measured, synthesised))
        scores.append(r2_temporal(measured, synthesised, recording.mask))
        middle = len(rows) // 2
        examples.append((measured[middle].copy(), synthesised[middle].copy()))
    return {"val/mae": float(np.mean(absolute)), "val/r2_temporal": float(np.mean(scores))}, examples[0]
