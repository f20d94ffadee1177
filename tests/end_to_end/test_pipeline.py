"""One run of the whole pipeline as a user starts it: `mlflow run`, a served champion, a synthesised file.

The dataset is simulated small: 8 subjects, 150 volumes of 12 x 13 x 8 voxels, 16 EEG channels. Before the simulator
moved BOLD by more than the EEG shows, and without baselines in the gate, the linear family passed with 19 of 20 seeds
at full coupling, and with 2 at no coupling: a p-value below 0.05 promises no better. That was not counted again.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import mlflow
import nibabel
import numpy as np
import pytest
import yaml
from nilearn.image import load_img, mean_img

from eeg2fmri import cli
from eeg2fmri.errors import RequestError
from eeg2fmri.serving import Client
from eeg2fmri.serving.arrays import encode
from eeg2fmri.tracking import load_model
from eeg2fmri.tracking.registry import champion, latest_version, logged_model_id
from tests.mlflow_store import use_tracking
from tests.served import ask, environment, in_brain, served, served_model

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
GRID, TR, RATE = (12, 13, 8), 2.16, 125.0
WINDOW = (16, 64, 10)  # channels, frequencies, context
DEEP = {
    "family": "calhas2022",
    "latent": (3, 4, 5),
    "filters": 2,
    "eeg": {"kernels": [(4, 16, 2), (3, 5, 2)], "strides": [(3, 4, 1), (1, 2, 1)], "pool": (2, 2, 1)},
    "fmri": {"kernels": [(3, 4, 2)], "strides": [(2, 2, 1)], "pool": (1, 2, 2)},
    "training": {"epochs": 2, "batch_size": 16},
}
CONFIG = {
    "simulation": {"subjects": 8, "volumes": 150, "grid": GRID, "channels": 16, "sampling_rate": RATE, "seed": 3},
    "data": {"grid": GRID, "frequencies": WINDOW[1]},
    "models": [{"family": "linear"}, DEEP],
    "evaluation": {"shuffles": 3},
    "run": {"device": "cpu"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the configuration and the tracking database, which this process follows too."""
    path = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        use_tracking(path, patch)
        # `mlflow run` works in the repository; nothing may be left there.
        mlflow.create_experiment("eeg2fmri", artifact_location=(path / "artifacts").as_uri())
        (path / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(CONFIG))))
        yield path


@pytest.fixture(scope="module")
def job(folder):
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "--env-manager", "local"]
    command += ["--experiment-name", "eeg2fmri", "-P", f"config={folder / 'config.yaml'}", "-P", f"workdir={folder}"]
    before = {path.name for path in ROOT.iterdir()}
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {path.name for path in ROOT.iterdir()} - before <= {"__pycache__"}
    return done


def command_line(*arguments: str) -> int:
    logger = logging.getLogger("eeg2fmri")
    handlers, level = list(logger.handlers), logger.level
    try:
        return cli.main(arguments)
    finally:
        logger.handlers[:], logger.propagate = handlers, True
        logger.setLevel(level)


def test_the_better_family_is_champion(job):
    present = champion("eeg2fmri", "champion")
    assert int(latest_version("eeg2fmri").version) == 2  # one version for each family
    scores = {n: float(mlflow.MlflowClient().get_model_version("eeg2fmri", n).tags["test.r2_temporal"]) for n in "12"}
    assert str(present.version) == max(scores, key=scores.get)
    assert scores[str(present.version)] > 0
    assert float(present.tags["test.p_value"]) < 0.05
    for text in ("eeg2fmri@champion is version", "mlflow ui", "models serve", "| linear | 1 |", "| tafp-style | 2 |"):
        assert text in job.stdout
    assert "I0000" not in job.stderr
    assert "InitializeLog" not in job.stderr


