"""Fitting the linear family on windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri.config import LinearConfig
from eeg2fmri.evaluation import mae, r2_temporal
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.models.linear import fit_linear, log_band_power
from eeg2fmri.store import Windows
from eeg2fmri.training.settings import FitResult, fitted_model

if TYPE_CHECKING:
    from eeg2fmri.training.callbacks import Example, OnEpoch

POWER_BATCH = 64  # windows whose spectra are copied at once


def fit_linear_model(
    config: LinearConfig, train: Windows, validation: Windows, frequencies: np.ndarray, on_epoch: OnEpoch | None
) -> FitResult:
    both = Windows([*train.recordings, *validation.recordings], train.context)
    rows = np.arange(len(both))
    subjects = sorted({r.subject for r in both.recordings})
    subject = np.array([subjects.index(r.subject) for r in both.recordings])[both.owner]
    parts = [rows[start : start + POWER_BATCH] for start in range(0, len(rows), POWER_BATCH)]
    power = np.concatenate([log_band_power(both.eeg(part), frequencies) for part in parts])
    targets = both.standardised(rows, config.bold_scaling)
    fitted = fit_linear(
        power,
        targets.reshape(len(rows), -1),
        both.owner,
        subject,
        both.owner >= len(train.recordings),
        frequencies,
        config,
        grid=targets.shape[1:],
    )
    del targets
    model = fitted_model(config, fitted.network, train)
    metrics, example = _validation_scores(model, validation)
    if on_epoch:
        on_epoch(0, metrics, example)
    predicted = np.isfinite(fitted.chosen)
    facts = {
        "parameters": int(fitted.network.coefficients.size),
        "components_predicted": int(predicted.sum()),
        "median_penalty": float(np.median(fitted.chosen[predicted])) if predicted.any() else "none",
        "held_out_gain": float(np.maximum(fitted.gains.max(axis=0), 0).mean()),
    }
    return FitResult(model, {key: [value] for key, value in metrics.items()}, 0, facts)


def _validation_scores(model: FittedModel, windows: Windows) -> tuple[dict[str, float], Example]:
    """MAE and `r2_temporal` in standard units, the mean over recordings, and one example."""
    absolute, scores, examples = [], [], []
    for number, recording in enumerate(windows.recordings):
        rows = windows.indices(number)
        synthesised = model.standard_units(model.synthesise(windows.eeg(rows)))
        measured = windows.standardised(rows, "recording")
        absolute.append(mae(measured, synthesised))
        scores.append(r2_temporal(measured, synthesised, recording.mask))
        examples.append((measured[len(rows) // 2], synthesised[len(rows) // 2]))
    return {"val/mae": float(np.mean(absolute)), "val/r2_temporal": float(np.mean(scores))}, examples[0]
