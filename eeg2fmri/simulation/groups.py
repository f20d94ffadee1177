"""Labelled subjects: EEG only, recorded outside the scanner, with a label that follows the rhythm of one network.

Cases and controls differ in the amplitude of that rhythm only: its mean, its slow fluctuation, or both. Everything else
differs between subjects as in simultaneous recordings. There is no residue of the scanner's artefacts and no marker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eeg2fmri.config import GroupsConfig, SimulationConfig
from eeg2fmri.simulation import eeg
from eeg2fmri.simulation.amplitudes import LOG_SD
from eeg2fmri.simulation.anatomy import draw_anatomy
from eeg2fmri.simulation.networks import NETWORKS, place
from eeg2fmri.simulation.subject import draw_clock, draw_networks, draw_sources

CONTROL, CASE = "control", "case"


@dataclass(frozen=True)
class EegSubject:
    """A recording of EEG without BOLD. amplitudes: (K, T) of mean 1 in controls, one for each TR of the recording."""

    group: str
    clock: eeg.Clock
    eeg_uv: np.ndarray  # (channels + 1, n), the last row is the ECG
    amplitudes: np.ndarray
    onsets: np.ndarray  # no volume marker
    artefacts: None = None

    @property
    def rate(self) -> float:
        """Return Hz of the EEG file."""
        return self.clock.rate


def group_of(index: int) -> str:
    """Return the group of subject number `index` (from 0)."""
    return CASE if index % 2 else CONTROL


def draw_labelled(config: SimulationConfig, index: int) -> EegSubject:
    """Simulate the EEG of subject number `index` (from 0); its length is that of a run of `config.volumes`."""
    assert config.groups is not None
    head, layout, timing, activity, *_ = draw_sources(config, index)
    anatomy = draw_anatomy(config.grid, config.tr, head)
    placements = [place(network, anatomy, layout) for network in NETWORKS]
    clock, _ = draw_clock(config, timing)
    networks = draw_networks(config, clock, activity)
    at_eeg, at_volumes = networks.at_eeg.copy(), networks.at_volumes.copy()
    if group_of(index) == CASE:
        changed = [network.name for network in NETWORKS].index(config.groups.network)
        for amplitudes in (at_eeg, at_volumes):
            amplitudes[changed] = of_case(amplitudes[changed], config.groups)
    scanner = eeg.Scanner(config.tr * config.volumes, config.grid[2] / config.tr)
    eeg_uv, _ = eeg.draw_eeg(placements, at_eeg, clock, scanner, activity, residues=False)
    kept = [*range(config.channels), len(eeg_uv) - 1]
    return EegSubject(group_of(index), clock, eeg_uv[kept], at_volumes, np.empty(0))


def of_case(amplitude: np.ndarray, groups: GroupsConfig) -> np.ndarray:
    """Return the amplitude (n,) of a control as a case has it: log-normal too, of mean `size`."""
    factor = groups.variability
    return groups.size * amplitude**factor * np.exp(factor * (1 - factor) * LOG_SD**2 / 2)
