"""Scores of a synthesised recording against the measured one: arrays in, numbers out.

measured     (n_volumes, x, y, z)  BOLD of one recording, in the reference's standard units
synthesised  (n_volumes, x, y, z)  volumes of the model from the EEG, in the same units
mean_volume  (x, y, z)             mean of the *training* volumes, in the same units
mask         (x, y, z) bool        voxels inside the brain
waves        (n_volumes, q)        drifts that are taken out of both series, as `signals.drift_waves` gives them

Sums are accumulated in float64, one volume or one sagittal plane at a time, so that a full-size
recording is never copied as a whole. Values that are not finite are refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation._series import (
    Floats,
    Mask,
    centred,
    centred_planes,
    check_pair,
    check_temporal,
    differences,
    mean_squared_error,
)
from eeg2fmri.evaluation.dynamics import correlation_map, correlations
from eeg2fmri.evaluation.similarity import has_ssim, ssim

ROUNDING = 1e-12  # of a variance: less is what rounding leaves of it


def rmse(measured: Floats, synthesised: Floats) -> float:
    """Compute the root mean squared error over all volumes and voxels: ``sqrt(mean((m - s)²))``.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z)
    """
    check_pair(measured, synthesised)
    return float(np.sqrt(mean_squared_error(measured, synthesised)))


def mae(measured: Floats, synthesised: Floats) -> float:
    """Compute the mean absolute error over all volumes and voxels: ``mean(|m - s|)``.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z)
    """
    check_pair(measured, synthesised)
    total = sum(float(np.abs(difference).sum()) for difference in differences(measured, synthesised))
    return total / measured.size


def psnr(measured: Floats, synthesised: Floats) -> float:
    """Compute the peak signal-to-noise ratio: ``10 log10(range² / MSE)``, range = max - min of `measured`.

    The range is that of the whole recording. An error below the resolution of single precision in that
    range is not different from 0, so MSE is at least ``(2⁻²³ range)²``: the score is finite, and a
    perfect synthesis has 138.5 dB.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z)

    Returns
    -------
    float
        In dB, at most 138.5.

    Raises
    ------
    EvaluationError
        If `measured` is one constant, which has no range.
    """
    check_pair(measured, synthesised)
    return _psnr(measured, mean_squared_error(measured, synthesised))


def _psnr(measured: Floats, squared_error: float) -> float:
    data_range = float(measured.max()) - float(measured.min())
    if data_range == 0:
        raise EvaluationError("measured is one constant: PSNR needs a range; check the recording's scaling.")
    floor = float(np.finfo(np.float32).eps) * data_range
    return float(20 * np.log10(data_range / max(np.sqrt(squared_error), floor)))


def temporal_correlation(measured: Floats, synthesised: Floats, mask: Mask, waves: Floats | None = None) -> float:
    """Return mean over the mask of `correlation_map`; the mean volume scores exactly 0.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z), at least two volumes
    mask
        (x, y, z) bool
    waves
        (n_volumes, q); by default only each voxel's mean is taken out
    """
    return float(correlation_map(measured, synthesised, mask, waves)[mask].mean())


def skill(measured: Floats, synthesised: Floats, mean_volume: Floats) -> float:
    """Compute the skill over the mean training volume: ``1 - MSE(synthesised) / MSE(mean_volume)``.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z)
    mean_volume
        (x, y, z)

    Returns
    -------
    float
        1 for a perfect synthesis, exactly 0 for the mean volume itself, negative for worse.

    Raises
    ------
    EvaluationError
        If the mean volume equals every measured volume.

    References
    ----------
    Murphy (1988), Skill scores based on the mean square error, Monthly Weather Review 116(12).
    """
    check_pair(measured, synthesised)
    return _skill(measured, mean_squared_error(measured, synthesised), mean_volume)


def _skill(measured: Floats, squared_error: float, mean_volume: Floats) -> float:
    if mean_volume.shape != measured.shape[1:]:
        raise EvaluationError(
            f"mean_volume has shape {mean_volume.shape}, the volumes {measured.shape[1:]}: give one volume."
        )
    baseline = mean_squared_error(measured, np.broadcast_to(mean_volume, measured.shape))
    if baseline == 0:
        raise EvaluationError("mean_volume equals every measured volume: skill needs an error to improve on.")
    if not np.isfinite(baseline):
        raise EvaluationError("mean_volume holds NaN or infinite values: fit it on valid volumes.")
    return 1 - squared_error / baseline


def r2_temporal(measured: Floats, synthesised: Floats, mask: Mask, waves: Floats | None = None) -> float:
    """Return share of BOLD's temporal variance explained inside the mask; with the drifts as `waves`, the deciding
    score.

    ``1 - Σ (m̃ - s̃)² / Σ m̃²`` over the volumes and the voxels of the mask, where m̃ and s̃ are the
    series without each voxel's mean over time and without `waves`. Anatomy earns nothing: what is constant in time
    scores exactly 0, and adding any volume to the whole synthesised series changes nothing.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z), at least two volumes
    mask
        (x, y, z) bool
    waves
        (n_volumes, q) orthonormal; by default only each voxel's mean is taken out

    Returns
    -------
    float
        1 for perfect dynamics, 0 for none, negative for worse than none.

    Raises
    ------
    EvaluationError
        If there is a single volume, or if no measured voxel of the mask varies over time.
    """
    check_temporal(measured, synthesised, mask, waves)
    return _share(np.sum([_squares(*pair) for pair in centred_planes(measured, synthesised, mask, waves)], axis=0))


def r2_temporal_no_global(measured: Floats, synthesised: Floats, mask: Mask, waves: Floats) -> float:
    """Return `r2_temporal` without the global signal: what is explained beyond a rise and fall of the whole brain.

    The global signal is the mean over the mask of the measured series, without `waves`. It is regressed out of each
    measured series and, in the same way, of each synthesised one, as nuisance regressors are (Fox et al. 2009,
    J. Neurophysiol. 101:3270). So a synthesis that has nothing but the global signal scores 0.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z), at least two volumes
    mask
        (x, y, z) bool
    waves
        (n_volumes, q) orthonormal

    Returns
    -------
    float
        1 for perfect dynamics, 0 for none, and 0 where nothing but the global signal is measured.
    """
    check_temporal(measured, synthesised, mask, waves)
    course, length = _global_course(measured, mask, waves)
    columns = np.column_stack([waves, course])
    total = np.sum([_squares(*pair) for pair in centred_planes(measured, synthesised, mask, columns)], axis=0)
    return _share_no_global(total, length, int(mask.sum()))


def _squares(measured: Floats, synthesised: Floats) -> NDArray[np.float64]:
    """Return the sums of squares of the unexplained and of the measured series, (2,)."""
    return np.array([np.square(measured - synthesised).sum(), np.square(measured).sum()])


def _share(total: NDArray[np.float64]) -> float:
    unexplained, variance = total
    if variance == 0:
        raise EvaluationError("no measured voxel of the mask varies over time: r2_temporal needs one.")
    return float(1 - unexplained / variance)


def _share_no_global(total: NDArray[np.float64], length: float, voxels: int) -> float:
    unexplained, variance = total
    return float(1 - unexplained / variance) if variance > ROUNDING * length**2 * voxels else 0.0


def _global_course(measured: Floats, mask: Mask, waves: Floats) -> tuple[NDArray[np.float64], float]:
    """Return the global signal without `waves`, (n_volumes, 1) of length 1 or all 0, and its length."""
    course = centred(measured[:, mask].mean(axis=1, dtype=np.float64)[:, None], waves)
    length = float(np.linalg.norm(course))
    return course / (length or 1.0), length


def _temporal_scores(measured: Floats, synthesised: Floats, mask: Mask, waves: Floats) -> dict[str, float]:
    """Return the four temporal scores, as the functions of their names do, in one pass over the recording."""
    check_temporal(measured, synthesised, mask, waves)
    course, length = _global_course(measured, mask, waves)
    raw, steady, local = np.zeros(2), np.zeros(2), np.zeros(2)
    correlation = 0.0
    for m, s in centred_planes(measured, synthesised, mask):
        raw += _squares(m, s)
        m, s = (series - waves @ (waves.T @ series) for series in (m, s))
        steady += _squares(m, s)
        correlation += float(correlations(m, s).sum())
        local += _squares(*(series - course @ (course.T @ series) for series in (m, s)))
    voxels = int(mask.sum())
    return {
        "temporal_correlation": correlation / voxels,
        "r2_temporal": _share(steady),
        "r2_temporal_no_global": _share_no_global(local, length, voxels),
        "r2_temporal_raw": _share(raw),
    }


def score_recording(
    measured: Floats, synthesised: Floats, mean_volume: Floats, mask: Mask, waves: Floats
) -> dict[str, float]:
    """Return every score of one recording by its name, the deciding `r2_temporal` among them.

    Shapes as in the single scores; `measured` needs at least two volumes. `r2_temporal` and `temporal_correlation`
    are of series without `waves`, `r2_temporal_no_global` without the global signal too, ``r2_temporal_raw`` of series
    with their drifts. There is no ``ssim`` where its window does not fit the slices (`has_ssim`).
    """
    check_pair(measured, synthesised)
    similarity = {"ssim": ssim(measured, synthesised)} if has_ssim(measured.shape[1:]) else {}
    temporal = _temporal_scores(measured, synthesised, mask, waves)
    squared_error = mean_squared_error(measured, synthesised)
    return {
        "rmse": float(np.sqrt(squared_error)),
        "mae": mae(measured, synthesised),
        "psnr": _psnr(measured, squared_error),
        **similarity,
        "temporal_correlation": temporal["temporal_correlation"],
        "skill": _skill(measured, squared_error, mean_volume),
        "r2_temporal": temporal["r2_temporal"],
        "r2_temporal_no_global": temporal["r2_temporal_no_global"],
        "r2_temporal_raw": temporal["r2_temporal_raw"],
    }
