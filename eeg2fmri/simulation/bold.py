"""BOLD volumes: networks, drift, physiological and thermal noise on a head's mean image.

Physiological noise is everything that moves BOLD without thermal noise, drift and the networks that the
EEG shows (Krueger & Glover 2001): activity of regions that no rhythm shows, slow fluctuations of the
whole brain, and the cycles of breathing and heart. `experiments/benchmarks/realism.py` compares the sum
with real scans.

Symbols: K components, each a map (x, y, z) in % of the local mean and a course (n_volumes,).

References
----------
Damoiseaux et al. 2006, PNAS 103:13848: resting networks fluctuate by up to 3 % of the mean.
Triantafyllou et al. 2005, NeuroImage 26:243; Murphy et al. 2007, NeuroImage 34:565: temporal SNR of 3 T
EPI with voxels of 3-4 mm; at 3 T and 3 mm physiological noise is about 0.9 of thermal noise.
Smith et al. 1999, NeuroImage 9:526: slow scanner drift of about a per cent.
Krueger & Glover 2001, Magn. Reson. Med. 46:631: physiological noise holds BOLD-like fluctuations.
Bianciardi et al. 2009, Magn. Reson. Imaging 27:1019: of grey matter's signal at rest (visual cortex, 7 T),
spontaneous activity makes 2.9 %, the rates of breathing and heart 0.9 % each, their cycles 0.6 %.
Birn et al. 2006, NeuroImage 31:1536; Wise et al. 2004, NeuroImage 21:1652: slow breathing and CO2 effects.
Schoelvinck et al. 2010, PNAS 107:10238; Power et al. 2017, NeuroImage 146:609: fluctuations of the whole
brain, neural and respiratory, whose size differs much between people.
Tong & Frederick 2010, NeuroImage 53:553: systemic oscillations between 0.01 and 0.15 Hz.
Dosenbach et al. 2010, Science 329:1358: regions and their networks.
Glover et al. 2000, Magn. Reson. Med. 44:162: cardiac and respiratory noise, aliased by the TR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eeg2fmri.simulation import amplitudes
from eeg2fmri.simulation.amplitudes import relaxation
from eeg2fmri.simulation.anatomy import Anatomy, smooth_field
from eeg2fmri.simulation.networks import region_maps

FLUCTUATION_PERCENT = (1.0, 3.0)  # two standard deviations at a network's peak (Damoiseaux et al. 2006)
TEMPORAL_SNR = (40.0, 100.0)  # mean over standard deviation of thermal and physiological noise
PHYSIOLOGICAL_RATIO = (0.7, 1.1)  # physiological over thermal noise (Triantafyllou et al. 2005: 0.9)
DRIFT_PERCENT = 0.5  # standard deviation over a run (Smith et al. 1999)
# Shares of physiological variance. Of each cycle: 0.6^2 in 2.9^2 + 2 x 0.9^2 + 0.6^2 (Bianciardi et al. 2009), halved.
CYCLE_SHARE = 0.02
# Of the whole brain, by subject: breathing and heart rate alone make 2 x 0.9^2 there, a share of 0.16; common
# neural activity comes on top (Schoelvinck et al. 2010). Set so that regions correlate as in real scans.
WHOLE_BRAIN_SHARE = (0.25, 0.7)
# The rest is activity of the regions, half of it common to a network: the spread of correlations in real scans.
WITHIN_NETWORK_SHARE = 0.5
RESPIRATION_HZ, CARDIAC_HZ = (0.25, 0.03), (1.1, 0.1)  # mean and spread between subjects
# A corner at 1 / (2 pi 4 s) = 0.04 Hz, between slow breathing at 0.03 Hz (Birn et al. 2006) and Mayer waves at
# 0.1 Hz; fluctuations reach from 0.01 to 0.15 Hz (Tong & Frederick 2010).
SLOW_TIME_CONSTANT_S = 4.0


@dataclass(frozen=True)
class Noise:
    """Noise of one subject: temporal SNR, ratio of physiological to thermal deviation, whole-brain share."""

    tsnr: float
    ratio: float
    whole_brain: float

    @property
    def thermal(self) -> float:
        """Return the thermal standard deviation relative to the median brain intensity."""
        return 1 / (self.tsnr * np.hypot(1, self.ratio))

    @property
    def physiological_percent(self) -> float:
        """Return the physiological standard deviation in % of the local mean, over the brain."""
        return 100 * self.ratio * self.thermal


def draw_noise(rng: np.random.Generator) -> Noise:
    """Return noise levels of one subject."""
    return Noise(*(float(rng.uniform(*range_)) for range_ in (TEMPORAL_SNR, PHYSIOLOGICAL_RATIO, WHOLE_BRAIN_SHARE)))


def draw_nuisance(
    anatomy: Anatomy, noise: Noise, times_s: np.ndarray, tr_s: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw drift and physiological noise: maps (K, x, y, z) in % and courses (K, n_volumes).

    Heart and breathing of the BOLD signal are independent of those of the EEG recording, so that
    ECG and artefacts cannot predict BOLD.
    """
    maps, courses = _drift(anatomy, len(times_s), rng)

    def scaled(weight: np.ndarray, share: float) -> np.ndarray:
        """Return weights (..., x, y, z) whose sum of squares is that share of physiological variance over the brain."""
        rms = np.sqrt((weight[..., anatomy.mask] ** 2).sum() / anatomy.mask.sum())
        return weight * (noise.physiological_percent * np.sqrt(share) / rms)

    regions, activity = _unseen_activity(anatomy, times_s, rng)
    maps += list(scaled(regions, 1 - noise.whole_brain - 2 * CYCLE_SHARE))
    courses += list(activity)
    maps.append(scaled(0.3 + anatomy.grey, noise.whole_brain))
    courses.append(relaxation(len(times_s), SLOW_TIME_CONSTANT_S / tr_s, rng))
    weights = {
        "respiratory": scaled(np.exp(smooth_field(anatomy.mask.shape, 0.5, rng)), CYCLE_SHARE),
        "cardiac": scaled(0.2 + anatomy.fluid, CYCLE_SHARE),
    }
    for name, (mean, spread) in (("respiratory", RESPIRATION_HZ), ("cardiac", CARDIAC_HZ)):
        hz = mean + spread * np.clip(rng.standard_normal(), -2, 2)
        wander = 0.1 * mean * relaxation(len(times_s), 10 / tr_s, rng)
        phase = 2 * np.pi * (rng.uniform() + hz * times_s + np.cumsum(wander) * tr_s)
        # A slice acquired later in the volume sees a later phase.
        n_slices = anatomy.mask.shape[2]
        slice_phase = 2 * np.pi * hz * slice_times(n_slices, tr_s)
        maps += [weights[name] * np.cos(slice_phase), -weights[name] * np.sin(slice_phase)]
        courses += [np.sqrt(2) * np.cos(phase), np.sqrt(2) * np.sin(phase)]
    return np.stack(maps).astype("float32"), np.stack(courses)


