"""Confounds: what couples EEG and BOLD apart from the brain's rhythms: the pulse, head motion or a task.

With `simulation.coupling` 0 it is all that they share. Symbols: T volumes, n EEG samples, K networks; arrays
of the EEG lie on its clock.

References
----------
Chang, Cunningham & Glover 2009, NeuroImage 44:857: BOLD's response to the heart.
Debener et al. 2008, Int. J. Psychophysiol. 67:189: residual pulse artefacts of tens of uV.
Fellner et al. 2016, NeuroImage 127:1: head motion in the scanner makes EEG power and BOLD correlate.
Friston et al. 1996, Magn. Reson. Med. 35:346; Power et al. 2012, NeuroImage 59:2142: motion in BOLD,
framewise displacement.
Pfurtscheller & Lopes da Silva 1999, Clin. Neurophysiol. 110:1842: rhythms fall by half in a task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eeg2fmri.simulation import amplitudes
from eeg2fmri.simulation.amplitudes import relaxation
from eeg2fmri.simulation.anatomy import Anatomy, smooth_field
from eeg2fmri.simulation.eeg import Clock
from eeg2fmri.simulation.forward import CHANNELS
from eeg2fmri.simulation.networks import NETWORKS, Placement

PERCENT = 0.7  # standard deviation in BOLD: over the brain, or at the peak of the task's network
PULSE_RESIDUE = 4.0  # times what careful correction leaves: 20 uV
NODS_PER_MINUTE, NOD_MM, NOD_LOG_SD, NOD_S = 1.5, 0.5, 0.5, 5.0  # the head returns slowly
NOD_UV, NOD_MEMORY_S = 20.0, 0.05  # EEG artefact of a head NOD_MM away, below 10 Hz
STILL_MM = 0.02  # wander of the other directions
RADIUS_MM = 50.0  # turns rotations into mm (Power et al. 2012)
BLOCK_S, PAUSE_S = 20.0, (12.0, 30.0)
TASK, TASK_NETWORK, TASK_DROP = "checkerboard", "visual", 0.5
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


@dataclass(frozen=True)
class Confound:
    """A confound of one subject: what it does to BOLD and EEG, and what a lab would have of it.

    map: (x, y, z) in %.  course: (T,) of variance 1.  heart: factor on each beat of the ECG, (n,).
    residue: factor on the residual pulse artefact, (n,).  rhythms: factor on the amplitudes, (K, n).
    eeg_uv: added to the electrodes, (63, n).  motion: (T, 6) mm and radians, columns MOTION.
    blocks: onsets of a task in s after the first volume, each of BLOCK_S.
    """

    map: np.ndarray
    course: np.ndarray
    heart: np.ndarray | float = 1.0
    residue: np.ndarray | float = 1.0
    rhythms: np.ndarray | float = 1.0
    eeg_uv: np.ndarray | float = 0.0
    motion: np.ndarray | None = None
    blocks: np.ndarray | None = None


def draw_confound(
    kind: str,
    anatomy: Anatomy,
    placements: list[Placement],
    clock: Clock,
    times_s: np.ndarray,
    rng: np.random.Generator,
) -> Confound | None:
    """Draw a confound: ``pulse``, ``motion`` or ``task``; nothing for ``none``.

    Parameters
    ----------
    times_s : (T,) onsets of the volumes.
    """
    draws: dict[str, Callable[[], Confound | None]] = {
        "none": lambda: None,
        "pulse": lambda: _pulse(anatomy, clock, times_s, rng),
        "motion": lambda: _motion(anatomy, clock, times_s, rng),
        "task": lambda: _task(placements, clock, times_s, rng),
    }
    return draws[kind]()


def framewise_displacement(motion: np.ndarray) -> np.ndarray:
    """Sum of all changes since the volume before, (T - 1,) in mm (Power et al. 2012)."""
    return np.abs(np.diff(motion, axis=0)) @ np.array([1, 1, 1, RADIUS_MM, RADIUS_MM, RADIUS_MM])


def _pulse(anatomy: Anatomy, clock: Clock, times_s: np.ndarray, rng: np.random.Generator) -> Confound:
    """Return a pulse whose strength drifts, in the ECG, the EEG and, by the cardiac response, BOLD."""
    slow = amplitudes.clock(clock.times()[-1])
    strength = np.sqrt(amplitudes.draw_amplitude(len(slow), rng))  # varies by a fifth
    t = np.arange(0, amplitudes.HRF_S, amplitudes.STEP_S)
    response = 0.6 * t**2.7 * np.exp(-t / 1.6) - 16 * np.exp(-((t - 12) ** 2) / 18) / np.sqrt(18 * np.pi)
    course = amplitudes.convolve(strength - strength.mean(), response, times_s)
    at_eeg = np.interp(clock.times(), slow, strength)
    weight = 0.3 + anatomy.grey + anatomy.fluid
    return Confound(_over_brain(weight, anatomy), _standard(course), heart=at_eeg, residue=PULSE_RESIDUE * at_eeg)


def _motion(anatomy: Anatomy, clock: Clock, times_s: np.ndarray, rng: np.random.Generator) -> Confound:
    """Return nods of the head: an artefact in the EEG and a change of BOLD as long as the head is away."""
    t = clock.times()
    starts = rng.uniform(t[0], t[-1], max(2, rng.poisson(NODS_PER_MINUTE * (t[-1] - t[0]) / 60)))
    sizes = NOD_MM * np.exp(NOD_LOG_SD * rng.standard_normal(len(starts)))

    def away_mm(at: np.ndarray) -> np.ndarray:
        since = at - starts[:, None]
        return sizes @ np.where(since >= 0, np.exp(-np.maximum(since, 0) / NOD_S), 0)

    trembling = relaxation(clock.n, NOD_MEMORY_S * clock.rate, rng)
    artefact = np.outer(rng.standard_normal(len(CHANNELS)), NOD_UV / NOD_MM * away_mm(t) * trembling)
    away = away_mm(times_s)
    motion = np.stack([STILL_MM * relaxation(len(times_s), 20.0, rng) for _ in MOTION], axis=1)
    motion[:, 3:] /= RADIUS_MM
    motion[:, 2] += away
    motion[:, 3] += away / RADIUS_MM
    weight = 0.5 + smooth_field(anatomy.mask.shape, 1.0, rng)
    return Confound(_over_brain(weight, anatomy), _standard(away), eeg_uv=artefact, motion=motion)


def _task(placements: list[Placement], clock: Clock, times_s: np.ndarray, rng: np.random.Generator) -> Confound:
    """Return blocks that lower a rhythm and raise the BOLD of its network."""
    pauses = BLOCK_S + rng.uniform(*PAUSE_S, int(times_s[-1] / BLOCK_S) + 1)
    blocks = np.cumsum(pauses) - pauses[0] + PAUSE_S[0]
    blocks = blocks[blocks < times_s[-1]]
    network = [n.name for n in NETWORKS].index(TASK_NETWORK)
    rhythms = np.ones((len(NETWORKS), clock.n))
    rhythms[network] -= TASK_DROP * _boxes(blocks, clock.times())
    course = amplitudes.respond(_boxes(blocks, amplitudes.clock(clock.times()[-1])), 0.0, times_s)
    return Confound(PERCENT * placements[network].map, _standard(course), rhythms=rhythms, blocks=blocks)


def _boxes(blocks: np.ndarray, times: np.ndarray) -> np.ndarray:
    since = times - blocks[:, None]
    return ((since >= 0) & (since < BLOCK_S)).any(axis=0).astype(float)


def _over_brain(weight: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    """Return the weights, of root mean square PERCENT over the brain."""
    return (weight * (PERCENT / np.sqrt((weight[anatomy.mask] ** 2).mean()))).astype("float32")


def _standard(course: np.ndarray) -> np.ndarray:
    return (course - course.mean()) / (course.std() or 1.0)
