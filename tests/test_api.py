"""The Python interface: from a dataset to a synthesised file without MLflow, and the cleaning of MNE recordings."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import mne
import nibabel
import numpy as np
import pandas as pd
import pytest
from scipy import signal

import eeg2fmri
from eeg2fmri.baselines import CEILINGS
from eeg2fmri.config import Config, SimulationConfig, load_config
from eeg2fmri.errors import (
    AlignmentError,
    ConfigError,
    DatasetError,
    DiskFullError,
    IncompleteError,
    LeakageError,
    ModelError,
)
from eeg2fmri.serving import Bundle
from eeg2fmri.simulation import read_true_eeg
from eeg2fmri.store import Store

ROOT = Path(__file__).parents[1]
GRID = (9, 8, 7)
SETTINGS = {
    "simulation": {
        "subjects": 3,
        "volumes": 40,
        "channels": 5,
        "grid": GRID,
        "sampling_rate": 100,
        "tr": 1.0,
        "seed": 1,
    },
    "data": {"frequencies": 20, "context": 3, "grid": GRID},
    "split": {"validation": 1, "test": 1},
    "models": [{"family": "linear", "components": 3}, {"family": "mean"}],
    "evaluation": {"permutations": 39},
}
WHOLE_WAY = """
import sys
import eeg2fmri

root, work, config = sys.argv[1:]
store = eeg2fmri.preprocess(root, f"{work}/store", config)
model = eeg2fmri.fit(store, config)
eeg2fmri.evaluate(model, store, config=config)
eeg2fmri.save_model(model, f"{work}/model")
again = eeg2fmri.load_model(f"{work}/model")
eeg = f"{root}/sub-03/eeg/sub-03_task-rest_eeg.vhdr"
print(eeg2fmri.synthesise(again, eeg, f"{work}/bold.nii.gz").shape)
print(sorted({"mlflow", "tensorflow"} & sys.modules.keys()))
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load_config(None, SETTINGS)


