"""Step from cleaned EEG to the input of a model, shared by the store and a served model.

C channels, F frequencies, T windows of a context.
"""

from __future__ import annotations

import numpy as np

from eeg2fmri.signals.montage import current_source_density
from eeg2fmri.signals.signal import DENSITY, Signal
from eeg2fmri.signals.spectrogram import spectrogram


def window_magnitudes(
    eeg: np.ndarray,
    signal: Signal,
    windows: np.ndarray,
    *,
    onset: float,
    period: float | None = None,
    first: int = 0,
    skipped: int = 0,
) -> np.ndarray:
    """Compute spectral magnitudes of each window of one TR, of the potentials or their current source density.

    The density at a channel depends on the other channels, so choose channels from the result.

    Parameters
    ----------
    eeg : (C, samples) in µV, cleaned; all channels that the recording has.
    signal : channels and sampling rate of `eeg`, TR, and the wanted frequencies and unit.
    windows : (n,) bool, those with EEG; the others stay 0.
    onset, period, first, skipped : as `spectrogram` takes them.

    Returns
    -------
    (n, C, F) float32 in `signal.unit`.

    Raises
    ------
    ConfigError, AlignmentError
        As `spectrogram`.
    DatasetError
        As `current_source_density`.
    """
    if signal.unit == DENSITY:
        eeg = current_source_density(eeg, signal.channels)
    return spectrogram(
        eeg, signal.sampling_rate, signal.tr,
        onset=onset, n_windows=len(windows), n_frequencies=len(signal.frequencies), period=period, windows=windows,
        first=first, skipped=skipped,
    )  # fmt: skip


def contexts(magnitudes: np.ndarray, context: int) -> np.ndarray:
    """Return every `context` windows in a row, (n - context + 1, C, F, T); a view on `magnitudes` (n, C, F)."""
    return np.lib.stride_tricks.sliding_window_view(magnitudes, context, axis=0)
