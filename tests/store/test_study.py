"""What a study is called."""

from __future__ import annotations

import mlflow
import pytest

from eeg2fmri.config import Config, SimulationConfig
from eeg2fmri.errors import DatasetError, StoreError
from eeg2fmri.simulation import is_simulation, simulate
from eeg2fmri.store import dataset_name, named, with_names
from tests.mlflow_store import use_tracking


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("my-study", "my-study"),
        ("EEG_fMRI.v2", "EEG_fMRI.v2"),
        ("my study (2026)", "my-study-2026"),
        ("Müller's @3T: pilot", "Müller-s-3T-pilot"),
        (".hidden", "hidden"),
    ],
)
def test_a_data_set_is_called_by_its_folder(tmp_path, monkeypatch, folder, name):
    root = tmp_path / folder
    (root / "sub-01").mkdir(parents=True)
    assert dataset_name(root) == dataset_name(root / "sub-01" / "..") == name
    monkeypatch.chdir(root)
    assert dataset_name(type(root)(".")) == name
    use_tracking(tmp_path, monkeypatch)
    client = mlflow.MlflowClient()
    assert client.create_registered_model(name).name == name, "MLflow takes it"
    client.create_model_version(name, "file:///nowhere")
    client.set_registered_model_alias(name, "champion", "1")
    assert client.get_model_version_by_alias(name, "champion").version == 1
    assert mlflow.get_experiment(client.create_experiment(name)).name == name


def test_a_folder_without_a_name_is_refused(tmp_path, refuses):
    with refuses(DatasetError, r"'\(\)' is no name; rename the folder"):
        dataset_name(tmp_path / "()")


def test_every_simulated_data_set_is_called_alike(tmp_path):
    root = simulate(SimulationConfig(subjects=1, volumes=3, grid=(12, 13, 8), channels=4), tmp_path / "elsewhere")
    assert is_simulation(root)
    assert dataset_name(root) == dataset_name(root.rename(tmp_path / "moved")) == "eeg2fmri"


def test_names_of_the_configuration_win(build):
    store, _ = build(name="a-study")
    config = named(Config(), store)
    assert (config.run.experiment, config.registered_model) == ("a-study", "a-study")
    config = named(Config.model_validate({"run": {"experiment": "mine"}}), store)
    assert (config.run.experiment, config.registered_model) == ("mine", "a-study")
    config = with_names(Config.model_validate({"registry": {"name": "ours"}}), "b")
    assert (config.run.experiment, config.registered_model) == ("b", "ours")
    assert named(config, store) == config


def test_a_store_that_does_not_say_its_data_set_is_refused(build, refuses):
    with refuses(StoreError, "does not say of which data set it is.*preprocess the dataset again"):
        named(Config(), build()[0])
