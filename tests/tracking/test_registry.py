"""The registry, with real models in a real database: loading, promoting, and what lies on disk."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import numpy as np
import pytest

from eeg2fmri.config import ServingConfig
from eeg2fmri.errors import ModelError
from eeg2fmri.serving.pyfunc import VolumesRecord
from eeg2fmri.serving.requests import Record
from eeg2fmri.tracking import load_model, log_bundle, tracked_run
from eeg2fmri.tracking.registry import SERVING_PACKAGES, champion, model_exists
from tests.fakes import EEG_SHAPE
from tests.mlflow_store import linear_bundle, use_tracking

NAME = "eeg2fmri"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundles():
    return {"1": linear_bundle(0), "2": linear_bundle(20)}


@pytest.fixture(scope="module")
def registry(bundles, tmp_path_factory):
    """Two versions of a model, made once: the tests below change tags and aliases alone."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(folder, patch)
        for version, bundle in bundles.items():
            with tracked_run("train", experiment="tests"):
                example = np.ones(EEG_SHAPE, np.float32)
                logged = log_bundle(bundle, NAME, dataset="a-study", example=example, metadata_={"variant": "linear"})
                assert str(logged.version) == version
        yield folder


@pytest.fixture
def client(registry):
    client = mlflow.MlflowClient()
    yield client
    if champion(NAME, "champion"):
        client.delete_registered_model_alias(NAME, "champion")
    for version in ("1", "2"):
        for tag in client.get_model_version(NAME, version).tags:
            client.delete_model_version_tag(NAME, version, tag)


def model_folder(version: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}/{version}"))


@pytest.mark.parametrize(("address", "version"), [("/1", "1"), ("/2", "2"), ("/latest", "2"), ("@champion", "1")])
def test_loads_by_version_latest_and_alias(client, bundles, rng, address, version):
    client.set_registered_model_alias(NAME, "champion", "1")
    bundle, found = load_model(f"models:/{NAME}{address}")
    assert str(found.version) == version
    windows = rng.gamma(2, 1, (3, *EEG_SHAPE)).astype(np.float32)
    np.testing.assert_array_equal(bundle.model.synthesise(windows), bundles[version].model.synthesise(windows))
    other = bundles["2" if version == "1" else "1"].model.synthesise(windows)
    assert not np.allclose(bundle.model.synthesise(windows), other)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("uri", "named"),
    [
        (f"models:/{NAME}@champion", "champion"),
        (f"models:/{NAME}/9", "9"),
        (f"models:/{NAME}/one", "one"),
        ("models:/absent/1", "absent"),
        ("models:/absent/latest", "absent"),
        ("models:/absent@champion", "absent"),
        ("models:/m-0123456789abcdef0123456789abcdef", "m-0123"),
        ("runs:/0123456789abcdef0123456789abcdef/model", "0123"),
        ("/no/such/folder", "/no/such/folder"),
        ("nonsense://x", "nonsense"),
    ],
)
def test_what_is_not_there_is_named(refuses, uri, named):
    with refuses(ModelError, named):
        load_model(uri)


@pytest.mark.usefixtures("client")
def test_a_model_of_another_kind_is_refused(refuses, tmp_path):
    code = tmp_path / "other.py"
    code.write_text(
        "from mlflow.models import set_model\n"
        "from mlflow.pyfunc import PythonModel\n"
        "class Other(PythonModel):\n"
        "    def predict(self, model_input):\n"
        "        return model_input\n"
        "set_model(Other())\n"
    )
    mlflow.pyfunc.save_model(tmp_path / "other", python_model=str(code), pip_requirements=["mlflow"])
    with refuses(ModelError, "not a model of eeg2fmri"):
        load_model(str(tmp_path / "other"))


@pytest.mark.usefixtures("client")
def test_model_exists():
    assert model_exists(f"models:/{NAME}/2")
    assert not model_exists(f"models:/{NAME}/3")
    assert not model_exists("models:/absent/1")
    assert not model_exists("models:/m-absent")


@pytest.mark.usefixtures("client")
def test_no_file_of_a_model_is_a_pickle():
    files = [path for path in model_folder("1").rglob("*") if path.is_file()]
    assert {"bundle.json", "network.npz", "statistics.npz", "model_code.py", "MLmodel"} <= {p.name for p in files}
    for path in files:
        assert path.suffix not in (".pkl", ".pickle", ".joblib", ".pt", ".h5")
        assert not path.read_bytes().startswith(b"\x80"), path  # how every pickle since protocol 2 begins
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays.files)


@pytest.mark.usefixtures("client")
def test_a_model_carries_pinned_requirements_and_its_own_code():
    folder = model_folder("1")
    wanted = (folder / "requirements.txt").read_text().split()
    pinned = (REPOSITORY / "constraints.txt").read_text().split()
    assert {line.split("==")[0] for line in wanted} == set(SERVING_PACKAGES)
    assert set(wanted) <= set(pinned)
    assert (folder / "code" / "eeg2fmri" / "serving" / "pyfunc.py").exists()


@pytest.mark.usefixtures("client")
def test_a_model_states_its_request():
    model = mlflow.models.get_model_info(f"models:/{NAME}/1")
    assert model.metadata == {"variant": "linear"}
    (record,), (reply,) = (side.input_types() for side in (model.signature.inputs, model.signature.outputs))
    names = {each.name: str(each.dtype) for each in record.properties}
    assert names.keys() == Record.model_fields.keys()
    assert "string" in names["eeg_npy"]
    assert {each.name for each in reply.properties} == VolumesRecord.model_fields.keys()
    options = {each.name: (each.dtype.name, each.default) for each in model.signature.params.params}
    assert options == {
        "reply": ("string", "npy"),
        "dtype": ("string", "float32"),
        "max_interpolated": ("double", 0.0),
    }
    assert model.flavors["python_function"]["config"] == ServingConfig().model_dump()
    assert model.saved_input_example_info is not None


def test_a_model_is_logged_without_advice_of_mlflow(tracking, bundles, recwarn):
    with tracked_run("train", experiment="tests"):
        log_bundle(bundles["1"], "quiet", dataset="q", example=np.ones(EEG_SHAPE, np.float32), metadata_={})
    assert not [warning for warning in recwarn if "type hint" in str(warning.message)]


@pytest.mark.usefixtures("registry")
def test_a_device_that_is_asked_for_reaches_the_model(monkeypatch):
    monkeypatch.setenv("EEG2FMRI_DEVICE", "gpu")
    load_model(f"models:/{NAME}/1")
    assert os.environ["EEG2FMRI_DEVICE"] == "gpu"
    load_model(f"models:/{NAME}/1", "cpu")
    assert os.environ["EEG2FMRI_DEVICE"] == "cpu"
