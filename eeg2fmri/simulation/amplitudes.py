"""Slow amplitude of a rhythm, and the haemodynamic response to it.

Symbols: envelopes have a clock of STEP_S seconds that starts HISTORY_S before the first volume.

References
----------
Linkenkaer-Hansen et al. 2001, J. Neurosci. 21:1370: amplitudes of alpha, mu and beta keep memory from
seconds to minutes. Buzsaki & Mizuseki 2014, Nat. Rev. Neurosci. 15:264: log-normal amplitudes.
Glover 1999, NeuroImage 9:416 and Friston et al. 1998, NeuroImage 7:30: the double-gamma response.
Handwerker et al. 2004, NeuroImage 21:1639: the response's latency differs by about a second between
subjects and regions.
"""

from __future__ import annotations

import numpy as np

STEP_S = 0.1
HRF_S = 32.0  # length of the response
HISTORY_S = 45.0  # at least the response's length, so that the first volume is in steady state
TIME_CONSTANTS_S = (3.0, 9.0, 27.0)  # equal shares: close to 1/f over the decade that BOLD can follow
LOG_SD = 0.4  # a coefficient of variation near 0.4; that of narrow-band Gaussian noise is 0.52
LATENCY_SD_S, LATENCY_LIMIT_S = 0.7, 1.5


def clock(seconds: float) -> np.ndarray:
    """Return times in s, relative to the first volume, from -HISTORY_S to past `seconds`."""
    return np.arange(-HISTORY_S, seconds + 2 * STEP_S, STEP_S)


def draw_amplitude(n: int, rng: np.random.Generator) -> np.ndarray:
    """Log-normal amplitude of mean 1 on the clock, (n,)."""
    slow = sum(relaxation(n, tau / STEP_S, rng) for tau in TIME_CONSTANTS_S) / np.sqrt(len(TIME_CONSTANTS_S))
    return np.exp(LOG_SD * slow - LOG_SD**2 / 2)


def standardise(amplitude: np.ndarray) -> np.ndarray:
    """Return the amplitude's deviations from its expected mean in units of its expected spread."""
    return (amplitude - 1) / np.sqrt(np.expm1(LOG_SD**2))


def relaxation(n: int, steps: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a stationary Ornstein-Uhlenbeck process, (n,), variance 1, correlation time `steps` samples."""
    from scipy.signal import lfilter

    keep = np.exp(-1 / steps)
    shocks = rng.standard_normal(n) * np.sqrt(1 - keep**2)
    shocks[0] /= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], shocks)


def draw_latency(rng: np.random.Generator) -> float:
    """Draw the seconds by which a response peaks later than the canonical one."""
    return float(np.clip(LATENCY_SD_S * rng.standard_normal(), -LATENCY_LIMIT_S, LATENCY_LIMIT_S))


def hrf(latency_s: float) -> np.ndarray:
    """Return the double-gamma response on the clock: peak near 5 s, undershoot near 15 s of a sixth its area."""
    from scipy.stats import gamma

    t = np.arange(0, HRF_S, STEP_S)
    return gamma.pdf(t, 6 + latency_s) - gamma.pdf(t, 16 + latency_s) / 6


def respond(drive: np.ndarray, latency_s: float, volume_times_s: np.ndarray) -> np.ndarray:
    """Return haemodynamic response to a drive on the clock, at the volumes' times, (n_volumes,)."""
    return convolve(drive, hrf(latency_s), volume_times_s)


def convolve(drive: np.ndarray, response: np.ndarray, volume_times_s: np.ndarray) -> np.ndarray:
    """Return any response, sampled every STEP_S, to a drive on the clock, at the volumes' times, (n_volumes,)."""
    from scipy.signal import fftconvolve

    full = fftconvolve(drive, response)[: len(drive)] * STEP_S
    return np.interp(volume_times_s, -HISTORY_S + STEP_S * np.arange(len(drive)), full)
