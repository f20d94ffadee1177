"""Scores of a model on windows, of the mean volume, and of the same model on shuffled EEG."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from eeg2fmri.config import EvaluationConfig
from eeg2fmri.evaluation import r2_of_shifts, score_recording, shuffled_order, shuffled_p_value
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import without_drift
from eeg2fmri.store import Windows

SEED = 0  # no setting: nobody may repeat the draw until the p-value is small
CONDITIONS = ("model", "mean_volume", "shuffled")
# By importance; a score that is not named follows.
ORDER = ("r2_temporal", "skill", "temporal_correlation", "ssim", "rmse", "mae", "psnr")


def score_windows(
    model: FittedModel,
    windows: Windows,
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008 - frozen
) -> tuple[pd.DataFrame, float, tuple[np.ndarray, np.ndarray]]:
    """Compute the scores of every recording under the three conditions.

    Returns
    -------
    A table with the columns subject, recording, condition and one per score; the p-value of
    `r2_temporal`; and (measured, synthesised), the middle volume of the first recording in standard units.
    """
    rows: list[dict[str, Any]] = []
    shifts, examples = [], []
    margin = windows.context
    for number, recording in enumerate(windows.recordings):
        indices = windows.indices(number)
        measured = windows.standardised(indices, "recording")
        synthesised = model.standard_units(model.synthesise(windows.eeg(indices)))
        rng = np.random.default_rng((SEED, number))
        constant = np.broadcast_to(model.mean_volume, measured.shape)
        # A model maps each window on its own, so permuting its windows permutes its volumes.
        shuffled = [synthesised[shuffled_order(len(indices), margin, rng)] for _ in range(config.shuffles)]
        series = {"model": [synthesised], "mean_volume": [constant], "shuffled": shuffled}
        for condition, volumes in series.items():
            each = [score_recording(measured, v, model.mean_volume, recording.mask) for v in volumes]
            scores = {key: float(np.mean([s[key] for s in each])) for key in each[0]}
            rows.append({"subject": recording.subject, "recording": recording.name, "condition": condition, **scores})
        tr, cutoff = recording.signal.tr, config.drift_cutoff
        steady, follows = (without_drift(series, tr, cutoff) for series in (measured, synthesised))
        shifts.append(r2_of_shifts(steady, follows, recording.mask))
        middle = len(indices) // 2
        examples.append((measured[middle], synthesised[middle]))
    rng = np.random.default_rng(SEED)
    subjects = [recording.subject for recording in windows.recordings]
    return pd.DataFrame(rows), shuffled_p_value(shifts, subjects, margin, config.permutations, rng), examples[0]


def by_importance(scores: Collection[str]) -> list[str]:
    """Order the names of scores, the deciding one first."""
    return [*(name for name in ORDER if name in scores), *(name for name in scores if name not in ORDER)]


def scores_by_subject(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Group scores: score -> condition -> subject -> mean over its recordings, for `plotting.score_figure`."""
    scores = by_importance([name for name in table.columns if name not in ("subject", "recording", "condition")])
    means = table.groupby(["condition", "subject"])[scores].mean()
    return {s: {c: {str(k): float(v) for k, v in means.loc[c][s].items()} for c in CONDITIONS} for s in scores}


def summarise(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Summarise scores per condition: the mean over subjects of the mean over their recordings."""
    scores = [name for name in table.columns if name not in ("subject", "recording", "condition")]
    means = table.groupby(["condition", "subject"])[scores].mean().groupby(level="condition").mean()
    values = means.loc[list(CONDITIONS)].to_numpy(dtype=float)
    return {c: dict(zip(scores, map(float, row), strict=True)) for c, row in zip(CONDITIONS, values, strict=True)}
