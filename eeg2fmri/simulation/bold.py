"""BOLD volumes: networks, drift, physiological and thermal noise on a head's mean image.

Symbols: K components, each a map (x, y, z) in % of the local mean and a course (n_volumes,).

References
----------
Damoiseaux et al. 2006, PNAS 103:13848: resting networks fluctuate by up to 3 % of the mean.
Triantafyllou et al. 2005, NeuroImage 26:243; Murphy et al. 2007, NeuroImage 34:565: temporal SNR of 3 T
EPI with voxels of 3-4 mm; at 3 T and 3 mm physiological noise is about 0.9 of thermal noise.
Smith et al. 1999, NeuroImage 9:526: slow scanner drift of about a per cent.
Birn et al. 2006, NeuroImage 31:1536; Wise et al. 2004, NeuroImage 21:1652: slow breathing and CO2 effects.
Glover et al. 2000, Magn. Reson. Med. 44:162: cardiac and respiratory noise, aliased by the TR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eeg2fmri.simulation.amplitudes import relaxation
from eeg2fmri.simulation.anatomy import Anatomy, smooth_field

FLUCTUATION_PERCENT = (1.0, 3.0)  # two standard deviations at a network's peak (Damoiseaux et al. 2006)
TEMPORAL_SNR = (40.0, 100.0)  # mean over standard deviation of thermal and physiological noise
PHYSIOLOGICAL_RATIO = (0.7, 1.1)  # physiological over thermal noise (Triantafyllou et al. 2005: 0.9)
DRIFT_PERCENT = 0.5  # standard deviation over a run (Smith et al. 1999)
SHARES = {"slow": 0.4, "respiratory": 0.3, "cardiac": 0.3}  # of physiological variance
RESPIRATION_HZ, CARDIAC_HZ = (0.25, 0.03), (1.1, 0.1)  # mean and spread between subjects
SLOW_TIME_CONSTANT_S = 12.0  # breathing depth and CO2 fluctuate below 0.05 Hz (Wise et al. 2004)


@dataclass(frozen=True)
class Noise:
    """Noise of one subject: temporal SNR, and the ratio of physiological to thermal deviation."""

    tsnr: float
    ratio: float

    @property
    def thermal(self) -> float:
        """Return the thermal standard deviation relative to the median brain intensity."""
        return 1 / (self.tsnr * np.hypot(1, self.ratio))

    @property
    def physiological_percent(self) -> float:
        """Return the physiological standard deviation in % of the local mean, over the brain."""
        return 100 * self.ratio * self.thermal


def draw_noise(rng: np.random.Generator) -> Noise:
    """Draw the noise levels of one subject."""
    return Noise(float(rng.uniform(*TEMPORAL_SNR)), float(rng.uniform(*PHYSIOLOGICAL_RATIO)))


def draw_nuisance(
    anatomy: Anatomy, noise: Noise, times_s: np.ndarray, tr_s: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw drift and physiological noise: maps (K, x, y, z) in % and courses (K, n_volumes).

    Heart and breathing of the BOLD signal are independent of those of the EEG recording, so that
    ECG and artefacts cannot predict BOLD.
    """
    maps, courses = _drift(anatomy, len(times_s), rng)
    weights = {
        "slow": 0.3 + anatomy.grey,
        "respiratory": np.exp(smooth_field(anatomy.mask.shape, 0.5, rng)),
        "cardiac": 0.2 + anatomy.fluid,
    }
    for name, weight in weights.items():
        rms = np.sqrt((weight[anatomy.mask] ** 2).mean())
        weights[name] = weight * (noise.physiological_percent * np.sqrt(SHARES[name]) / rms)
    maps.append(weights["slow"])
    courses.append(relaxation(len(times_s), SLOW_TIME_CONSTANT_S / tr_s, rng))
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
