"""A family from another package: three small files on the path, nothing of this package changed."""

from __future__ import annotations

import sys

import mlflow
import numpy as np
import pytest

from eeg2fmri.config import FAMILIES, Config, find_family, load_config
from eeg2fmri.errors import ConfigError
from eeg2fmri.pipeline import main_job, promote_step
from eeg2fmri.pipeline.code import training_code
from eeg2fmri.provenance import code_of
from eeg2fmri.serving.arrays import encode
from eeg2fmri.testing import FamilyTests
from eeg2fmri.tracking import load_model, store_evidence
from eeg2fmri.tracking.registry import champion, latest_version
from tests.mlflow_store import evidence, use_tracking
from tests.served import environment, in_brain, served, served_model

FILES = {
    "__init__.py": '"""A lab\'s own package."""\n',
    "settings.py": """
from typing import Annotated, ClassVar

from pydantic import Field

from eeg2fmri.config import Magnitudes, Section


class LoudnessConfig(Magnitudes):
    variant: ClassVar[str] = "loudness"
    shrinkage: Annotated[float, Field(ge=0)] = 1.0
    '''Ridge penalty [-]. Source: ours.'''


class LoudnessRanges(Section):
    shrinkage: tuple[float, float] = (1e-3, 1e3)
    '''`shrinkage` [-]. Source: ours.'''
""",
    "loudness.py": """
from dataclasses import dataclass

import numpy as np

from eeg2fmri.families import ArrayFamily, Between, Choices
from mylab.settings import LoudnessConfig, LoudnessRanges


@dataclass(frozen=True)
class LoudnessNetwork:
    centre: np.ndarray
    mean: np.ndarray
    slope: np.ndarray

    def predict(self, eeg):
        loudness = np.log(np.square(eeg).sum(axis=(1, 2, 3))) - self.centre
        return (self.mean + loudness[:, None, None, None] * self.slope).astype(np.float32)


class Loudness(ArrayFamily):
    config, ranges, network = LoudnessConfig, LoudnessRanges, LoudnessNetwork

    def fit(self, config, train, validation, settings, on_epoch):
        from eeg2fmri.training.closed_form import closed_form_result
        from eeg2fmri.training.settings import fitted_model

        rows = np.arange(len(train))
        loudness = np.log(np.square(train.eeg(rows)).sum(axis=(1, 2, 3)))
        volumes = train.standardised(rows, config.bold_scaling)
        centred = loudness - loudness.mean()
        slope = np.tensordot(centred, volumes - volumes.mean(axis=0), 1) / (centred @ centred + config.shrinkage)
        network = LoudnessNetwork(loudness.mean(), volumes.mean(axis=0), slope)
        return closed_form_result(fitted_model(config, network, train), validation, {}, settings, on_epoch)

    def space(self, base, ranges, train):
        return Choices(base, {"shrinkage": Between(*ranges.shrinkage, log=True)})


FAMILY = Loudness()
NOT_ONE = object()
""",
}
NAME = "mylab.loudness:FAMILY"
GRID = (12, 13, 8)
CONFIG = {
    "simulation": {"subjects": 4, "volumes": 40, "grid": GRID, "channels": 5, "sampling_rate": 100},
    "data": {"grid": GRID, "frequencies": 30, "context": 5},
    "split": {"validation": 1, "test": 1},
    "models": [{"family": NAME, "shrinkage": 2.0}],
    "evaluation": {"shuffles": 2, "permutations": 39},
    "run": {"experiment": "outside"},
}


@pytest.fixture(scope="module", autouse=True)
def mylab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("code")
    (folder / "mylab").mkdir()
    for name, text in FILES.items():
        (folder / "mylab" / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mylab"]:
        del sys.modules[name]


class TestContract(FamilyTests):
    model = CONFIG["models"][0]


@pytest.fixture(scope="module")
def job(mylab, tmp_path_factory):
    """The whole job, with a search of two trials."""
    folder = tmp_path_factory.mktemp("outside")
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)
        config = Config.model_validate(CONFIG)
        yield folder, config, main_job(config, folder / "work", None, 2)


