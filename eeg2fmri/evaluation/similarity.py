"""Structural similarity (SSIM) of two recordings, by the published method.

measured, synthesised  (n_volumes, x, y, z), in the same units
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation._series import Floats, check_pair

SLICE_STEP = 3
WINDOW = 11
SIGMA = 1.5


def ssim(measured: Floats, synthesised: Floats) -> float:
    """Compute the structural similarity of Calhas & Henriques (2022), which is TensorFlow's.

    Mean over volumes and over every third axial slice (z = 0, 3, 6, …) of the two-dimensional SSIM:
    Gaussian window of 11 × 11 voxels, σ = 1.5, inside the slice; K1 = 0.01, K2 = 0.03.
    The dynamic range L is the larger maximum of the two slices. It enters as L², so a negative one
    counts by its size. A slice pair with L = 0 has no range and is left out of the mean.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z), x and y at least 11

    Returns
    -------
    float
        1 for a perfect synthesis.

    Raises
    ------
    EvaluationError
        If x or y is below 11 (see `has_ssim`), or the larger maximum is 0 in every slice pair.

    References
    ----------
    Wang et al. (2004), Image quality assessment: from error visibility to structural similarity,
    IEEE Transactions on Image Processing 13(4), equation 13.
    Calhas & Henriques (2022), arXiv 2203.03481.
    """
    check_pair(measured, synthesised)
    if not has_ssim(measured.shape[1:]):
        raise EvaluationError(
            f"axial slices of {measured.shape[1]} x {measured.shape[2]} voxels: SSIM needs at least "
            f"{WINDOW} x {WINDOW}; leave it out."
        )
    rows, columns = (_gaussian_windows(length) for length in measured.shape[1:3])
    scores = []
    for volume, guess in zip(measured, synthesised, strict=True):
        first, second = (np.moveaxis(v[..., ::SLICE_STEP], 2, 0).astype(np.float64) for v in (volume, guess))
        maximum = np.maximum(first.max(axis=(1, 2)), second.max(axis=(1, 2)))
        kept = maximum != 0
        if kept.any():
            scores.append(_slice_ssim(first[kept], second[kept], np.square(maximum[kept]), rows, columns))
    if not scores:
        raise EvaluationError("the maximum of every axial slice is 0: SSIM needs a range; check the scaling.")
    return float(np.concatenate(scores).mean())


def has_ssim(grid: tuple[int, ...]) -> bool:
    """Return whether SSIM's window fits the axial slices of a grid (x, y, z)."""
    return min(grid[:2]) >= WINDOW


def _gaussian_windows(length: int) -> NDArray[np.float64]:
    """Return every place of the Gaussian window inside `length` voxels: (length - 10, length), rows sum to 1."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-np.square(offsets) / (2 * SIGMA**2))
    places = np.zeros((length - WINDOW + 1, length))
    for start, row in enumerate(places):
        row[start : start + WINDOW] = weights / weights.sum()
    return places


def _slice_ssim(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    squared_range: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Compute SSIM of slice pairs (n, x, y) from the squares (n,) of their dynamic ranges; (n,)."""
    c1, c2 = ((k**2 * squared_range)[:, None, None] for k in (0.01, 0.03))
    products = np.stack([first, second, first * second, first**2 + second**2])
    mean_1, mean_2, mean_product, mean_squares = rows @ products @ columns.T
    product, squares = 2 * mean_1 * mean_2, mean_1**2 + mean_2**2
    luminance = (product + c1) / (squares + c1)
    structure = (2 * mean_product - product + c2) / (mean_squares - squares + c2)
    return (luminance * structure).mean(axis=(1, 2))
