"""Scores on validation subjects, the same for every family, and the result of one that is fitted in one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from eeg2fmri.evaluation import best_voxels, dynamics_of, mae, middle_change, r2_temporal
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import drift_waves
from eeg2fmri.store import Windows
from eeg2fmri.training.settings import Example, FitResult, FitSettings, OnEpoch


def closed_form_result(
    model: FittedModel,
    validation: Windows,
    facts: Mapping[str, str | int | float],
    settings: FitSettings,
    on_epoch: OnEpoch | None,
) -> FitResult:
    """Score a fitted model on validation subjects as the only epoch of its fit."""
    metrics, example = validation_scores(model, validation, settings.drift_cutoff)
    if on_epoch:
        on_epoch(0, metrics, example)
    return FitResult(model, {key: [value] for key, value in metrics.items()}, 0, facts)


def validation_scores(model: FittedModel, windows: Windows, cutoff: float) -> tuple[dict[str, float], Example]:
    """Return `scores_of` the volumes that a fitted model gives for all instances."""
    rows = np.arange(len(windows))
    return scores_of(windows, rows, lambda rows: model.synthesise(windows.eeg(rows)), model, cutoff)


def scores_of(
    windows: Windows,
    rows: np.ndarray,
    synthesise: Callable[[np.ndarray], np.ndarray],
    model: FittedModel,
    cutoff: float,
) -> tuple[dict[str, float], Example]:
    """Compute MAE and `r2_temporal` in standard units, the mean over recordings, and return one example.

    Parameters
    ----------
    windows : of validation subjects.
    rows : the instances that are scored.
    synthesise : called with those of one recording after the other; intensities (n, X, Y, Z).
    model : whose standard units they are brought to.
    cutoff : s; drifts slower than this do not count in `r2_temporal`.

    Returns
    -------
    ``val/mae`` and ``val/r2_temporal``; and an example of the first recording.
    """
    absolute, scores, examples = [], [], list[Example]()
    # Training subjects fix the region, so no validation score is chosen by it, and epochs can be compared.
    region = best_voxels(model.bold_statistics.voxel_sd, model.bold_statistics.mask)
    for number, recording in enumerate(windows.recordings):
        own = rows[windows.owner[rows] == number]
        synthesised = model.standard_units(synthesise(own))
        measured = windows.standardised(own, "recording")
        absolute.append(mae(measured, synthesised))
        waves = drift_waves(len(own), recording.signal.tr, cutoff)
        scores.append(r2_temporal(measured, synthesised, recording.mask, waves))
        if number == 0:
            dynamics = dynamics_of(measured, synthesised, recording.mask, waves, region, recording.subject)
            examples.append(Example(middle_change(measured), middle_change(synthesised), dynamics))
    return {"val/mae": float(np.mean(absolute)), "val/r2_temporal": float(np.mean(scores))}, examples[0]