@pytest.mark.usefixtures("job")
def test_the_parent_is_the_project_run_and_has_a_child_per_step():
    runs = mlflow.search_runs(experiment_names=["eeg2fmri"], output_format="list")
    (parent,) = [run for run in runs if run.data.tags["eeg2fmri.entry_point"] == "main"]
    assert parent.data.tags["mlflow.project.entryPoint"] == "main"
    assert parent.data.params["trials"] == "0"  # MLflow's own, beside ours
    assert "main.workdir" in parent.data.params
    assert parent.info.run_name == "main · eeg2fmri"
    children = {run.info.run_name for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    wanted = {f"{step} · eeg2fmri" for step in ("simulate", "preprocess", "promote")}
    for variant in ("linear", "tafp-style"):
        wanted |= {f"train {variant} · eeg2fmri", f"evaluate {variant} · eeg2fmri test"}
    assert children == wanted
    assert {run.info.status for run in runs} == {"FINISHED"}


@pytest.mark.usefixtures("job")
def test_the_deep_run_holds_what_the_design_says():
    runs = mlflow.search_runs(
        experiment_names=["eeg2fmri"],
        filter_string="tags.mlflow.runName = 'train tafp-style · eeg2fmri'",
        output_format="list",
    )
    run = runs[0]
    per_epoch = {f"train/{n}" for n in ("loss", "mae", "cosine", "learning_rate", "samples_per_second")}
    per_epoch |= {f"val/{n}" for n in ("loss", "mae", "cosine", "r2_temporal")}
    assert per_epoch <= run.data.metrics.keys()
    client = mlflow.MlflowClient()
    for name in per_epoch:
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [1, 2]
    (best,) = client.get_metric_history(run.info.run_id, "val/best_r2_temporal")
    (logged,) = {
        m.step for m in mlflow.get_logged_model(logged_model_id("models:/eeg2fmri/2")).metrics if m.key in per_epoch
    }
    assert str(best.step) == run.data.params["result.best_epoch"] == str(logged)
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"images", "figures", "model_card.md"} <= artifacts
    used = {(tag.value, used.dataset.name) for used in run.inputs.dataset_inputs for tag in used.tags}
    assert used == {("training", "eeg2fmri-training"), ("validation", "eeg2fmri-validation")}


@pytest.mark.usefixtures("job")
def test_a_deep_model_has_no_pickle_and_pins_keras():
    model = Path(mlflow.artifacts.download_artifacts("models:/eeg2fmri/2"))
    files = [path for path in model.rglob("*") if path.is_file()]
    assert "network.keras" in {path.name for path in files}
    assert not [path for path in files if path.read_bytes().startswith(b"\x80") or path.suffix == ".pkl"]
    requirements = (model / "requirements.txt").read_text().split()
    assert {"keras==3.15.1", "tensorflow==2.21.0"} <= set(requirements)
    assert all("==" in line for line in requirements)


@pytest.mark.usefixtures("job")
def test_synthesize_writes_an_image_that_others_open(folder):
    (eeg,) = (folder / "dataset").glob("sub-08/**/*_eeg.vhdr")
    (measured,) = (folder / "dataset").glob("sub-08/**/*_bold.nii.gz")
    out = folder / "synthesised" / "bold.nii.gz"
    assert command_line("synthesize", "--eeg", str(eeg), "--out", str(out)) == 0
    image, original = nibabel.load(out), nibabel.load(measured)
    assert image.shape[:3] == GRID
    # One volume for every context that the EEG holds; it goes on for some seconds after the last volume.
    assert image.shape[3] - (original.shape[3] - WINDOW[2]) in (1, 2, 3)
    np.testing.assert_allclose(image.affine, original.affine, atol=1e-3)
    assert image.header.get_zooms()[3] == pytest.approx(TR)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert json.loads(out.with_name("bold.json").read_text())["StartTime"] == pytest.approx(WINDOW[2] * TR)
    volumes = load_img(str(out)).get_fdata()
    assert np.isfinite(volumes).all()
    assert volumes.std(axis=3).max() > 0
    average = mean_img(str(measured)).get_fdata()  # another head, but a head
    assert np.corrcoef(average.ravel(), volumes.mean(axis=3).ravel())[0, 1] > 0.9
    assert {path.name for path in out.parent.iterdir()} == {"bold.nii.gz", "bold.json"}


@pytest.fixture(scope="module")
def server(job, folder):
    """Address of the served champion."""
    with served_model("models:/eeg2fmri@champion", folder, environment()) as address:
        yield address


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).gamma(2, 1, (2, *WINDOW)).astype(np.float32)


@pytest.fixture(scope="module")
def bundle(job):
    return load_model("models:/eeg2fmri@champion")[0]


@pytest.mark.parametrize("reply", ["npz", "npy", "json"])
def test_serves_windows_as_json(server, bundle, windows, reply):
    found = served(server, {"windows": windows.astype(float).tolist()}, reply=reply)
    np.testing.assert_allclose(found, in_brain(bundle, windows), rtol=1e-5, atol=1e-2)


def test_serves_raw_eeg(server, bundle):
    eeg = np.random.default_rng(1).normal(0, 20, (WINDOW[0], round(11.5 * TR * RATE))).astype(np.float32)
    record = {"eeg_npy": encode(eeg), "sampling_rate": RATE}
    found = served(server, record)
    assert found.shape == (2, *GRID)  # 11 whole windows hold 2 contexts of 10
    expected = in_brain(bundle, bundle.windows(eeg, RATE))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-2)
    names = list(bundle.signal.channels)
    turned = served(server, {"eeg_npy": encode(eeg[::-1]), "sampling_rate": RATE, "channels": names[::-1]})
    np.testing.assert_allclose(turned, found, rtol=1e-5, atol=1e-2)


