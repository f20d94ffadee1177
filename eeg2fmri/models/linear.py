"""The `linear` family: distributed-lag regression from log band power to BOLD; `linear_fit` fits it.

n windows, C channels, F frequencies, B bands, T lags (the context), H lag shapes, P = C·B·H features,
K components, V voxels.

References
----------
Glover 1999, NeuroImage 9:416 and Friston et al. 1998, NeuroImage 7:30 (double-gamma response and its
derivative). Goutte, Nielsen & Hansen 2000, IEEE Trans. Med. Imaging 19:1188 (smooth responses of free
form).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eeg2fmri.errors import SpecError

FLOOR = 1e-12  # µV²: keeps the log of a flat channel finite


@dataclass(frozen=True)
class LinearNetwork:
    """A fitted regression.

    frequencies: (F,) Hz.  bands: (B, 2), Hz, lower and upper edges.  power_mean, power_sd: (C, B), mean of
    log power, and its deviation within a recording (only for the maps).  lag_shapes: (T, H).
    coefficients: (P, K).  components: (K, V), orthonormal.  intercept: (V,), mean training volume.
    grid: (3,).
    """

    frequencies: np.ndarray
    bands: np.ndarray
    power_mean: np.ndarray
    power_sd: np.ndarray
    lag_shapes: np.ndarray
    coefficients: np.ndarray
    components: np.ndarray
    intercept: np.ndarray
    grid: np.ndarray

    def predict(self, eeg: np.ndarray) -> np.ndarray:
        """Predict volumes (n, x, y, z) in standardised units from EEG windows (n, C, F, T) in µV."""
        volumes = self.scores(eeg) @ self.components + self.intercept
        return volumes.reshape(len(eeg), *map(int, self.grid)).astype(np.float32, copy=False)

    def scores(self, eeg: np.ndarray) -> np.ndarray:
        """Predict the scores of the components (n, K) from EEG windows (n, C, F, T) in µV."""
        power = log_band_power(eeg, self.frequencies, self.bands) - self.power_mean[..., None]
        return (power @ self.lag_shapes).reshape(len(eeg), -1) @ self.coefficients

    def maps(self, mask: np.ndarray) -> CoefficientMaps:
        """Summarise the coefficients per band and channel.

        Parameters
        ----------
        mask : (x, y, z) bool, the brain.
        """
        (channels, bands), shapes = self.power_mean.shape, self.lag_shapes
        each = self.coefficients.reshape(channels, bands, shapes.shape[1], -1) * self.power_sd[..., None, None]
        response = np.einsum("th,cbhk->cbtk", shapes, each)
        inside = self.components[:, mask.ravel()]
        squared = np.einsum("cbtk,kl,cbtl->cb", response, inside @ inside.T, response, optimize=True)
        strongest = int(np.square(self.coefficients).sum(axis=0).argmax())
        component = self.components[strongest]
        peak = component[np.abs(component).argmax()]
        return CoefficientMaps(
            strength=np.sqrt(np.maximum(squared, 0) / mask.sum()),
            weights=response[..., strongest].sum(axis=2) * peak,
            component=(component / peak).reshape(tuple(map(int, self.grid))),
        )


@dataclass(frozen=True)
class CoefficientMaps:
    """The coefficients per channel and band, in standardised BOLD units.

    They are the weights of a regression on correlated features, not the place of the activity: a
    channel may get weight because it cancels the noise of another (Haufe et al. 2014, NeuroImage 87:96).

    strength: (C, B), BOLD fluctuation (root mean square over the brain) that log power drives when it
    fluctuates by its own deviation, independently from window to window.  weights: (C, B), signed change
    of BOLD at the peak of the component that is predicted most strongly, for one deviation of log power
    throughout the context.
    component: (x, y, z), that component, 1 at its peak.
    """

    strength: np.ndarray
    weights: np.ndarray
    component: np.ndarray


def bands_with_bins(bands: Mapping[str, tuple[float, float]], frequencies: np.ndarray) -> dict[str, np.ndarray]:
    """Return the edges (2,) of each band that has a bin, by the band's name.

    Raises
    ------
    SpecError
        If no bin falls into any band.
    """
    kept = {name: np.asarray(edges) for name, edges in bands.items() if bins_between(frequencies, edges).any()}
    if not kept:
        raise SpecError(
            f"no frequency of {frequencies[0]:g} to {frequencies[-1]:g} Hz is in a band of {dict(bands)}; set other "
            f"bands"
        )
    return kept


def log_band_power(eeg: np.ndarray, frequencies: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Compute the natural log of the power in each band, (n, C, B, T).

    Parameters
    ----------
    eeg : (n, C, F, T) magnitudes in µV.
    frequencies : (F,) Hz.
    bands : (B, 2), lower and upper edges in Hz, the lower one included; each must hold a bin.
    """
    power = [np.square(eeg[:, :, bins_between(frequencies, edges)]).sum(axis=2) for edges in bands]
    return np.log(np.stack(power, axis=2) + FLOOR)


def bins_between(frequencies: np.ndarray, edges: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the bins between two edges in Hz, the lower one included, (F,) bool."""
    return (frequencies >= edges[0]) & (frequencies < edges[1])


def lag_shapes(context: int, tr: float) -> np.ndarray:
    """Compute weights of the lags by the haemodynamic response (HRF), (T, H), columns of unit length.

    They are the canonical response at the lags from each window's middle to the volume, and its difference from a
    response with one second more or less of latency.
    """
    seconds = (context - np.arange(context) - 0.5) * tr

    def response(latency: float) -> np.ndarray:
        return stats.gamma.pdf(seconds, 6 + latency) - stats.gamma.pdf(seconds, 16 + latency) / 6

    shapes = np.stack([response(0.0), response(1.0) - response(-1.0)], axis=1)
    return (shapes / np.linalg.norm(shapes, axis=0)).astype(np.float32)