def _unseen_activity(anatomy: Anatomy, times_s: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return activity of all published regions that the EEG does not show: maps (160, x, y, z), courses (160, n).

    A course is of variance 1 in expectation. Its drive has the statistics of a rhythm's amplitude.
    """
    maps, networks = region_maps(anatomy)
    n = len(amplitudes.clock(times_s[-1]))

    def course() -> np.ndarray:
        drive = amplitudes.standardise(amplitudes.draw_amplitude(n, rng))
        response = amplitudes.respond(drive, amplitudes.draw_latency(rng), times_s)
        return (response - response.mean()) / response.std()

    shared = {network: np.sqrt(WITHIN_NETWORK_SHARE) * course() for network in sorted(set(networks))}
    return maps, np.stack([shared[network] + np.sqrt(1 - WITHIN_NETWORK_SHARE) * course() for network in networks])


def slice_times(n_slices: int, tr_s: float) -> np.ndarray:
    """Return the seconds after the volume's onset of each slice, interleaved: even slices first."""
    order = np.concatenate([np.arange(0, n_slices, 2), np.arange(1, n_slices, 2)])
    times = np.empty(n_slices)
    times[order] = np.arange(n_slices) * tr_s / n_slices
    return times


def _drift(anatomy: Anatomy, n: int, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draw a trend and two slow waves, each with a map of its own, of DRIFT_PERCENT together."""
    position = np.linspace(-1, 1, n)
    waves = [position, np.cos(np.pi * position), np.sin(1.5 * np.pi * position)]
    maps, courses = [], []
    for wave in waves:
        field = rng.standard_normal() + smooth_field(anatomy.mask.shape, 0.5, rng)
        maps.append(field * (DRIFT_PERCENT / np.sqrt(len(waves))))
        courses.append((wave - wave.mean()) / wave.std())
    return maps, courses


def scan(anatomy: Anatomy, noise: Noise, maps: np.ndarray, courses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compute magnitude images as the scanner stores them.

    Parameters
    ----------
    maps : (K, x, y, z) in % of the local mean.
    courses : (K, n_volumes).

    Returns
    -------
    int16 array (x, y, z, n_volumes), contiguous in Fortran order as in a NIfTI file.
    """
    grid, n_volumes = anatomy.mask.shape, courses.shape[1]
    baseline = anatomy.baseline.ravel(order="F")
    flat = np.stack([m.ravel(order="F") for m in maps]).astype("float32")
    sd = np.float32(noise.thermal * np.median(anatomy.baseline[anatomy.mask]))
    images = np.empty((n_volumes, baseline.size), dtype="int16")
    for volume, weights in enumerate(courses.T.astype("float32")):
        signal = baseline * (1 + (weights @ flat) / 100)
        real, imaginary = rng.standard_normal((2, baseline.size), dtype="float32") * sd
        np.clip(np.rint(np.hypot(signal + real, imaginary)), 0, 32767, out=signal)
        images[volume] = signal
    return images.reshape((n_volumes, *grid[::-1])).T