def test_the_client_hides_the_encodings(server, bundle):
    eeg = np.random.default_rng(1).normal(0, 20, (WINDOW[0], round(11.5 * TR * RATE))).astype(np.float32)
    reply = Client(server).synthesise(eeg, RATE, bundle.signal.channels)
    np.testing.assert_allclose(reply.volumes, in_brain(bundle, bundle.windows(eeg, RATE)), rtol=1e-5, atol=1e-2)
    with pytest.raises(RequestError, match=r"at least 21\.60 s"):
        Client(server).synthesise(eeg[:, :100], RATE)


@pytest.mark.usefixtures("job")
def test_mlflow_predicts_and_writes_a_dockerfile(bundle, windows, folder):
    request = {"inputs": [{"windows_npy": encode(windows)}], "params": {"reply": "json"}}
    (folder / "request.json").write_text(json.dumps(request))
    models = [sys.executable, "-m", "mlflow", "models"]
    uri = ["-m", "models:/eeg2fmri@champion"]
    predict = [*models, "predict", *uri, "--env-manager", "local", "-i", "request.json", "-o", "reply.json"]
    subprocess.run(predict, cwd=folder, env=environment(), check=True, capture_output=True)
    (reply,) = json.loads((folder / "reply.json").read_text())["predictions"]
    np.testing.assert_allclose(reply["volumes"], in_brain(bundle, windows), rtol=1e-5)
    docker = [*models, "generate-dockerfile", *uri, "-d", "image"]
    subprocess.run(docker, cwd=folder, env=environment(), check=True, capture_output=True)
    assert "mlflow.models import container" in (folder / "image" / "Dockerfile").read_text()
    (requirements,) = (folder / "image").rglob("requirements.txt")
    assert {"mne==", "nibabel=="} <= {line[: line.index("=") + 2] for line in requirements.read_text().split()}


def bad(windows: np.ndarray, name: str) -> object:
    holes = windows.copy()
    holes[0, 1, 2, 3] = np.nan
    good = {"windows_npy": encode(windows)}
    faults = {
        "shape": {"inputs": [{"windows_npy": encode(windows[:, :5])}]},
        "nan": {"inputs": [{"windows_npy": encode(holes)}]},
        "json nan": {"inputs": [{"windows": holes.astype(float).tolist()}]},
        "type": {"inputs": [{"windows": "text"}]},
        "field": {"inputs": [good | {"chanels": ["Cz"]}]},
        "option in a record": {"inputs": [good | {"reply": "npy"}]},
        "option": {"inputs": [good], "params": {"reply": "gif"}},
        "no rate": {"inputs": [{"eeg_npy": encode(windows[0, :, 0])}]},
        "short": {"inputs": [{"eeg_npy": encode(windows[0, :, 0]), "sampling_rate": RATE}]},
        "none": {"inputs": []},
        "no inputs": {"records": [good]},
        "not json": b"{",
    }
    return faults[name]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("shape", "expected (16, 64, 10)"),
        ("nan", "1 NaN or infinite"),
        ("json nan", "NaN"),
        ("type", "windows"),
        ("field", "did you mean 'channels'?"),
        ("option in a record", "send it in params"),
        ("option", "'npy', 'npz', 'json'"),
        ("no rate", "sampling_rate"),
        ("short", "at least 21.60 s"),
        ("none", "at least one record"),
        ("no inputs", "inputs"),
        ("not json", "JSON"),
    ],
)
def test_a_bad_request_gets_400_with_the_reason(server, windows, fault, reason):
    status, body = ask(f"{server}/invocations", bad(windows, fault))
    text = body.decode()
    assert status == 400, text[:500]
    assert reason in text
    assert len(text) < 600
    assert "Traceback" not in text
    assert "File " not in text
    assert ask(f"{server}/ping")[0] == 200
    assert served(server, {"windows_npy": encode(windows)}).shape == (2, *GRID)


@pytest.fixture(scope="module")
def uncoupled(job, folder):
    """The same job on a dataset whose EEG says nothing about its BOLD."""
    return command_line("main", "--config", str(folder / "config.yaml"), "--workdir", str(folder / "null"),
                        "--set", "simulation.coupling=0; registry.name=uncoupled")  # fmt: skip


@pytest.mark.usefixtures("job")
def test_without_coupling_the_gate_refuses(uncoupled, capsys):
    assert uncoupled == 0  # the job is done; that nothing deserves promotion is its result
    assert champion("uncoupled", "champion") is None
    for version in ("1", "2"):
        capsys.readouterr()
        assert command_line("promote", "--name", "uncoupled", "--version", version) == 1
        (line,) = capsys.readouterr().err.splitlines()
        score = float(mlflow.MlflowClient().get_model_version("uncoupled", version).tags["test.r2_temporal"])
        assert f"uncoupled version {version} is not promoted: r2_temporal {score:.4f}" in line
    assert champion("uncoupled", "champion") is None
    assert champion("eeg2fmri", "champion") is not None
