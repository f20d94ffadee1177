"""What the simulator plants is what relevance finds: the occipital alpha network, by channel, frequency and lag.

Six networks are coupled, and the rhythm of the sensorimotor one lies beside alpha; so the BOLD that is explained is
that of the occipital network. At this size, over the seeds 0 to 4, an occipital channel, the occipital region, a band
of alpha and the lag rank first in all five. The second band is of alpha too in two, and its neighbour in three. The
best single channel is above the threshold in four, region, frequency and lag in all. Seed 0 is the default.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

import eeg2fmri
from eeg2fmri.config import load_config
from eeg2fmri.evaluation import Relevance
from eeg2fmri.simulation.networks import NETWORKS

GRID = (12, 14, 9)
SETTINGS = {
    "simulation": {"subjects": 8, "volumes": 300, "channels": 20, "grid": GRID, "sampling_rate": 100},
    "data": {"frequencies": 60, "grid": GRID},
    "split": {"validation": 1, "test": 2},
    "models": [{"family": "linear", "components": 16}],
    "explanation": {"windows": 400},
}
OCCIPITAL = {"O1", "O2", "Oz"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Relevance:
    config = load_config(None, SETTINGS)
    root = eeg2fmri.simulate(config.simulation, tmp_path_factory.mktemp("planted") / "bids")
    store = eeg2fmri.preprocess(root, root.parent / "store", config)
    model = eeg2fmri.fit(store, config)
    return eeg2fmri.explain(model, store, config=config, mask=planted(root, store.subjects[-2:]) > 0.5)


def planted(root: Path, subjects: list[str]) -> np.ndarray:
    """Map of the occipital network, the mean over subjects."""
    number = [network.name for network in NETWORKS].index("visual")
    base = root / "derivatives/simulation"
    files = [base / subject / f"func/{subject}_task-rest_desc-networks_probseg.nii.gz" for subject in subjects]
    return np.mean([nibabel.load(path).get_fdata()[..., number] for path in files], axis=0)


@pytest.mark.slow
def test_the_planted_channels_rank_first(found):
    assert found.channels.ranked()[0] in OCCIPITAL
    assert found.regions.ranked()[0] == "occipital"
    assert max(found.channels.loss) > found.channels.threshold
    assert max(found.regions.loss) > found.regions.threshold


@pytest.mark.slow
def test_the_planted_frequency_ranks_first(found):
    assert found.frequencies.ranked()[0] in {"8-10 Hz", "10-12 Hz"}
    assert max(found.frequencies.loss) > found.frequencies.threshold


@pytest.mark.slow
def test_the_lag_of_the_planted_response_ranks_first(found):
    assert 3 < float(found.lags.ranked()[0].removesuffix(" s")) < 8  # its peak lies near 5 s
    assert max(found.lags.loss) > found.lags.threshold
