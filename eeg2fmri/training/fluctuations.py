"""Fluctuations within a recording, and their components: the targets of a decoder of principal components.

R recordings, n instances, V = X·Y·Z voxels, K components.

A recording's own voxel means are removed. They are its anatomy, which the EEG of another subject cannot
predict and which `evaluation.r2_temporal` does not score. Components of plain volumes would mostly describe
differences of anatomy between training subjects; these describe dynamics, and the mean volume gives the
anatomy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eeg2fmri.errors import ConfigError
from eeg2fmri.signals import bold_scaling, principal_components
from eeg2fmri.store import Windows

SLAB = 64  # volumes read at once


class Fluctuations:
    """The volumes of `windows` in units of `scaling`, without their recording's mean over the instances."""

    def __init__(self, windows: Windows, scaling: str) -> None:
        self.windows, self.scaling = windows, scaling

    @cached_property
    def means(self) -> np.ndarray:
        """Compute voxel means, (R, V) float32."""
        total = np.zeros((len(self.windows.recordings), np.prod(self.windows.recordings[0].mask.shape)))
        for recording, slab in self._slabs():
            total[recording] += slab.sum(axis=0, dtype=np.float64)
        return (total / np.bincount(self.windows.owner)[:, None]).astype(np.float32)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all fluctuations in order of the instances, (b, V) at a time."""
        for recording, slab in self._slabs():
            yield slab - self.means[recording]

    def _slabs(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index of the recording and up to `SLAB` of its standardised volumes, (b, V)."""
        for number, recording in enumerate(self.windows.recordings):
            volumes = self.windows.volume[self.windows.indices(number)]
            for start in range(volumes[0], volumes[-1] + 1, SLAB):
                raw = recording.volumes[start : min(start + SLAB, volumes[-1] + 1)]
                slab = bold_scaling(self.scaling).standardise(np.asarray(raw), recording.statistics)
                yield number, slab.reshape(len(slab), -1).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Components:
    """Principal components of training subjects' fluctuations.

    mean: (V,), mean of the training volumes.  basis: (K, V) orthonormal.  sd: (K,), of the training
    set's coefficients.
    variance: mean square of a training set's fluctuations, over instances and voxels.
    """

    mean: np.ndarray
    basis: np.ndarray
    sd: np.ndarray
    variance: float

    @property
    def scaled(self) -> np.ndarray:
        """Return the change of a volume by one standard deviation of each coefficient, (K, V)."""
        return self.basis * self.sd[:, None]

    def project(self, fluctuations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute coefficients in standard deviations, (n, K), and the squared length outside the basis, (n,)."""
        coefficients = fluctuations @ self.basis.T
        outside = np.square(fluctuations).sum(axis=1) - np.square(coefficients).sum(axis=1)
        return coefficients / self.sd, np.maximum(outside, 0)

    def project_all(self, blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Join `project` of many blocks of fluctuations."""
        coefficients, outside = zip(*map(self.project, blocks), strict=True)
        return np.concatenate(coefficients), np.concatenate(outside)


def fit_components(windows: Windows, scaling: str, count: int) -> Components:
    """Compute principal components of the fluctuations in `windows`.

    Raises
    ------
    ConfigError
        If the fluctuations vary in fewer than `count` directions.
    """
    fluctuations = Fluctuations(windows, scaling)
    basis = principal_components(fluctuations.blocks, count)
    if len(basis) < count:
        raise ConfigError(
            f"components: {count} asked for, but the {len(windows)} training volumes vary in {len(basis)} directions; "
            f"set components={len(basis)} or less"
        )
    coefficients, square = [], 0.0
    for block in fluctuations.blocks():
        coefficients.append(block @ basis.T)
        square += float(np.square(block).sum(dtype=np.float64))
    sd = np.concatenate(coefficients).std(axis=0)
    shares = np.bincount(windows.owner) / len(windows)
    mean = (shares @ fluctuations.means).astype(np.float32)
    return Components(mean, basis, sd, square / (len(windows) * basis.shape[1]))
