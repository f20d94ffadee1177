"""Scalp EEG in uV: rhythms of the networks, 1/f background, and residues of cleaning.

Symbols: n samples at `rate` Hz; time 0 is the first volume; arrays are (channels, n).

References
----------
Grandy et al. 2013, Psychophysiology 50:570: individual alpha peaks at 10 +- 1 Hz.
He 2014, Trends Cogn. Sci. 18:480: the background's spectrum falls as 1/f^1 to 1/f^2.
Bentivoglio et al. 1997, Mov. Disord. 12:1028: 17 blinks per minute at rest.
Debener et al. 2008, Int. J. Psychophysiol. 67:189; Niazy et al. 2005, NeuroImage 28:720: pulse and
gradient artefacts, of which a residue of the order of uV stays after correction.
McSharry et al. 2003, IEEE Trans. Biomed. Eng. 50:289: the ECG as a sum of Gaussian waves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eeg2fmri.simulation.amplitudes import relaxation
from eeg2fmri.simulation.anatomy import grey_points
from eeg2fmri.simulation.forward import CHANNELS, electrode_positions, leadfield
from eeg2fmri.simulation.networks import DIPOLES_PER_SOURCE, NETWORKS, Placement

ALPHA_PEAK_HZ, ALPHA_PEAK_SD_HZ = 10.0, 1.0  # Grandy et al. 2013
AMPLITUDE_LOG_SD = 0.3  # rhythms differ by about a third between subjects
FREQUENCY_MEMORY_S = 0.5  # the frequency wanders within the band
BACKGROUND_UV, BACKGROUND_LOG_SD = 10.0, 0.2  # root mean square, 0.5 Hz up
BACKGROUND_SLOPE, BACKGROUND_SLOPE_SD = 1.3, 0.15  # He 2014
BACKGROUND_SOURCES = 200
GAIN_SD = 0.05  # electrode gains
SENSOR_UV = 1.0  # amplifier and electrode noise, more in the scanner: log-normal factor below
NOISE_LOG_SD = 0.3
LINE_HZ, LINE_UV = 50.0, 0.5
GRADIENT_UV = 1.0  # residue at the slice rate and its harmonics while the scanner runs
PULSE_UV = 5.0  # residue of the pulse artefact, about 0.2 s after each R peak
BLINKS_PER_MINUTE, BLINK_UV, BLINK_S = 17.0, 100.0, 0.3
EYES_MM, EYE_REACH_MM = ((-32.0, 75.0, -35.0), (32.0, 75.0, -35.0)), 40.0
HEART_HZ, HEART_SD_HZ, BEAT_SD = 1.1, 0.1, 0.05
# Waves P, Q, R, S, T of a beat: seconds after the R peak, width in s, uV.
ECG_WAVES = ((-0.2, 0.025, 100), (-0.03, 0.01, -120), (0, 0.011, 1000), (0.03, 0.01, -250), (0.27, 0.05, 250))


@dataclass(frozen=True)
class Clock:
    """Sampling of a recording: `start` samples before the first volume, `n` samples in all."""

    rate: float
    start: int
    n: int

    def times(self) -> np.ndarray:
        """Return seconds relative to the first volume, (n,)."""
        return (np.arange(self.n) - self.start) / self.rate


@dataclass(frozen=True)
class Scanner:
    """Effect of the scanner on the EEG: seconds of scanning and slices per second."""

    seconds: float
    slices_per_s: float


def draw_eeg(
    placements: list[Placement],
    amplitudes: np.ndarray,
    clock: Clock,
    scanner: Scanner,
    rng: np.random.Generator,
    residues: bool = True,
    heart: np.ndarray | float = 1.0,
    pulse_residue: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw EEG of the 63 electrodes and the ECG lead, (64, n) in uV, and the R peaks in s from its start.

    Parameters
    ----------
    placements : of each network in this head.
    amplitudes : (networks, n), of mean 1, at the samples of `clock`.
    residues : whether the residues of corrected gradient and pulse artefacts are in it; everything else
        is the same with and without them.
    heart, pulse_residue : (n,) factors on the waves of the ECG and on the residue of the pulse artefact.
    """
    gains, sources = draw_rhythms(placements, amplitudes, clock.rate, rng)
    eeg = gains @ sources
    eeg += _background(clock, rng)
    eeg += _blinks(clock, rng)
    beats = _beats(clock, rng)
    for residue in (pulse_residue * _pulse_residue(clock, beats, rng), _gradient_residue(clock, scanner, rng)):
        if residues:
            eeg += residue
    eeg += _sensor_noise(clock, rng)
    eeg *= 1 + GAIN_SD * rng.standard_normal((len(eeg), 1))
    return np.vstack([eeg, _ecg(clock, beats, heart, rng)]), beats


