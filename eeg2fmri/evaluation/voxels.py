"""Significance of the temporal correlation in each voxel, with the false-discovery rate over the brain.

The null is that of the deciding score: the synthesised series of a recording is shifted in a circle against the
measured one. A voxel of many must reach p-values that no affordable number of draws can give (1,999 draws end at
0.0005; of 30,000 voxels the first that may be rejected needs 0.0000017). So p comes from the null's exact variance:

- over all n shifts, the mean of ``c(s) = corr(measured, shifted by s)`` is 0, because the series have no mean, and its
  variance ``v = mean c(s)²`` needs one pair of Fourier transforms. By the theorem of Wiener and Khinchin it equals
  ``Σ ρ_m(k) ρ_s(k) / n``, the variance that Bartlett (1935, J. R. Stat. Soc. 98:536) gave for the correlation of two
  independent autocorrelated series, so ``1 / v`` is the effective number of volumes (Afyouni et al. 2019, NeuroImage
  199:609);
- the unshifted series is one of the shifts, as it is one of the draws of a permutation test (Phipson & Smyth 2010,
  Stat. Appl. Genet. Mol. Biol. 9:39). Without it the far tail has too many small p-values: `experiments/benchmarks/
  voxelwise.py` measures both;
- recordings are shifted on their own, so variances add: ``z = Σ w r / sqrt(Σ w² v)``, and p is its normal tail.

p is one-sided: a model follows a voxel if r is above 0, as the deciding score rewards it. A negative r is an error of
the model and never significant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.stats import false_discovery_control, norm

from eeg2fmri.evaluation._series import Floats, Mask, centred_planes, check_temporal

FDR_LEVEL = 0.05  # common practice; the map of q serves any other


def correlations_of_shifts(measured: Floats, synthesised: Floats) -> NDArray[np.float64]:
    """Return Pearson's r of each pair of series under every circular shift of the synthesised one.

    Parameters
    ----------
    measured, synthesised
        (n, k), without means over time

    Returns
    -------
    ndarray, (n, k)
        Row s is r after ``np.roll(synthesised, s, axis=0)``; 0 where a series is constant.
    """
    product = fft.rfft(measured, axis=0) * np.conj(fft.rfft(synthesised, axis=0))
    covariance = fft.irfft(product, len(measured), axis=0)
    scale = np.linalg.norm(measured, axis=0) * np.linalg.norm(synthesised, axis=0)
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)


def shift_variance_map(
    measured: Floats, synthesised: Floats, mask: Mask, waves: Floats | None = None
) -> NDArray[np.float64]:
    """Return the variance over all circular shifts of each voxel's `correlation_map`.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z), at least two volumes
    mask
        (x, y, z) bool
    waves
        (n_volumes, q); by default only each voxel's mean is taken out

    Returns
    -------
    ndarray, (x, y, z)
        0 outside the mask, and where either series is constant.
    """
    check_temporal(measured, synthesised, mask, waves)
    found = np.zeros(mask.shape)
    planes = [x for x, inside in enumerate(mask) if inside.any()]
    for x, pair in zip(planes, centred_planes(measured, synthesised, mask, waves), strict=True):
        found[x, mask[x]] = np.square(correlations_of_shifts(*pair)).mean(0)
    return found


def shift_p(correlation: Floats, variances: Floats, weights: Floats) -> NDArray[np.float64]:
    """Return the one-sided p-value of a weighted mean of correlations, see the module.

    Parameters
    ----------
    correlation
        (...), ``Σ w r`` over the recordings
    variances
        (recordings, ...), of each recording's own r over its shifts
    weights
        (recordings,)

    Returns
    -------
    ndarray, (...)
        1 where no recording's correlation varies over its shifts.
    """
    spread = np.sqrt(np.tensordot(np.square(weights), variances, 1))
    z = np.divide(correlation, spread, out=np.full_like(spread, -np.inf), where=spread > 0)
    return norm.sf(z)


@dataclass(frozen=True)
class Voxels:
    """Voxels that a model follows over time.

    correlation: (x, y, z), mean over subjects of `correlation_map`.  mask: (x, y, z) bool, voxels that are in the
    brain of every recording; only these are tested.  p, q: (x, y, z), one-sided p-value and its false-discovery rate
    (Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57:289) over the mask; 1 outside it.
    """

    correlation: NDArray[np.float64]
    mask: Mask
    p: NDArray[np.float64]
    q: NDArray[np.float64]

    @property
    def significant(self) -> Mask:
        """(x, y, z) bool, voxels with ``q < FDR_LEVEL``."""
        return self.q < FDR_LEVEL


def voxels_of(correlation: Floats, variances: Sequence[Floats], masks: Sequence[Mask], weights: Floats) -> Voxels:
    """Test each voxel that is in the brain of every recording.

    Parameters
    ----------
    correlation
        (x, y, z), weighted mean of the recordings' `correlation_map`
    variances
        (x, y, z) of each recording, from `shift_variance_map`
    masks
        (x, y, z) bool of each recording
    weights
        (recordings,), of each in the mean
    """
    mask = np.logical_and.reduce(masks)
    p, q = np.ones(mask.shape), np.ones(mask.shape)
    if mask.any():
        p[mask] = shift_p(correlation[mask], np.stack([each[mask] for each in variances]), weights)
        q[mask] = false_discovery_control(p[mask])
    return Voxels(np.asarray(correlation), mask, p, q)
