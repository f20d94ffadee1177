"""Simulated subjects on a coarse grid, preprocessed once, for the benchmarks that need many people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eeg2fmri.config import Config
from eeg2fmri.datasets import find_recordings
from eeg2fmri.simulation import is_simulated, simulate
from eeg2fmri.store import Store, build_store

COARSE: dict[str, Any] = {
    "simulation.sampling_rate": 125.0,
    "simulation.grid": [24, 24, 12],
    "data.grid": [24, 24, 12],
}


def prepared(config: Config, folder: Path) -> Store:
    """Simulate and preprocess; what `folder` holds already is kept, and refused if it is of other settings."""
    assert config.simulation is not None
    if not is_simulated(folder / "dataset", config.simulation):
        simulate(config.simulation, folder / "dataset")
    return build_store(find_recordings(folder / "dataset")[0], folder / "store", config.data).store
