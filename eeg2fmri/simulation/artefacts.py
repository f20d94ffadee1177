"""Artefacts of the raw EEG from the scanner and the heart: gradient and pulse, in µV.

Symbols: C channels (the ECG last), n samples of the EEG before the artefacts, N = RAW_FACTOR n samples of
the raw recording; the three gradient axes are those of the scanner; time 0 is the first volume.

References
----------
Allen et al. 2000, NeuroImage 12:230: gradient artefacts of mV, induced where gradients are switched.
Ritter & Villringer 2006, Neurosci. Biobehav. Rev. 30:823: their shape, and how head movement changes it.
Yan et al. 2009, NeuroImage 46:459: the induced voltage follows the electrode's distance from the centre.
Debener et al. 2008, Int. J. Psychophysiol. 67:189: pulse artefacts of up to 150 µV, about 0.2 s after the
R peak, different at every electrode and beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eeg2fmri.simulation.amplitudes import relaxation
from eeg2fmri.simulation.eeg import Clock
from eeg2fmri.simulation.forward import CHANNELS, electrode_positions

RAW_FACTOR = 20  # 250 Hz to 5 kHz
FINE_HZ = 100_000.0  # rate at which the waveform of one TR is drawn
AMPLIFIER_HZ = 250.0  # low-pass of an amplifier in the scanner
GRADIENT_UV, GRADIENT_LOG_SD, GRADIENT_LIMIT_UV = 3000.0, 0.4, 12_000.0  # largest excursion of a channel
DEAD_SHARE = 0.02  # of the TR, after the last slice
# Head movement in mm: slow drift, breathing, and a few abrupt shifts; an electrode 100 mm from the centre.
DRIFT_MM, DRIFT_S = 0.5, 100.0
BREATH_MM, BREATH_HZ = 0.05, 0.25
SHIFT_MM, SHIFTS_PER_MINUTE = 0.3, 0.3
LEVER_MM = 100.0
PULSE_UV, PULSE_LOG_SD = 80.0, 0.3  # size of the largest wave at the side of the head
# Waves of a pulse artefact: share, direction it grows along (right, front, up), peak, width and cycle in s.
PULSE_WAVES = ((1.0, 0, 0.22, 0.08, 0.3), (0.6, 1, 0.3, 0.12, 0.4), (0.4, 2, 0.17, 0.06, 0.25))
BEAT_LOG_SD, BEAT_DELAY_SD_S, CHANNEL_DELAY_SD_S = 0.15, 0.01, 0.02
BLOCK_S = 20.0


@dataclass(frozen=True)
class Artefacts:
    """Artefacts of one recording.

    waveform: (3, P) voltage that a unit of coupling to each axis induces during one TR.
    coupling: (C, 3) µV.  sway: (C, 3, 3) change of the coupling, as a share, for a mm along each direction.
    movement: (3, n) mm.  pulse: (C, n) µV.
    """

    tr: float
    seconds: float
    waveform: np.ndarray
    coupling: np.ndarray
    sway: np.ndarray
    movement: np.ndarray
    pulse: np.ndarray


def draw_artefacts(
    clock: Clock, beats: np.ndarray, tr: float, volumes: int, slices: int, rng: np.random.Generator
) -> Artefacts:
    """Draw the artefacts of all 63 electrodes and the ECG.

    Parameters
    ----------
    clock : of the EEG before the artefacts.
    beats : R peaks, in s from the start of the recording.
    """
    n_channels = len(CHANNELS) + 1
    size = np.exp(GRADIENT_LOG_SD * rng.standard_normal((n_channels, 1)))
    directions = rng.standard_normal((n_channels, 3))
    waveform = _waveform(tr, slices)
    peaks = np.abs(directions @ waveform).max(axis=1, keepdims=True)
    coupling = directions / peaks * np.minimum(GRADIENT_UV * size, GRADIENT_LIMIT_UV)
    sway = rng.standard_normal((n_channels, 3, 3)) / np.sqrt(3) / LEVER_MM
    return Artefacts(
        tr=tr,
        seconds=tr * volumes,
        waveform=waveform,
        coupling=coupling,
        sway=sway,
        movement=_movement(clock, rng),
        pulse=_pulse(clock, beats, rng),
    )


def raw_blocks(eeg_uv: np.ndarray, clock: Clock, artefacts: Artefacts, rows: list[int]) -> Iterator[np.ndarray]:
    """Yield the raw recording, block after block: (len(rows), up to BLOCK_S of samples) in µV.

    Parameters
    ----------
    eeg_uv : (len(rows), n) EEG before the artefacts.
    rows : channels of `artefacts` that `eeg_uv` holds.
    """
    from scipy.signal import resample_poly

    slow = eeg_uv + artefacts.pulse[rows]
    step, reach = round(BLOCK_S * clock.rate), 12  # samples; interpolation uses 10 on either side
    for start in range(0, clock.n, step):
        stop, first = min(start + step, clock.n), max(start - reach, 0)
        last = min(stop + reach, clock.n)
        fine = resample_poly(slow[:, first:last], RAW_FACTOR, 1, axis=1)
        fine = fine[:, (start - first) * RAW_FACTOR : (stop - first) * RAW_FACTOR]
        yield fine + _gradient(artefacts, clock, rows, start, stop)


def _gradient(artefacts: Artefacts, clock: Clock, rows: list[int], start: int, stop: int) -> np.ndarray:
    """Compute the gradient artefact between two samples of the slow clock."""
    at = np.arange(start * RAW_FACTOR, stop * RAW_FACTOR) / RAW_FACTOR
    t = (at - clock.start) / clock.rate
    running = (t > -1e-9) & (t < artefacts.seconds - 1e-9)
    phase = t / artefacts.tr * artefacts.waveform.shape[1]
    grid = np.arange(artefacts.waveform.shape[1])
    waves = [np.interp(phase, grid, wave, period=len(grid)) * running for wave in artefacts.waveform]
    movement = [np.interp(at, np.arange(clock.n), course) for course in artefacts.movement]
    total = artefacts.coupling[rows] @ np.stack(waves)
    for axis, wave in enumerate(waves):
        swayed = artefacts.sway[rows, axis] @ np.stack(movement)
        total += artefacts.coupling[rows, axis, None] * swayed * wave
    return total


def _waveform(tr: float, slices: int) -> np.ndarray:
    """Compute the voltage that the switching of each axis induces, (3, P) over one TR, of peak 1.

    A slice of echo-planar imaging: fat saturation with its spoiler, excitation (z), readout train (x)
    with blips (y), final spoilers. Gradients are trapezoids, and electrode loops record their time
    derivative; then follows the amplifier's low-pass.
    """
    slot = tr * (1 - DEAD_SHARE) / slices
    n_fine, n_slot = round(tr * FINE_HZ), int(slot * FINE_HZ)
    ramp, echo = 0.005 * slot, 0.012 * slot
    # Axis, begin and length as shares of the slot, height.
    events = [(2, 0.02, 0.08, 0.9), (0, 0.02, 0.06, -0.5), (2, 0.14, 0.08, 0.7), (2, 0.24, 0.045, -0.7)]
    events += [(0, 0.24, 0.04, -0.6), (1, 0.24, 0.04, 0.8), (2, 0.9, 0.08, 1.0), (1, 0.9, 0.07, 0.6)]
    lobes = [(axis, at * slot, width * slot, ramp, height) for axis, at, width, height in events]
    for k in range(48):
        lobes.append((0, 0.3 * slot + k * echo, echo, echo / 5, 0.8 * (-1) ** k))
        lobes.append((1, 0.3 * slot + (k + 0.9) * echo, echo / 5, echo / 12, -0.2))
    times = np.arange(n_slot) / FINE_HZ
    shape = np.zeros((3, n_slot))
    for axis, at, width, rise, height in lobes:
        shape[axis] += height * np.interp(times, [at, at + rise, at + width - rise, at + width], [0, 1, 1, 0])
    wave = np.zeros((3, n_fine))
    for k in range(slices):
        start = round(k * slot * FINE_HZ)
        wave[:, start : start + n_slot] = shape
    frequencies = np.fft.rfftfreq(n_fine, 1 / FINE_HZ)
    low_pass = 2j * np.pi * frequencies / np.sqrt(1 + (frequencies / AMPLIFIER_HZ) ** 10)
    wave = np.fft.irfft(np.fft.rfft(wave) * low_pass, n_fine)
    return wave / np.abs(wave).max(axis=1, keepdims=True)


def _movement(clock: Clock, rng: np.random.Generator) -> np.ndarray:
    """Draw the displacement of the head along three directions, (3, n) in mm."""
    drift = np.stack([DRIFT_MM * relaxation(clock.n, DRIFT_S * clock.rate, rng) for _ in range(3)])
    pace = BREATH_HZ / clock.rate * (1 + 0.1 * relaxation(clock.n, 5 * clock.rate, rng))
    phase = 2 * np.pi * (rng.uniform() + np.cumsum(pace))
    breath = np.outer(rng.standard_normal(3), BREATH_MM * np.sin(phase))
    jumps = np.zeros((3, clock.n))
    for at in rng.integers(0, clock.n, rng.poisson(SHIFTS_PER_MINUTE * clock.n / clock.rate / 60)):
        jumps[:, at:] += SHIFT_MM * rng.standard_normal((3, 1))
    return drift + breath + jumps


def _pulse(clock: Clock, beats: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a pulse artefact (C, n): rotation of the head and motion of the scalp, each with its own course."""
    places = np.stack([electrode_positions()[c] for c in CHANNELS]) / 85
    total = np.zeros((len(CHANNELS) + 1, clock.n))
    size = PULSE_UV * np.exp(PULSE_LOG_SD * rng.standard_normal())
    t = np.arange(-0.1, 0.7, 1 / clock.rate)
    for share, towards, peak, width, cycle in PULSE_WAVES:
        topography = places[:, towards] + 0.3 * rng.standard_normal(len(CHANNELS))
        late = CHANNEL_DELAY_SD_S * rng.standard_normal(len(CHANNELS))
        strengths = np.exp(BEAT_LOG_SD * rng.standard_normal(len(beats)))
        delays = BEAT_DELAY_SD_S * rng.standard_normal(len(beats))
        for beat, strength, delay in zip(beats, strengths, delays, strict=True):
            first = round((beat + t[0]) * clock.rate)
            times = (first + np.arange(len(t))) / clock.rate - beat - delay - peak - late[:, None]
            wave = np.sin(2 * np.pi * times / cycle + 0.8) * np.exp(-((times / width) ** 2) / 2)
            keep = slice(max(-first, 0), min(len(t), clock.n - first))
            total[:-1, first + keep.start : first + keep.stop] += (
                size * share * strength * topography[:, None] * wave[:, keep]
            )
    return total
