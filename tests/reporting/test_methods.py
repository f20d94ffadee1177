"""The methods paragraph: every number in it is one of the configuration or of the data, for each family."""

from __future__ import annotations

import re

import numpy as np
import pytest

from eeg2fmri.config import Config, DataConfig, EvaluationConfig
from eeg2fmri.evaluation import FDR_LEVEL
from eeg2fmri.reporting import methods
from eeg2fmri.reporting.references import REFERENCES, cited
from eeg2fmri.scoring import RESAMPLES
from tests.mlflow_store import memory_store

FREQUENCIES = np.arange(1, 40, 1.0)
# Values that are equal to no default, and to no other one here.
MODELS = [
    {"family": "mean"},
    {"family": "linear", "components": 17, "drift_cutoff": 91, "penalties": [0.7, 71], "refit": True,
     "bands": {"low": [2.5, 7.5], "high": [7.5, 33]}},
    {"family": "factorised", "components": 19, "drift_cutoff": 93, "sources": 11, "hidden": 29, "dropout": 0.37,
     "penalties": [0.9, 97], "bands": {"low": [2.5, 7.5], "high": [7.5, 33]},
     "training": {"epochs": 43, "learning_rate": 0.0047, "patience": 53}},
    {"family": "calhas2022", "variant": "tafp", "latent": [3, 59, 61], "filters": 67, "dropout": 0.73,
     "weight_decay": 0.0079, "training": {"epochs": 83, "batch_size": 89, "learning_rate": 0.00101, "patience": 103,
     "schedule": "cosine", "final_share": 0.107, "warmup_epochs": 109, "global_clipnorm": 113}},
    {"family": "calhas2022", "variant": "lp", "decoder": "pca", "components": 127, "eeg_scaling": "training"},
]  # fmt: skip


def numbers(text: str) -> set[float]:
    """Numbers of a text, without those of the works that it cites and of names."""
    for words in (*REFERENCES, "r2_temporal", "calhas2022", "eeg2fmri"):
        text = text.replace(words, "")
    return {float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


def values(tree) -> set[float]:
    """Every number in settings, and how many things a list or mapping has."""
    if isinstance(tree, bool) or tree is None:
        return set()
    if isinstance(tree, (int, float)):
        return {float(f"{tree:g}")}
    if isinstance(tree, (list, tuple)):
        return {float(len(tree))}.union(*map(values, tree))
    if isinstance(tree, dict):
        return {float(len(tree))}.union(*map(values, tree.values()))
    return set()


def leaves(tree) -> set[float]:
    """Every number in settings."""
    if isinstance(tree, (list, dict)):
        return set().union(*map(leaves, tree.values() if isinstance(tree, dict) else tree))
    return set() if isinstance(tree, (bool, str)) else {float(tree)}


@pytest.mark.parametrize("tree", MODELS, ids=lambda tree: "-".join(map(str, [*tree.values()][:2])))
def test_numbers_of_a_model_are_settings(tree):
    (config,) = Config.model_validate({"models": [tree]}).models
    text = methods.model_methods(config, FREQUENCIES)
    assert numbers(text) <= values(config.model_dump(mode="json"))
    assert numbers(text) >= leaves(tree)  # none that was set here is forgotten


def test_a_band_without_a_bin_is_not_named():
    (config,) = Config.model_validate({"models": [{"family": "linear"}]}).models
    assert "4 bands: delta 0.1–4 Hz" in methods.model_methods(config, np.arange(1, 29.0))
    assert "gamma" not in methods.model_methods(config, np.arange(1, 29.0))


def test_numbers_of_the_evaluation_are_settings():
    config = EvaluationConfig(permutations=1234, drift_cutoff=77)
    text = methods.score_methods(config, 9, ["model", "swapped", "task"], interval=True, voxels=True)
    assert numbers(text) == {1234, 77, 9, RESAMPLES, 95, FDR_LEVEL}
    assert "Baselines were the model given the EEG of other subjects and task regressors." in text
    without = methods.score_methods(config, 9, ["model"], interval=False, voxels=False)
    assert numbers(without) == {1234, 77, 9}
    assert "Baselines" not in without


def test_numbers_of_the_data_are_of_the_store():
    store = memory_store()
    settings = {"dropped_volumes": 37, "regrid": "dct", "grid": (8, 7, 5), "iqr": True, "cleaning":
                {"gradient": True, "template": 41, "pulse": True, "pulse_components": 43, "sampling_rate": 47,
                 "average_reference": True}}  # fmt: skip
    config = DataConfig.model_validate({**store.settings, **settings})
    signal = store.signal
    text = methods.data_methods(config.model_dump(mode="json"), store.recordings)
    frequencies = {float(f"{signal.frequencies[place]:.3g}") for place in (0, -1)}
    counts = {
        6,
        7,
        len(signal.channels),
        len(signal.frequencies),
        signal.tr,
        config.context,
        config.context * signal.tr,
    }
    assert numbers(text) == {37, 41, 43, 47, 1.5, *signal.grid, *counts, *frequencies}
    assert [work for work, _ in cited(text)] == [REFERENCES[k][0] for k in ("Allen et al. 2000", "Niazy et al. 2005")]


def test_a_family_of_another_package_lists_its_settings():
    class Mine(type(Config.model_validate({"models": [{"family": "mean"}]}).models[0]).__mro__[1]):
        variant: str = "mine"
        depth: int = 3

    text = methods.model_methods.dispatch(object)(Mine(family="lab:MINE"), FREQUENCIES)
    assert text == "The model mine was of the family lab:MINE (depth = 3)."
