"""Interval of synthesised BOLD per voxel: how far measured BOLD is from it in subjects that the fit has not seen.

A synthesised volume is a mean, see `SHRINKAGE`. Around it, measured BOLD has the standard deviation that validation
subjects show. The interval is stationary: one map for all volumes of a recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import without_drift

if TYPE_CHECKING:  # a served model does not read a store
    from eeg2fmri.store import Windows

LEVEL = 0.90
POINTS = 500  # quantiles that stand for a distribution
ABSENT = "absent"
# Why a model has none; what to do.
ONE_SUBJECT = "its coverage cannot be checked on 1 validation subject; train with at least 2 (split.validation)"
REFITTED = "no subject was left out of its last fit; train it with refit: false"
ADAPTED = "it is the version of one subject; give the model that it was made from"
FEW_SUBJECTS = "3 subjects do not show how people differ; train with at least 4, 2 of them for split.validation"
NOT_FINITE = "its errors in training or validation subjects are 0 or not finite; train it again with other settings"


def calibrate(
    model: FittedModel, train: Windows, validation: Windows, drift_cutoff: float
) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Compute the standard deviation of measured minus synthesised BOLD on validation subjects, and its coverage.

    Each series is without its mean over the recording and without drifts, as in `r2_temporal`. The interval is
    synthesised change ± multiplier × standard deviation. The multiplier makes it hold 90 % of voxels and volumes, on
    average over new people. People differ in the scale of their errors, and its logarithm is taken to be normal over
    people, with the mean of the validation subjects. Training subjects also show its spread. The scale of a new person
    then has a Student t distribution, which is wider with fewer subjects.

    Parameters
    ----------
    model : fitted on the training subjects.
    train, validation : windows of these subjects.
    drift_cutoff : s.

    Returns
    -------
    (x, y, z) float32 in the unit of the volumes, 0 outside the brain mask, or ``None``; and the provenance: ``absent``
    is the reason if there is none. ``coverage`` is the share of each validation subject's voxels and volumes within
    the interval that the other validation subjects give, with their own multiplier.

    References
    ----------
    Meeker, Hahn & Escobar 2017, Statistical Intervals, 2nd ed., chapter 4 (prediction of a further observation). An
    interval without assumptions on people is infinite with fewer than 9 (Lee, Barber & Willett 2023,
    arXiv:2306.06342).
    """
    subjects = _subjects(validation)
    if len(subjects) < 2:
        return None, {ABSENT: ONE_SUBJECT}
    if len(subjects) + len(_subjects(train)) < 4:
        return None, {ABSENT: FEW_SUBJECTS}
    mask = model.bold_statistics.mask
    residuals = [_residuals(model, validation, subject, drift_cutoff, mask) for subject in subjects]
    variances = np.stack([_variance(each) for each in residuals])
    trained = np.stack([_variance(_residuals(model, train, one, drift_cutoff, mask)) for one in _subjects(train)])
    sizes = np.concatenate([variances, trained]).mean(axis=1)
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        return None, {ABSENT: NOT_FINITE}
    everybody = range(len(subjects))
    coverage = {}
    for left_out in everybody:
        others = [n for n in everybody if n != left_out]
        reach = _multiplier(residuals, variances, trained, others) * _deviation(variances, others)
        coverage[subjects[left_out]] = float(np.mean(np.abs(residuals[left_out]) <= reach))
    multiplier = _multiplier(residuals, variances, trained, everybody)
    residual_sd = np.zeros(mask.shape, np.float32)
    residual_sd[mask] = _deviation(variances, everybody) * model.bold_statistics.sd
    return residual_sd, {"level": LEVEL, "multiplier": multiplier, "drift_cutoff": drift_cutoff, "coverage": coverage}


def _subjects(windows: Windows) -> list[str]:
    """Return the labels of subjects, in the order of their recordings."""
    return list(dict.fromkeys(recording.subject for recording in windows.recordings))


def _residuals(model: FittedModel, windows: Windows, subject: str, cutoff: float, mask: np.ndarray) -> np.ndarray:
    """Return measured minus synthesised BOLD of a subject, (volumes, voxels of the mask) float32 in standard units."""
    parts = []
    for number, recording in enumerate(windows.recordings):
        if recording.subject == subject:
            rows = windows.indices(number)
            difference = windows.standardised(rows, "recording")[:, mask]
            difference -= model.standard_units(model.synthesise(windows.eeg(rows)))[:, mask]
            parts.append(without_drift(difference, recording.signal.tr, cutoff))
    return np.concatenate(parts)


def _variance(residuals: np.ndarray) -> np.ndarray:
    """Return the mean square over volumes, (voxels,) float64."""
    return np.asarray(np.mean(np.square(residuals), axis=0, dtype=np.float64))


def _deviation(variances: np.ndarray, subjects: Sequence[int]) -> np.ndarray:
    """Return the standard deviation over some subjects, which count equally, (voxels,)."""
    deviation: np.ndarray = np.sqrt(variances[list(subjects)].mean(axis=0))
    return deviation


def _multiplier(
    residuals: Sequence[np.ndarray], variances: np.ndarray, trained: np.ndarray, subjects: Sequence[int]
) -> float:
    """Choose the multiplier of the standard deviation of some validation subjects.

    variances, trained: (subjects, voxels) of the validation and of the training subjects. A scale is the logarithm of
    the root mean square of a subject's residuals over that standard deviation.
    """
    chosen, deviation = list(subjects), _deviation(variances, subjects)
    voxels = deviation > 0
    own, others = (np.log(np.mean(part[:, voxels] / deviation[voxels] ** 2, axis=1)) / 2
                   for part in (variances[chosen], trained))  # fmt: skip
    points = (np.arange(POINTS) + 0.5) / POINTS
    needed = [np.quantile(np.abs(residuals[n][:, voxels]) / deviation[voxels], points) for n in chosen]
    within = np.mean(np.log(np.maximum(needed, np.finfo(np.float32).tiny)) - own[:, None], axis=0)  # of one person
    freedom = len(own) + len(others) - 2
    variance = sum(np.square(part - part.mean()).sum() for part in (own, others)) / freedom
    scales = own.mean() + np.sqrt(variance * (1 + 1 / len(own))) * stdtrit(freedom, points)  # of a new person
    return round(float(np.exp(np.quantile(within[:, None] + scales, LEVEL))), 3)