def draw_rhythms(
    placements: list[Placement], amplitudes: np.ndarray, rate: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw topographies (63, s) in uV and oscillations (s, n) of peak amplitude near 1, one per source."""
    peak = ALPHA_PEAK_HZ + ALPHA_PEAK_SD_HZ * np.clip(rng.standard_normal(), -2, 2)
    dipoles = np.concatenate([p.dipoles_mm.reshape(-1, 3) for p in placements])
    moments = np.concatenate([p.moments.reshape(-1, 3) for p in placements])
    patches = leadfield(dipoles, moments).reshape(len(CHANNELS), -1, DIPOLES_PER_SOURCE).mean(axis=-1)
    gains, sources, first = [], [], 0
    for network, placement, amplitude in zip(NETWORKS, placements, amplitudes, strict=True):
        topography = patches[:, first : first + len(placement.dipoles_mm)]
        first += len(placement.dipoles_mm)
        # Sources of a network have independent phases, so their powers add at an electrode.
        topography = topography / np.sqrt((topography**2).sum(axis=1).max())
        for rhythm in network.rhythms:
            scale = rhythm.amplitude_uv * np.exp(AMPLITUDE_LOG_SD * rng.standard_normal())
            centre = (rhythm.low_hz + rhythm.high_hz) / 2 + (network.name == "visual") * (peak - ALPHA_PEAK_HZ)
            width = (rhythm.high_hz - rhythm.low_hz) / 4
            gains.append(scale * topography)
            sources += [amplitude * _oscillation(len(amplitude), centre, width, rate, rng) for _ in topography.T]
    return np.hstack(gains), np.stack(sources)


def _oscillation(n: int, centre_hz: float, spread_hz: float, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a wave of unit amplitude with a frequency that wanders around its centre, (n,)."""
    frequency = centre_hz + spread_hz * relaxation(n, FREQUENCY_MEMORY_S * rate, rng)
    return np.cos(2 * np.pi * (rng.uniform() + np.cumsum(frequency) / rate))


def _background(clock: Clock, rng: np.random.Generator) -> np.ndarray:
    """Draw 1/f activity of random cortical dipoles through the same head, (63, n)."""
    from scipy import fft

    points, _ = grey_points()
    moments = rng.standard_normal((BACKGROUND_SOURCES, 3))
    moments /= np.linalg.norm(moments, axis=1, keepdims=True)
    mix = leadfield(points[rng.choice(len(points), BACKGROUND_SOURCES, replace=False)], moments)
    slope = BACKGROUND_SLOPE + BACKGROUND_SLOPE_SD * rng.standard_normal()
    level = BACKGROUND_UV * np.exp(BACKGROUND_LOG_SD * rng.standard_normal())
    size = fft.next_fast_len(clock.n, real=True)
    white = mix.astype("float32") @ rng.standard_normal((BACKGROUND_SOURCES, size), dtype="float32")
    frequencies = fft.rfftfreq(size, 1 / clock.rate)
    shape = np.maximum(frequencies, 0.5) ** (-slope / 2)  # level below 0.5 Hz
    shape[frequencies < 0.016] = 0  # the amplifier's 10 s time constant
    coloured = fft.irfft(fft.rfft(white) * (shape * passband(frequencies, clock.rate)), size)[:, : clock.n]
    return coloured * (level / np.median(coloured.std(axis=1)))


def passband(frequencies: np.ndarray, rate: float) -> np.ndarray:
    """Return the gain of the anti-aliasing filter: 1 up to 0.4 of the rate, 0 from 0.48."""
    return 0.5 * (1 + np.cos(np.pi * np.clip((frequencies / rate - 0.4) / 0.08, 0, 1)))


def _blinks(clock: Clock, rng: np.random.Generator) -> np.ndarray:
    """Draw blinks, positive at the forehead, (63, n)."""
    n_blinks = rng.poisson(BLINKS_PER_MINUTE * clock.n / clock.rate / 60)
    starts = rng.integers(0, clock.n, n_blinks)
    shape = np.hanning(max(int(BLINK_S * clock.rate), 3))
    train = np.zeros(clock.n + len(shape))
    for start, size in zip(starts, np.exp(0.3 * rng.standard_normal(n_blinks)), strict=True):
        train[start : start + len(shape)] += size * shape
    places = electrode_positions()
    pull = [sum(np.exp(-np.linalg.norm(p - e) / EYE_REACH_MM) for e in EYES_MM) for p in places.values()]
    topography = np.array(pull[:-1]) - pull[-1]
    return np.outer(BLINK_UV * topography / topography.max(), train[: clock.n])


def _beats(clock: Clock, rng: np.random.Generator) -> np.ndarray:
    """Draw R peaks, in s from the start of the recording."""
    rate = HEART_HZ + HEART_SD_HZ * np.clip(rng.standard_normal(), -2, 2)
    count = int(1.5 * rate * clock.n / clock.rate) + 4
    intervals = np.maximum(1 + BEAT_SD * relaxation(count, 3.0, rng), 0.5) / rate
    beats = np.cumsum(intervals)
    return beats[beats < clock.n / clock.rate]


def _beat_train(clock: Clock, beats: np.ndarray, wave: np.ndarray, lead_s: float) -> np.ndarray:
    """Add `wave` (m,) at every beat, starting `lead_s` before it, (n,)."""
    train = np.zeros(clock.n + 2 * len(wave))
    for start in np.round((beats - lead_s) * clock.rate).astype(int) + len(wave):
        train[start : start + len(wave)] += wave
    return train[len(wave) : len(wave) + clock.n]


def _pulse_residue(clock: Clock, beats: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the residue of the pulse artefact after template subtraction: a slow wave, odd from left to right."""
    t = np.arange(0, 0.6, 1 / clock.rate)
    wave = np.sin(2 * np.pi * t / 0.3) * np.exp(-(((t - 0.25) / 0.1) ** 2))
    side = np.array([electrode_positions()[c][0] for c in CHANNELS]) / 85
    size = PULSE_UV * np.exp(NOISE_LOG_SD * rng.standard_normal())
    return np.outer(size * (side + 0.2 * rng.standard_normal(len(side))), _beat_train(clock, beats, wave, 0.0))


def _gradient_residue(clock: Clock, scanner: Scanner, rng: np.random.Generator) -> np.ndarray:
    """Draw the residue of the gradient artefact: slice rate and harmonics during the run, (63, n)."""
    t = clock.times()
    running = (t >= 0) & (t < scanner.seconds)
    total = np.zeros((len(CHANNELS), clock.n))
    size = GRADIENT_UV * np.exp(NOISE_LOG_SD * rng.standard_normal())
    for harmonic in (1, 2, 3):
        frequency, phase = harmonic * scanner.slices_per_s, rng.uniform(0, 2 * np.pi)
        wave = size / harmonic * np.cos(2 * np.pi * frequency * t + phase) * running
        total += np.outer(rng.standard_normal(len(CHANNELS)), wave) * passband(np.array(frequency), clock.rate)
    return total


def _sensor_noise(clock: Clock, rng: np.random.Generator) -> np.ndarray:
    """Draw white noise of each electrode and mains hum, (63, n)."""
    size = SENSOR_UV * np.exp(NOISE_LOG_SD * rng.standard_normal())
    noise = size * rng.standard_normal((len(CHANNELS), clock.n), dtype="float32")
    phases = rng.uniform(0, 2 * np.pi, (len(CHANNELS), 1))
    hum = LINE_UV * passband(np.array(LINE_HZ), clock.rate)
    return noise + hum * np.cos(2 * np.pi * LINE_HZ * clock.times() + phases)


def _ecg(clock: Clock, beats: np.ndarray, heart: np.ndarray | float, rng: np.random.Generator) -> np.ndarray:
    """Return trace of the ECG lead with a little wander and noise, (n,)."""
    t = np.arange(-0.4, 0.5, 1 / clock.rate)
    wave = sum(size * np.exp(-(((t - at) / width) ** 2) / 2) for at, width, size in ECG_WAVES)
    trace = _beat_train(clock, beats, np.asarray(wave), 0.4)
    return heart * trace + 10 * rng.standard_normal(clock.n) + 30 * relaxation(clock.n, 5 * clock.rate, rng)