def test_it_goes_through_the_whole_job_and_its_search(job):
    folder, _, result = job
    assert result.models.keys() == {"loudness"}
    found = load_config(folder / "work" / "best.yaml").models[0]
    assert (found.family, type(found).__name__) == (NAME, "LoudnessConfig")
    bundle, _ = load_model("models:/eeg2fmri/latest")
    assert bundle.model.config == found


@pytest.fixture(scope="module")
def server(job):
    """Address of the promoted model, served by a process that does not have its package."""
    folder, config, _ = job
    version = latest_version("eeg2fmri")
    store_evidence(version, evidence(str(version.version), 0.5))
    assert promote_step(config, str(version.version)) == str(version.version)
    assert champion("eeg2fmri", "champion").version == version.version
    env = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    with served_model("models:/eeg2fmri@champion", folder, env) as address:
        yield address


def test_its_champion_is_served(server):
    bundle, _ = load_model("models:/eeg2fmri@champion")
    windows = np.random.default_rng(0).gamma(2, 1, (2, *bundle.window_shape)).astype(np.float32)
    expected = in_brain(bundle, windows)
    assert np.ptp(expected, axis=0).max() > 0
    np.testing.assert_array_equal(served(server, {"windows_npy": encode(windows)}), expected)


def test_its_run_is_told_by_its_family(job):
    (run,) = mlflow.search_runs(
        filter_string=f"tags.family = '{NAME}'", search_all_experiments=True, output_format="list"
    )
    assert run.data.tags["variant"] == "loudness"
    assert "model.shrinkage" in run.data.params


def test_its_own_code_is_in_the_key_of_its_training(job):
    model = Config.model_validate(CONFIG).models[0]
    modules = {module for module, _ in code_of(*training_code(model))}
    assert {"mylab.loudness", "mylab.settings"} <= modules


def test_in_this_package_it_takes_one_file_and_one_line(monkeypatch):
    monkeypatch.setitem(FAMILIES, "loudness", NAME)
    (model,) = load_config(None, {"models": [{"family": "loudness", "shrinkage": 2.0}]}).models
    assert (model.family, type(model).__name__, model.shrinkage) == ("loudness", "LoudnessConfig", 2.0)
    assert Config().model("loudness") == type(model)(family="loudness")
    assert Config().model("mean").family == "mean"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"family": "lineal"}, r"family 'lineal' is not known; .* did you mean 'linear'\?"),
        (
            {"family": "mylab.loudnes:FAMILY"},
            r"cannot be imported \(ModuleNotFoundError.*on PYTHONPATH",
        ),
        ({"family": "mylab.loudness:FAMLY"}, r"cannot be imported \(AttributeError: .*FAMLY"),
        (
            {"family": "mylab.loudness:NOT_ONE"},
            r"its `config` is None; expected a subclass of eeg2fmri",
        ),
        ({"family": NAME, "shrinkge": 1}, r"unknown key 'models\.0\.shrinkge'; did you mean 'shrinkage'\?"),
        ({"family": NAME, "shrinkage": -1}, r"models\.0\.shrinkage: .*greater than or equal to 0 \(found -1\)"),
        ({"family": NAME, "variant": "louder"}, r"unknown key 'models\.0\.variant'"),
    ],
)
def test_what_is_wrong_is_named(model, reason, refuses):
    with refuses(ConfigError, reason):
        load_config(None, {"models": [model]})


def test_settings_without_what_every_family_promises_are_refused(monkeypatch, refuses):
    from eeg2fmri.config import ModelConfig

    monkeypatch.setattr(find_family(NAME), "config", ModelConfig, raising=False)
    with refuses(ConfigError, "ModelConfig lacks variant, eeg_scaling, bold_scaling; make it a setting or a class"):
        find_family(NAME)
