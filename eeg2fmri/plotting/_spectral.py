"""Spectrograms as images on a time axis, in dB."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from numpy.typing import NDArray

from eeg2fmri.plotting._scale import SEQUENTIAL

_PERCENTILES = (1, 99)


def power_label(unit: str) -> str:
    """Return the label of a scale of power densities, e.g. for ``µV``."""
    base = f"({unit})" if "/" in unit else unit
    return f"dB re 1 {base}²/Hz"


def power_density(magnitude: NDArray[np.floating], window_s: float) -> NDArray[np.floating]:
    """Compute power spectral density in dB from a DFT's magnitude that was divided by its length.

    One-sided density of a boxcar window (`scipy.signal.periodogram`): twice the squared magnitude
    times the window's length in seconds. A magnitude of 0 gives a finite value far below all others.
    """
    power = 2 * window_s * np.square(magnitude)
    return 10 * np.log10(np.maximum(power, np.finfo(np.float32).tiny))


def draw_spectrogram(
    axes: Axes, power: NDArray[np.floating], edges: NDArray[np.floating], frequencies: NDArray[np.floating]
) -> QuadMesh:
    """Draw power, (windows, frequencies) in dB, between the windows' `edges`, (windows + 1,)."""
    low, high = np.percentile(power, _PERCENTILES)
    step = frequencies[0] if len(frequencies) == 1 else frequencies[1] - frequencies[0]
    bins = np.append(frequencies - step / 2, frequencies[-1] + step / 2)
    return axes.pcolormesh(edges, bins, power.T, cmap=SEQUENTIAL, vmin=low, vmax=max(high, low + 1), rasterized=True)
