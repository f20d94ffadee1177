"""Interval of synthesised BOLD per voxel: how far measured BOLD is from it in subjects that the fit has not seen.

A synthesised volume is a mean, see `SHRINKAGE`. Around it, measured BOLD has the standard deviation that validation
subjects show. The interval is stationary: one map for all volumes of a recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eeg2fmri.errors import ModelError
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import without_drift

if TYPE_CHECKING:  # a served model does not read a store
    from eeg2fmri.serving.bundle import Bundle
    from eeg2fmri.store import Windows

LEVEL = 0.90
NORMAL = 1.645  # standard deviations that hold 90 % of a normal distribution
STEP, LARGEST = 0.001, 20.0  # of the multiplier
ABSENT = "absent"
# Why a model has none; what to do.
ONE_SUBJECT = "its coverage cannot be checked on 1 validation subject; train with at least 2 (split.validation)"
REFITTED = "no subject was left out of its last fit; train it with refit: false"
ADAPTED = "it is the version of one subject; give the model that it was made from"
NOT_FINITE = "its volumes of validation subjects are not finite; train it again with other settings"
OLD = "it is older than intervals; train it again"


def calibrate(model: FittedModel, windows: Windows, drift_cutoff: float) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Compute the standard deviation of measured minus synthesised BOLD on validation subjects, and its coverage.

    Each series is without its mean over the recording and without drifts, as in `r2_temporal`. The interval is
    synthesised change ± multiplier × standard deviation. The multiplier is the least one with which the interval holds
    90 % of voxels and volumes, on average over subjects that do not enter the standard deviation (leave one out). With
    two subjects it is that of a normal distribution.

    Parameters
    ----------
    model : fitted on others than these subjects.
    windows : of the validation subjects.
    drift_cutoff : s.

    Returns
    -------
    (x, y, z) float32 in the unit of the volumes, 0 outside the brain mask, or ``None``; and the provenance: ``absent``
    is the reason if there is none. ``coverage`` is the share of each subject's voxels and volumes within the interval
    that the other subjects give, with their own multiplier.

    References
    ----------
    Vovk 2015, Ann. Math. Artif. Intell. 74:9 (cross-conformal prediction); Barber et al. 2021, Ann. Stat. 49:486.
    """
    subjects = list(dict.fromkeys(recording.subject for recording in windows.recordings))
    if len(subjects) < 2:
        return None, {ABSENT: ONE_SUBJECT}
    mask = model.bold_statistics.mask
    residuals = [_residuals(model, windows, subject, drift_cutoff, mask) for subject in subjects]
    variances = np.stack([np.mean(np.square(each), axis=0, dtype=np.float64) for each in residuals])
    if not np.isfinite(variances).all():
        return None, {ABSENT: NOT_FINITE}
    everybody = range(len(subjects))
    coverage = {}
    for left_out in everybody:
        others = [n for n in everybody if n != left_out]
        reach = _multiplier(residuals, variances, others) * _deviation(variances, others)
        coverage[subjects[left_out]] = float(np.mean(np.abs(residuals[left_out]) <= reach))
    multiplier = NORMAL if len(subjects) == 2 else _multiplier(residuals, variances, everybody)
    residual_sd = np.zeros(mask.shape, np.float32)
    residual_sd[mask] = _deviation(variances, everybody) * model.bold_statistics.sd
    return residual_sd, {"level": LEVEL, "multiplier": multiplier, "drift_cutoff": drift_cutoff, "coverage": coverage}


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


def _deviation(variances: np.ndarray, subjects: Sequence[int]) -> np.ndarray:
    """Return the standard deviation over some subjects, which count equally, (voxels,)."""
    deviation: np.ndarray = np.sqrt(variances[list(subjects)].mean(axis=0))
    return deviation


def _multiplier(residuals: Sequence[np.ndarray], variances: np.ndarray, subjects: Sequence[int]) -> float:
    """Choose the multiplier on some subjects, each with the standard deviation of the others of them."""
    if len(subjects) < 2:
        return NORMAL
    within = np.zeros(round(LARGEST / STEP) + 1)
    for left_out in subjects:
        deviation = _deviation(variances, [n for n in subjects if n != left_out])
        size = np.abs(residuals[left_out])
        # A voxel that is constant in the others: nothing but a constant is within.
        never = np.where(size > 0, np.float64(LARGEST), 0.0)
        needed = np.divide(size, deviation, out=never, where=deviation > 0)
        place = np.minimum(np.ceil(needed / STEP), len(within) - 1).astype(np.int64)
        within += np.bincount(place.ravel(), minlength=len(within)).cumsum() / size.size
    return round(float(np.argmax(within >= LEVEL * len(subjects))) * STEP, 3)


def check_interval(bundle: Bundle) -> np.ndarray:
    """Return the standard deviation behind a model's interval, (x, y, z) in the unit of its volumes.

    Raises
    ------
    ModelError
        If it has none, with the reason.
    """
    if bundle.residual_sd is None:
        reason = bundle.provenance.get("interval", {}).get(ABSENT, OLD)
        raise ModelError(f"the model has no interval: {reason}, or leave the interval out")
    return bundle.residual_sd


def interval_sidecar(bundle: Bundle) -> dict[str, Any]:
    """Return what the sidecar of the map says of the interval."""
    found = bundle.provenance["interval"]
    shares = list(found["coverage"].values())
    level, cutoff = f"{100 * found['level']:g} %", f"{found['drift_cutoff']:g} s"
    return {
        "Description": "Standard deviation over time of measured minus synthesised BOLD in validation subjects",
        "Units": "arbitrary",
        "Interval": (
            f"Remove the mean volume and drifts slower than {cutoff} from measured and synthesised BOLD. Then {level} "
            f"of the measured values are within the synthesised ones ± Multiplier × this map, by the validation "
            f"subjects. With few of them, coverage in other people can be much lower. Values have the unit of the "
            f"synthesised volumes. The map is what the model does not explain of BOLD, usually nearly all. {level} is "
            f"an average over people, voxels and volumes. It need not hold in each, and does not hold for the mean of "
            f"a region."
        ),
        "Level": found["level"],
        "Multiplier": found["multiplier"],
        "HighPassCutoff": found["drift_cutoff"],
        "ValidationSubjects": len(shares),
        "Coverage": {"Mean": float(np.mean(shares)), "Least": min(shares), "Most": max(shares)},
    }
