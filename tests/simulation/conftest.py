from pathlib import Path

import pytest

from eeg2fmri.config import SimulationConfig
from eeg2fmri.simulation import simulate

TINY = SimulationConfig(subjects=2, volumes=24, grid=(9, 8, 7), channels=12, coupling=0.8, seed=3)


@pytest.fixture(scope="session")
def tiny() -> SimulationConfig:
    return TINY


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(TINY, tmp_path_factory.mktemp("simulated") / "bids")
