"""One simulated subject, in memory: the steps from amplitudes to EEG and BOLD.

Symbols: K networks, T volumes, n EEG samples. A subject depends on the seed and on its own number, not on
the number of subjects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eeg2fmri.config import SimulationConfig
from eeg2fmri.simulation import amplitudes, bold, eeg
from eeg2fmri.simulation.anatomy import Anatomy, draw_anatomy
from eeg2fmri.simulation.artefacts import RAW_FACTOR, Artefacts, draw_artefacts
from eeg2fmri.simulation.confounds import Confound, draw_confound
from eeg2fmri.simulation.networks import NETWORKS, Placement, place

LEAD_S, TAIL_S = (3.0, 9.0), (2.0, 5.0)  # EEG before the first volume and after the last one


@dataclass(frozen=True)
class Networks:
    """Activity of the networks of one subject.

    `percent` is each network's peak fluctuation (two standard deviations), `at_eeg` and `at_volumes` the
    EEG amplitudes (K, n) and (K, T) of mean 1, `courses` the BOLD courses (K, T) in % at the peak of
    the map, and `driven` the part of them (K, T) that the EEG amplitudes cause.
    """

    percent: np.ndarray
    at_eeg: np.ndarray
    at_volumes: np.ndarray
    courses: np.ndarray
    driven: np.ndarray


@dataclass(frozen=True)
class Subject:
    """A recording and its truth.

    `onsets` are the samples of the EEG file at which the volumes start; with `artefacts`, that file is
    the raw recording, at RAW_FACTOR times the rate of `clock`, and `eeg_uv` is the EEG without them.
    """

    anatomy: Anatomy
    placements: list[Placement]
    networks: Networks
    noise: bold.Noise
    clock: eeg.Clock
    onsets: np.ndarray  # (T,)
    eeg_uv: np.ndarray  # (channels + 1, n), the last row is the ECG
    rows: list[int]  # of all 63 electrodes and the ECG, those in `eeg_uv`
    beats: np.ndarray  # s from the start of the EEG
    artefacts: Artefacts | None
    volumes: np.ndarray  # (x, y, z, T) int16
    confound: Confound | None

    @property
    def rate(self) -> float:
        """Return Hz of the EEG file."""
        return self.clock.rate * (RAW_FACTOR if self.artefacts else 1)

    @property
    def maps(self) -> np.ndarray:
        """Return network maps (K, x, y, z), each with a maximum of 1."""
        return np.stack([p.map for p in self.placements])


def draw_subject(config: SimulationConfig, index: int) -> Subject:
    """Simulate subject number `index` (from 0)."""
    head, layout, timing, activity, scanner, interference, other = draw_sources(config, index)
    anatomy = draw_anatomy(config.grid, config.tr, head)
    placements = [place(network, anatomy, layout) for network in NETWORKS]
    clock, onsets = draw_clock(config, timing)
    times = config.tr * np.arange(config.volumes)
    networks = draw_networks(config, clock, activity)
    confound = draw_confound(config.confound, anatomy, placements, clock, times, other)
    eeg_uv, beats = eeg.draw_eeg(
        placements,
        networks.at_eeg * confound.rhythms if confound else networks.at_eeg,
        clock,
        eeg.Scanner(config.tr * config.volumes, config.grid[2] / config.tr),
        activity,
        residues=not config.raw,
        heart=confound.heart if confound else 1.0,
        pulse_residue=confound.residue if confound else 1.0,
    )
    artefacts = None
    if config.raw:
        artefacts = draw_artefacts(clock, beats, config.tr, config.volumes, config.grid[2], interference)
    noise = bold.draw_noise(scanner)
    maps, courses = bold.draw_nuisance(anatomy, noise, times, config.tr, scanner)
    maps = np.concatenate([np.stack([p.map for p in placements]), maps])
    courses = np.concatenate([networks.courses, courses])
    if confound:
        eeg_uv[:-1] += confound.eeg_uv
        maps = np.concatenate([maps, confound.map[None]])
        courses = np.concatenate([courses, confound.course[None]])
    volumes = bold.scan(anatomy, noise, maps, courses, scanner)
    kept = [*range(config.channels), len(eeg_uv) - 1]
    return Subject(
        anatomy, placements, networks, noise, clock, onsets, eeg_uv[kept], kept, beats, artefacts, volumes, confound
    )


def draw_networks(config: SimulationConfig, clock: eeg.Clock, rng: np.random.Generator) -> Networks:
    """Draw the amplitudes of every network and the BOLD courses that follow from them.

    The drive of a network is c a + sqrt(1 - c^2) b: c is the coupling, a the standardised amplitude of
    the EEG and b another amplitude of the same statistics that never enters the EEG.
    """
    seconds = clock.times()[-1]
    slow_times = amplitudes.clock(seconds)
    volume_times = config.tr * np.arange(config.volumes)
    percent, at_eeg, at_volumes, courses, driven = [], [], [], [], []
    for network in NETWORKS:
        seen, unseen = (amplitudes.draw_amplitude(len(slow_times), rng) for _ in range(2))
        latency, size = amplitudes.draw_latency(rng), rng.uniform(*bold.FLUCTUATION_PERCENT)
        ours, other = (
            share * amplitudes.respond(amplitudes.standardise(a), latency, volume_times)
            for share, a in ((config.coupling, seen), (np.sqrt(1 - config.coupling**2), unseen))
        )
        scale = network.sign * size / 2 / (ours + other).std()
        percent.append(size)
        at_eeg.append(np.interp(clock.times(), slow_times, seen))
        at_volumes.append(np.interp(volume_times, slow_times, seen))
        courses.append(scale * (ours + other - (ours + other).mean()))
        driven.append(scale * (ours - ours.mean()))
    return Networks(*(np.array(a) for a in (percent, at_eeg, at_volumes, courses, driven)))


def draw_sources(config: SimulationConfig, index: int) -> list[np.random.Generator]:
    """Return the seven sources of random numbers of subject number `index`, in the order of `draw_subject`."""
    seeds = np.random.SeedSequence(config.seed, spawn_key=(index,)).spawn(7)
    return [np.random.default_rng(seed) for seed in seeds]


def draw_clock(config: SimulationConfig, rng: np.random.Generator) -> tuple[eeg.Clock, np.ndarray]:
    """Draw the EEG's clock, and the samples of its file nearest to the onsets of the volumes."""
    start = round(rng.uniform(*LEAD_S) * config.sampling_rate)
    tail = round(rng.uniform(*TAIL_S) * config.sampling_rate)
    edges = start + np.rint(config.tr * config.sampling_rate * np.arange(config.volumes + 1)).astype(int)
    clock = eeg.Clock(config.sampling_rate, start, int(edges[-1]) + tail)
    if not config.raw:
        return clock, edges[:-1]
    spacing = config.tr * config.sampling_rate * RAW_FACTOR
    return clock, start * RAW_FACTOR + np.rint(spacing * np.arange(config.volumes)).astype(int)