@pytest.fixture(scope="module")
def dataset(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return eeg2fmri.simulate(config.simulation, tmp_path_factory.mktemp("api") / "study")


@pytest.fixture(scope="module")
def store(config: Config, dataset: Path) -> Store:
    return eeg2fmri.preprocess(dataset, dataset.parent / "store", config)


@pytest.fixture(scope="module")
def model(config: Config, store: Store) -> Bundle:
    return eeg2fmri.fit(store, config)


def eeg_file(dataset: Path, subject: str = "03") -> Path:
    return dataset / f"sub-{subject}/eeg/sub-{subject}_task-rest_eeg.vhdr"


def test_the_whole_way_needs_no_mlflow(config, dataset, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(config.model_dump_json())  # JSON is YAML
    command = [sys.executable, "-c", WHOLE_WAY, str(dataset), str(tmp_path), str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["(9, 8, 7, 41)", "[]"]
    assert (tmp_path / "bold.nii.gz").exists()
    assert (tmp_path / "bold.json").exists()


def test_inspect_gives_a_table(config, dataset):
    overview = eeg2fmri.inspect(str(dataset), config)
    table = overview.to_frame()
    assert table["recording"].tolist() == [f"sub-0{n}_task-rest" for n in (1, 2, 3)]
    assert set(table["status"]) == {"usable"}
    assert set(table["tr"]) == {1.0}


def test_inspect_finds_what_only_the_whole_file_tells(config, tmp_path, write_recording):
    write_recording(tmp_path, "01")
    write_recording(tmp_path, "02", volumes=np.zeros((9, 8, 7, 22), np.float32))
    quick, full = (eeg2fmri.inspect(tmp_path, tiny(config), full=full).to_frame() for full in (False, True))
    assert quick["status"].tolist() == ["usable", "usable"]
    assert full["status"].tolist() == ["usable", "failed"]


def test_a_recording_that_fails_is_an_error_unless_that_is_allowed(config, bids_root, refuses):
    broken = bids_root / "sub-02/func/sub-02_task-rest_bold.nii.gz"
    broken.write_bytes(broken.read_bytes()[:100])
    with refuses(IncompleteError, "1 of 3 recordings cannot be used"):
        eeg2fmri.preprocess(bids_root, bids_root.parent / "store", tiny(config))
    store = eeg2fmri.preprocess(bids_root, bids_root.parent / "store", tiny(config), allow_failures=True)
    assert store.subjects == ["sub-01", "sub-03"]


def tiny(config: Config) -> Config:
    return config.model_copy(update={"data": config.data.model_copy(update={"frequencies": 7})})


def test_a_model_that_is_loaded_synthesises_the_same(model, store, tmp_path):
    again = eeg2fmri.load_model(eeg2fmri.save_model(model, tmp_path / "deep" / "model"))
    windows = store.recordings[0].spectrogram[None, :3].transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(again.model.synthesise(windows), model.model.synthesise(windows))
    assert again.provenance["history"] == model.provenance["history"]


def test_a_model_is_saved_whole_or_not_at_all(model, tmp_path, refuses, small_files):
    with refuses(DiskFullError, f"^{tmp_path}/model: no space left"), small_files(1000):
        eeg2fmri.save_model(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    eeg2fmri.load_model(eeg2fmri.save_model(model, tmp_path / "model"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_is_not_saved_over_something(model, tmp_path, refuses):
    (tmp_path / "notes.txt").write_text("mine")
    with refuses(ModelError, "it is not empty"):
        eeg2fmri.save_model(model, tmp_path)


def test_evaluate_scores_the_test_subject_beside_nulls_and_baselines(model, store, config):
    scores = eeg2fmri.evaluate(model, store, config=config)
    table = scores.table
    assert isinstance(table, pd.DataFrame)
    assert set(table["subject"]) == {"sub-03"}
    beside = ["arousal", "motion_pulse", "subject_mean"]  # one subject is scored, nothing is shown, the model is linear
    assert table["condition"].tolist() == ["model", "mean_volume", "shuffled", *beside, *CEILINGS]
    assert set(scores.absent) == {"swapped", "task", "linear"}
    assert table.set_index("condition").loc["mean_volume", "r2_temporal"] == pytest.approx(0, abs=1e-6)
    assert 0 < scores.significance.p_value <= 1


def test_evaluate_refuses_subjects_that_the_model_has_seen(model, store, refuses):
    seen = load_config(None, {**SETTINGS, "split": {"validation": ["02"], "test": ["01"]}})
    with refuses(LeakageError, "sub-01_task-rest: used to train"):
        eeg2fmri.evaluate(model, store, config=seen)


def test_evaluate_scores_the_regions_of_an_atlas(model, store, config, tmp_path, refuses):
    brain = store.of(["sub-03"])[0].mask
    image = nibabel.Nifti1Image((brain * 4).astype(np.uint8), np.asarray(store.signal.affine))
    nibabel.save(image, tmp_path / "brain.nii")
    scores = eeg2fmri.evaluate(model, store, config=config, atlas=tmp_path / "brain.nii")
    whole = scores.regions.table.set_index("series").loc["full"]
    assert (whole.region, whole.voxels) == ("4", brain.sum())
    assert -1 < whole.r < 1
    assert "regions" in eeg2fmri.figures(model, scores)
    with refuses(DatasetError, "absent.nii: no such file"):
        eeg2fmri.evaluate(model, store, config=config, atlas=tmp_path / "absent.nii")


def test_figures_show_coefficients_and_scores_and_no_curve_of_one_epoch(model, store, config):
    scores = eeg2fmri.evaluate(model, store, config=config)
    assert eeg2fmri.figures(model).keys() == {"coefficients"}
    drawn = eeg2fmri.figures(model, scores)
    assert list(drawn) == ["dynamics", "scores", "voxels", "coefficients"]
    first = drawn["scores"].axes[0]
    assert first.get_title().startswith("r2_temporal")  # what decides comes first


def test_explain_looks_at_the_test_subject_and_is_drawn(model, store, config):
    found = eeg2fmri.explain(model, store, config=config)
    assert found.subjects == ("sub-03",)
    assert found.windows == (34,)
    assert found.channels.names == tuple(model.signal.channels)
    assert eeg2fmri.figures(model, found=found).keys() == {"coefficients", "relevance"}
    brain = store.of(("sub-03",))[0].mask
    assert eeg2fmri.explain(model, store, config=config, mask=brain) == found


def test_explain_refuses_subjects_that_the_model_has_seen(model, store, refuses):
    seen = load_config(None, {**SETTINGS, "split": {"validation": ["02"], "test": ["01"]}})
    with refuses(LeakageError, "sub-01_task-rest: used to train"):
        eeg2fmri.explain(model, store, config=seen)


def test_an_array_gives_the_image_that_its_file_gives(model, dataset, tmp_path):
    raw = mne.io.read_raw_brainvision(eeg_file(dataset), preload=True, verbose="error")
    first = raw.annotations.onset[raw.annotations.description == "Response/R128"][0]
    raw.crop(tmin=first)
    wanted = eeg2fmri.synthesise(model, eeg_file(dataset))
    rate = raw.info["sfreq"]
    found = eeg2fmri.synthesise(
        model, raw.get_data(units="uV"), tmp_path / "a.nii", sampling_rate=rate, channels=raw.ch_names
    )
    n = min(found.shape[3], wanted.shape[3])
    assert n >= 36
    np.testing.assert_allclose(found.dataobj[..., :n], wanted.dataobj[..., :n], rtol=1e-4)
    np.testing.assert_array_equal(nibabel.load(tmp_path / "a.nii").affine, wanted.affine)


@pytest.mark.parametrize(
    ("eeg", "given", "match"),
    [
        (np.zeros((5, 100)), {}, "sampling_rate is missing"),
        ("eeg.vhdr", {"sampling_rate": 250.0}, "a file has its own"),
        (np.zeros((5, 100)), {"sampling_rate": 100.0, "out": "bold.mgz"}, "must end in .nii"),
    ],
)
def test_synthesise_refuses_what_does_not_fit_together(model, refuses, eeg, given, match):
    with refuses(ConfigError, match):
        eeg2fmri.synthesise(model, eeg, **given)


def test_the_example_with_mne_runs(model, dataset, tmp_path, monkeypatch):
    """The recording has an ECG channel too, and another order of the channels than the model."""
    raw = mne.io.read_raw(eeg_file(dataset), preload=True, verbose="error")
    raw.set_channel_types({raw.ch_names[-1]: "ecg"}, verbose="error").reorder_channels(raw.ch_names[::-1])
    monkeypatch.chdir(tmp_path)
    raw.save("clean_eeg.fif", verbose="error")
    lines = [line[4:] for line in inspect.getdoc(eeg2fmri.synthesise).splitlines() if line.startswith(">>>")]
    names = {"eeg2fmri": eeg2fmri, "mne": mne, "model": model}
    exec("\n".join(lines[1:]), names)
    eeg, rate, channels = raw.get_data()[::-1] * 1e6, raw.info["sfreq"], raw.ch_names[::-1]
    expected = eeg2fmri.synthesise(model, eeg, sampling_rate=rate, channels=channels)
    np.testing.assert_allclose(names["image"].dataobj, expected.dataobj, rtol=1e-4)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[mne.io.BaseRaw, np.ndarray]:
    """A recording of the running scanner, and its EEG without artefacts at 100 Hz, in µV."""
    settings = {**SETTINGS["simulation"], "subjects": 1, "channels": 4, "raw": True, "tr": 1.00013}
    root = eeg2fmri.simulate(SimulationConfig(**settings), tmp_path_factory.mktemp("raw") / "bids")
    raw = mne.io.read_raw_brainvision(eeg_file(root, "01"), preload=True, verbose="error")
    return raw.set_channel_types({"ECG": "ecg"}), read_true_eeg(root, "01")[0]


def power(volts: np.ndarray, rate: float, low: float, high: float) -> float:
    """Power (µV²) between two frequencies (Hz), the mean over channels."""
    frequencies, density = signal.welch(volts * 1e6, rate, nperseg=int(4 * rate))
    return float(density[:, (frequencies >= low) & (frequencies <= high)].sum(axis=1).mean())


def test_cleaning_brings_the_eeg_of_a_recording_back(scanned):
    raw, truth = scanned
    before = raw.get_data()
    clean = eeg2fmri.remove_gradient(raw, tr=1.00013)
    np.testing.assert_array_equal(raw.get_data(), before)  # a copy is cleaned
    slow = clean.copy().resample(100, verbose="error")
    beaten = eeg2fmri.remove_pulse(slow)
    start = int(raw.annotations.onset[raw.annotations.description == "Response/R128"][0] * 100) + 100
    scan = slice(start, start + 3700)
    eeg = slice(0, 4)
    wanted = truth[eeg, scan] * 1e-6
    with_gradient = raw.copy().resample(100, verbose="error").get_data()[eeg, scan] - wanted
    with_pulse, without = (recording.get_data()[eeg, scan] - wanted for recording in (slow, beaten))
    assert power(with_pulse, 100, 12, 30) < power(with_gradient, 100, 12, 30) / 100
    assert power(without, 100, 1, 10) < power(with_pulse, 100, 1, 10) / 2
    np.testing.assert_array_equal(beaten.get_data()[4], slow.get_data()[4])  # the ECG keeps its beats
    assert beaten.ch_names == raw.ch_names
    assert len(beaten.annotations) == len(raw.annotations)


def test_a_cropped_recording_is_cleaned_as_the_whole_one(scanned):
    raw, _ = scanned
    onset = raw.annotations.onset[raw.annotations.description == "Response/R128"][0]
    cropped = raw.copy().crop(tmin=onset - 0.5)
    whole = eeg2fmri.remove_gradient(raw, tr=1.00013).crop(tmin=onset - 0.5)
    np.testing.assert_allclose(
        eeg2fmri.remove_gradient(cropped, tr=1.00013).get_data(), whole.get_data(), atol=1e-8
    )  # float32 of 10 mV


def test_cleaning_refuses_in_one_line(scanned, refuses):
    raw, _ = scanned
    with refuses(AlignmentError, "no marker comes every 3.3 s"):
        eeg2fmri.remove_gradient(raw, tr=3.3)
    with refuses(ConfigError, "template"):
        eeg2fmri.remove_gradient(raw, tr=1.00013, template=4)
    with refuses(DatasetError, "no good ECG channel"):
        eeg2fmri.remove_pulse(raw.copy().pick("eeg"))
