"""Low-pass filter and decimation without delay.

Sample s of the recording becomes sample ``s / factor``; `factor` is the old rate divided by the new one. Output k has
the time of input ``k * factor``, so an onset between samples keeps its exact time.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy import signal

from eeg2fmri.errors import ConfigError

PASS, STOP = 0.4, 0.5  # of the new rate: end of the pass band, start of the stop band
ATTENUATION_DB = 80.0
LARGEST_RATIO = 1000


def resampling_ratio(sampling_rate: float, target: float | None) -> Fraction:
    """Return new rate over old rate, at most 1.

    Raises
    ------
    ConfigError
        If the target is higher than the rate or is no simple ratio of it.
    """
    if target is None or target == sampling_rate:
        return Fraction(1)
    ratio = Fraction(target / sampling_rate).limit_denominator(LARGEST_RATIO)
    if ratio > 1:
        raise ConfigError(
            f"data.cleaning.sampling_rate: {target:g} Hz is above the EEG's {sampling_rate:g} Hz; set at most that or "
            f"leave it out"
        )
    if not ratio or abs(float(ratio) * sampling_rate / target - 1) > 1e-9:
        raise ConfigError(
            f"data.cleaning.sampling_rate: {target:g} Hz is no ratio of whole numbers up to {LARGEST_RATIO} of the "
            f"EEG's {sampling_rate:g} Hz; set {sampling_rate / max(round(sampling_rate / target), 1):g} Hz"
        )
    return ratio


def resample(eeg: np.ndarray, ratio: Fraction) -> np.ndarray:
    """Bring channels to `ratio` times their rate by a linear-phase filter without delay.

    Parameters
    ----------
    eeg : (channels, n) in µV.
    ratio : from `resampling_ratio`.

    Returns
    -------
    (channels, ceil(n * ratio)) of the same type; within 0.1 % of `eeg` below 0.4 of the new rate,
    and 80 dB weaker above 0.5 of it. The ends continue with their last value.
    """
    if ratio == 1:
        return eeg
    new = 1 / ratio.denominator  # the new rate; the rate of the filter is 1
    taps, beta = _length(ratio)
    window = signal.firwin(taps, (PASS + STOP) / 2 * new, window=("kaiser", beta), fs=1.0).astype(eeg.dtype)
    return signal.resample_poly(eeg, ratio.numerator, ratio.denominator, axis=1, window=window, padtype="edge")


def support(ratio: Fraction, start: int, stop: int, n_samples: int) -> tuple[int, int]:
    """Return the samples of the recording, first and after the last, from which `resample` makes `start` to `stop`.

    Resampled alone they give the same values. The first one is a multiple of the ratio's denominator, so that it
    becomes a whole sample.
    """
    if ratio == 1:
        return start, stop
    reach = _length(ratio)[0] // (2 * ratio.numerator) + 1
    first = math.floor(start / ratio) - reach
    return max(first // ratio.denominator * ratio.denominator, 0), min(math.ceil(stop / ratio) + reach, n_samples)


def _length(ratio: Fraction) -> tuple[int, float]:
    """Return the coefficients of the filter, an odd number, and the shape of its Kaiser window."""
    taps, beta = signal.kaiserord(ATTENUATION_DB, 2 * (STOP - PASS) / ratio.denominator)
    return taps + 1 - taps % 2, beta
