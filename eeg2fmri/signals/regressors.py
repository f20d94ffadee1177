"""Courses that BOLD may follow without the brain's rhythms: tasks and the heart, at the onsets of the volumes.

n volumes.  Times are seconds after the onset of the first volume of the BOLD file.
"""

from __future__ import annotations

import numpy as np

from eeg2fmri.signals.pulse import HEART_RATES

STEP_S = 0.1  # of the clock on which a response is convolved
CARDIAC_S = 30.0  # length of the cardiac response
QRS_S = 0.05  # on either side of an R peak: the complex lasts about 0.1 s


def event_response(onsets: np.ndarray, durations: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return canonical haemodynamic response to events, (n,) in arbitrary units.

    The double-gamma response of Friston et al. 1998, NeuroImage 7:30, as nilearn computes it (``spm``).

    Parameters
    ----------
    onsets, durations : (events,) s; an event of 0 s counts as an impulse.
    times : (n,) s, onsets of two volumes or more, the first one at 0.
    """
    from nilearn.glm.first_level import compute_regressor

    ended = onsets + durations < -24  # nilearn's memory, longer than the response's
    started = onsets > times[-1]
    kept = ~(ended | started)
    first = np.maximum(onsets[kept], -24)
    events = np.stack([first, durations[kept] - (first - onsets[kept]), np.ones(kept.sum())])
    return compute_regressor(events, "spm", times)[0][:, 0].astype(np.float32)


def pulse_courses(beats: np.ndarray, times: np.ndarray, amplitudes: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return heart rate and the ECG's amplitude at the volumes, as they are and through the cardiac response.

    Parameters
    ----------
    beats : (b,) s, R peaks. Intervals that no resting heart has, where peaks were missed, are left out.
    times : (n,) s, onsets of the volumes.
    amplitudes : (b,) of each beat, in any unit; they become relative to their mean.

    Returns
    -------
    ``heart_rate`` (beats per minute), ``pulse_amplitude`` (of 1), and each with the ending ``_response``, (n,) float32;
    empty if no two beats follow each other.
    """
    intervals = np.diff(beats)
    good = (intervals >= 60 / HEART_RATES[1]) & (intervals <= 60 / HEART_RATES[0])
    if not good.any():
        return {}
    courses = {"heart_rate": ((beats[1:] + beats[:-1])[good] / 2, 60 / intervals[good])}
    if amplitudes is not None:
        courses["pulse_amplitude"] = (beats, amplitudes / amplitudes.mean())
    clock = np.arange(min(beats[0], times[0]), times[-1] + STEP_S, STEP_S)
    found = {}
    for name, (places, values) in courses.items():
        course = np.interp(clock, places, values)
        change = course - course.mean()
        response = np.convolve(change, cardiac_response(np.arange(0, CARDIAC_S, STEP_S)))[: len(clock)] * STEP_S
        found[name] = np.interp(times, clock, course).astype(np.float32)
        found[f"{name}_response"] = np.interp(times, clock, response).astype(np.float32)
    return found


def cardiac_response(t: np.ndarray) -> np.ndarray:
    """Return BOLD's response to the heart rate at `t` seconds, arbitrary unit.

    ``0.6 t^2.7 exp(-t/1.6) - 16 exp(-(t-12)²/18) / sqrt(18 π)``, Chang, Cunningham & Glover 2009,
    NeuroImage 44:857.
    """
    return 0.6 * t**2.7 * np.exp(-t / 1.6) - 16 * np.exp(-np.square(t - 12) / 18) / np.sqrt(18 * np.pi)


def beat_amplitudes(ecg: np.ndarray, rate: float, r_peaks: np.ndarray) -> np.ndarray:
    """Return height of the QRS complex of each beat, its range within 50 ms of the R peak, (beats,) in the unit of
    `ecg`.

    Parameters
    ----------
    ecg : (samples,) at `rate` Hz.
    r_peaks : (beats,) samples.
    """
    reach = max(1, round(QRS_S * rate))
    near = np.rint(r_peaks).astype(int)[:, None] + np.arange(-reach, reach + 1)
    return np.ptp(ecg[np.clip(near, 0, len(ecg) - 1)], axis=1)
