"""EEG spectrogram on the scanner's clock.

eeg: (channels, samples) in µV.  onset: sample at which the BOLD run starts (may be fractional).
spectrogram: (windows, channels, frequencies) in the unit of `eeg`.  Window w covers [w, w + 1) TR after `onset`.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from eeg2fmri.errors import AlignmentError, ConfigError


def window_length(sampling_rate: float, tr: float) -> int:
    """Return the samples in one TR; rounding first keeps 2.16 s × 250 Hz at 540 rather than 539."""
    return int(round(sampling_rate * tr, 6))


def frequencies(sampling_rate: float, tr: float, n_frequencies: int) -> np.ndarray:
    """Return the frequencies (Hz) of the bins that `spectrogram` keeps: the first ones after DC.

    Raises
    ------
    ConfigError
        If one window does not have that many bins below the Nyquist frequency.
    """
    length = window_length(sampling_rate, tr)
    if n_frequencies > length // 2:
        raise ConfigError(
            f"data.frequencies: {n_frequencies} bins asked for, but a window of one TR ({tr:g} s at "
            f"{sampling_rate:g} Hz, {length} samples) has {length // 2}; set data.frequencies={length // 2} or less"
        )
    return fft.rfftfreq(length, 1 / sampling_rate)[1 : n_frequencies + 1]


def spectrogram(
    eeg: np.ndarray,
    sampling_rate: float,
    tr: float,
    *,
    onset: float,
    n_windows: int,
    n_frequencies: int,
    period: float | None = None,
    windows: np.ndarray | None = None,
    first: int = 0,
    skipped: int = 0,
) -> np.ndarray:
    """Compute the short-time Fourier magnitude over boxcar windows of one TR, without overlap.

    Parameters
    ----------
    eeg : (channels, samples) in µV.
    sampling_rate : Hz.
    tr : seconds between volumes, and the length of a window.
    onset : sample of the BOLD run's time zero; windows start at the sample nearest to
        ``onset + w * period``, so that rounding never accumulates.
    n_windows : windows to compute.
    n_frequencies : bins kept after DC, at 1/TR, 2/TR, … Hz.
    period : samples from window to window; by default one TR. It gives the TR of the scanner if the clocks differ.
    windows : (n_windows,) bool, those with EEG, all by default; the others stay 0.
    first : number w of the first window to compute. A shift of the onset by as many periods is not the same: if
        windows start halfway between two samples, the last bit of the onset decides between them.
    skipped : samples of the recording before `eeg`, which may be a part of it; `onset` counts them.

    Returns
    -------
    (n_windows, channels, n_frequencies) float32 in the unit of `eeg`, the magnitude of the DFT divided by the
    window's length (`scipy.signal.stft` with ``scaling="spectrum"``).

    Raises
    ------
    ConfigError
        If a window has fewer bins than asked for.
    AlignmentError
        If the EEG does not cover every window.
    """
    frequencies(sampling_rate, tr, n_frequencies)
    length = window_length(sampling_rate, tr)
    period = tr * sampling_rate if period is None else period
    starts = np.rint(onset + np.arange(first, first + n_windows) * period).astype(int) - skipped
    wanted = np.arange(n_windows) if windows is None else np.flatnonzero(windows)
    if len(wanted) and (starts[wanted[0]] < 0 or starts[wanted[-1]] + length > eeg.shape[1]):
        raise AlignmentError(
            f"the EEG has samples 0 to {eeg.shape[1]}, but {n_windows} volumes need {starts[wanted[0]]} to "
            f"{starts[wanted[-1]] + length}; the EEG recording is cut short or its markers are misplaced"
        )
    magnitude = np.zeros((n_windows, eeg.shape[0], n_frequencies), np.float32)
    for window in wanted:
        start = starts[window]
        spectrum = fft.rfft(eeg[:, start : start + length], axis=1)
        magnitude[window] = np.abs(spectrum[:, 1 : n_frequencies + 1]) / length
    return magnitude
