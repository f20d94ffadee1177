"""A bundle of each family on tiny shapes, as objects and as folders."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from eeg2fmri.config import DataConfig, LinearConfig, MeanConfig
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.models.fitted import FittedModel, KerasNetwork
from eeg2fmri.serving import Bundle, save_bundle
from eeg2fmri.store import Windows
from tests.fakes import CHANNELS, CONTEXT, EEG_SHAPE, GRID, SAMPLING_RATE, SIGNAL, TR, deep_config, recording

FAMILIES = ("deep", "linear", "mean")


def make_bundle(family: str) -> Bundle:
    train = Windows([recording(f"sub-0{n}", n) for n in (1, 2, 3)], CONTEXT)
    configs = {"linear": LinearConfig(components=5), "mean": MeanConfig()}
    if family in configs:
        validation = Windows([recording("sub-04", 4)], CONTEXT)
        model = fit(configs[family], train, validation, FitSettings()).model
    else:
        mean = train.mean_volume("recording")
        network = KerasNetwork(build(deep_config(), EEG_SHAPE, GRID, seed=3, mean_volume=mean).synthesiser())
        model = FittedModel(deep_config(), network, train.eeg_statistics(), train.bold_statistics(), mean)
    settings = DataConfig(context=CONTEXT, channel_types=("eeg", "ecg")).model_dump(mode="json")
    return Bundle(model, SIGNAL, settings, {"data_digest": "abc", "subjects": ["sub-01", "sub-02", "sub-03"]})


@pytest.fixture(scope="session")
def bundles() -> dict[str, Bundle]:
    return {family: make_bundle(family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def bundle(request: pytest.FixtureRequest, bundles: dict[str, Bundle]) -> Bundle:
    return bundles[request.param]


@pytest.fixture
def other_scalings(bundles: dict[str, Bundle]) -> Bundle:
    """The deep bundle with every scaling that is not the default one."""
    deep = bundles["deep"]
    config = deep.model.config.model_copy(update={"eeg_scaling": "training", "bold_scaling": "voxel"})
    return dataclasses.replace(deep, model=dataclasses.replace(deep.model, config=config))


@pytest.fixture(scope="session")
def folders(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = {}
    for family, bundle in bundles.items():
        paths[family] = tmp_path_factory.mktemp(family)
        save_bundle(paths[family], bundle)
    return paths


@pytest.fixture
def windows(rng: np.random.Generator) -> np.ndarray:
    """Two valid windows."""
    return rng.gamma(2, 1, (2, *EEG_SHAPE)).astype(np.float32)


@pytest.fixture
def eeg(rng: np.random.Generator) -> np.ndarray:
    """5.4 TRs of raw EEG: three volumes can be synthesised."""
    return rng.normal(0, 20, (len(CHANNELS), round(5.4 * TR * SAMPLING_RATE))).astype(np.float32)


@pytest.fixture(scope="session")
def bundle_of_mean(bundles: dict[str, Bundle]) -> Bundle:
    """The cheapest bundle, for tests with many requests."""
    return bundles["mean"]
