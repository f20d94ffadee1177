"""The interval around synthesised volumes: its deviation, multiplier and coverage, its files, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import signal

import mlflow
import nibabel
import numpy as np
import pytest
from scipy import optimize, stats

import eeg2fmri
from eeg2fmri.cli import main
from eeg2fmri.config import Config, DataConfig, DatasetConfig, FactorisedConfig, LinearConfig, MeanConfig
from eeg2fmri.errors import ConfigError, ModelError
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.serving import items_of_root, load_bundle, synthesise_dataset
from eeg2fmri.serving.files import OLD
from eeg2fmri.serving.interval import FEW_SUBJECTS, NOT_FINITE, _multiplier, calibrate
from eeg2fmri.signals import without_drift
from eeg2fmri.store import StoredRecording, Windows
from eeg2fmri.tracking.registry import pyfunc_model
from tests.fakes import CHANNELS, CONTEXT, EEG_SHAPE, GRID, SAMPLING_RATE, SIGNAL, TR, recording
from tests.mlflow_store import memory_store
from tests.serving.test_dataset import RUNS, write_eeg

CUTOFF = 20.0
MEAN, SD = 500.0, 100.0  # of every planted recording, so that the standard units are known
SPREAD = 5 + 20 * np.random.default_rng(7).random(GRID)  # SD over time that is planted
MASK = recording("sub-01", 1).mask


def planted(subject, seed, *, scale=1.0, gain=1.0, drift=0.0, noise="standard_normal", windows=400):
    """A recording of which EEG explains nothing: white noise of SD `scale` × `SPREAD` around an anatomy."""
    rng = np.random.default_rng(seed)
    draws = rng.standard_t(3, (windows, *GRID)) if noise == "heavy" else rng.standard_normal((windows, *GRID))
    slow = np.cos(np.pi * (np.arange(windows) + 0.5) / windows)[:, None, None, None]
    volumes = gain * (MEAN + 3 * SPREAD + scale * SPREAD * draws + drift * (1 + slow))
    other = recording(subject, seed, windows=windows)
    group = {
        "spectrogram": other.spectrogram[:],
        "volumes": volumes.astype(np.float32),
        "mask": MASK,
        "voxel_mean": volumes.mean(axis=0).astype(np.float32),
        "voxel_sd": volumes.std(axis=0).astype(np.float32),
    }
    attributes = {"name": f"{subject}_task-rest", "subject": subject, "digest": f"{seed}",
                  "source_digest": f"source {seed}", "mean": gain * MEAN, "sd": gain * SD}  # fmt: skip
    return StoredRecording(group, attributes, SIGNAL)


@pytest.fixture(scope="module")
def train():
    """Training subjects that vary three times as much as the validation subjects below."""
    return Windows([planted(f"sub-{n}", n, scale=3) for n in (1, 2)], CONTEXT)


@pytest.fixture(scope="module")
def model(train):
    """A constant, fitted on them."""
    return fit(MeanConfig(), train, Windows([planted("sub-3", 3)], CONTEXT), FitSettings()).model


def windows_of(**changes):
    return Windows([planted(f"sub-{n}", n, **changes) for n in (11, 12, 13)], CONTEXT)


def test_the_planted_deviation_of_validation_subjects_is_found(model, train):
    residual_sd, about = calibrate(model, train, windows_of(), CUTOFF)
    ratio = residual_sd[MASK] / SPREAD[MASK]
    assert np.median(ratio) == pytest.approx(np.sqrt(1 - 20 / 400), rel=0.01)  # 20 cosines of 400 volumes
    assert 0.85 < ratio.min() < ratio.max() < 1.15
    assert not residual_sd[~MASK].any()
    assert residual_sd.dtype == np.float32
    assert about["multiplier"] == pytest.approx(1.645, abs=0.02)  # of a normal distribution, if people are alike
    assert list(about["coverage"]) == ["sub-11", "sub-12", "sub-13"]
    assert np.mean([*about["coverage"].values()]) == pytest.approx(0.9, abs=0.005)


def test_scanner_gain_mean_and_drifts_of_a_recording_change_nothing(model, train):
    expected, about = calibrate(model, train, windows_of(), CUTOFF)
    found, same = calibrate(model, train, windows_of(gain=2.0, drift=200.0), CUTOFF)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert same["multiplier"] == pytest.approx(about["multiplier"], abs=0.0011)
    wrong, _ = calibrate(model, train, windows_of(drift=200.0), 1e6)
    assert (wrong[MASK] > 2 * expected[MASK]).all()


def direct(parts, trained, subjects):
    """Return the multiplier by its definition: 90 % of the next person's values are within, on average."""
    deviation = np.sqrt(np.mean([np.square(parts[n]).mean(0) for n in subjects], axis=0))
    ratios = [[part / deviation for part in group] for group in ([parts[n] for n in subjects], trained)]
    own, others = (np.log([np.sqrt(np.square(ratio).mean()) for ratio in group]) for group in ratios)
    freedom = len(own) + len(others) - 2
    spread = np.sqrt((len(own) * own.var() + len(others) * others.var()) / freedom * (1 + 1 / len(own)))
    values = [np.abs(ratio / np.exp(x)).ravel() for ratio, x in zip(ratios[0], own, strict=True)]
    values = np.sort(np.concatenate(values))

    scales = np.exp(own.mean() + spread * stats.t.ppf((np.arange(400) + 0.5) / 400, freedom))

    def share(multiplier):
        return np.mean(np.searchsorted(values, multiplier / scales)) / len(values)

    return optimize.brentq(lambda multiplier: share(multiplier) - 0.9, 0.1, 100)


@pytest.mark.parametrize("noise", ["standard_normal", "heavy"])
def test_coverage_is_that_of_subjects_left_out(model, noise):
    trained = [planted(f"sub-{n}", n, scale=n / 4, windows=90) for n in (3, 4, 5)]
    recordings = [planted(f"sub-{n}", n, scale=n / 12, noise=noise, windows=90) for n in (10, 12, 15)]
    residual_sd, about = calibrate(model, Windows(trained, CONTEXT), Windows(recordings, CONTEXT), CUTOFF)
    parts, own = ([without_drift(np.asarray(r.volumes[CONTEXT:], np.float64)[:, MASK], TR, CUTOFF) for r in group]
                  for group in (recordings, trained))  # fmt: skip
    squares = [np.square(part).mean(0) for part in parts]
    np.testing.assert_allclose(residual_sd[MASK], np.sqrt(np.mean(squares, axis=0)), rtol=1e-4)
    assert about["multiplier"] == pytest.approx(direct(parts, own, [0, 1, 2]), rel=0.005)
    for n, (label, share) in enumerate(about["coverage"].items()):
        others = [m for m in range(3) if m != n]
        reach = direct(parts, own, others) * np.sqrt(np.mean([squares[m] for m in others], axis=0))
        assert (label, share) == (recordings[n].subject, pytest.approx(np.mean(np.abs(parts[n]) <= reach), abs=0.002))


@pytest.mark.parametrize("number", [2, 3, 6])
def test_of_new_people_ninety_per_cent_are_within_on_average(rng, number):
    """Scales of people are log-normal; with two people the 1.645 of a normal distribution holds fewer values."""
    found, normal = [], []
    for _ in range(150):
        scales = np.exp(0.35 * rng.standard_normal((6 + number, 1, 1)))
        people = list(scales * rng.standard_normal((6 + number, 60, 11)))
        variances = np.stack([np.square(one).mean(axis=0) for one in people])
        deviation = np.sqrt(variances[6:].mean(axis=0))
        new = np.exp(0.35 * rng.standard_normal((200, 1))) * np.abs(rng.standard_normal((200, 11)))
        found.append(np.mean(new <= _multiplier(people[6:], variances[6:], variances[:6], range(number)) * deviation))
        normal.append(np.mean(new <= 1.645 * deviation))
    assert np.mean(found) == pytest.approx(0.9, abs=0.02)
    assert number > 2 or np.mean(normal) < np.mean(found) - 0.02


def test_three_subjects_are_too_few_and_errors_must_be_finite(model, train):
    two = Windows([planted(f"sub-{n}", n) for n in (11, 12)], CONTEXT)
    one = Windows([planted("sub-1", 1)], CONTEXT)
    assert calibrate(model, one, two, CUTOFF) == (None, {"absent": FEW_SUBJECTS})
    huge = Windows([planted("sub-1", 1), planted("sub-2", 2, scale=1e30)], CONTEXT)
    with np.errstate(over="ignore"):
        assert calibrate(model, huge, two, CUTOFF) == (None, {"absent": NOT_FINITE})


def test_every_family_has_one(bundle):
    windows = Windows([recording(f"sub-{n}", n) for n in (8, 9)], CONTEXT)
    train = Windows([recording(f"sub-{n}", n) for n in (1, 2)], CONTEXT)
    residual_sd, about = calibrate(bundle.model, train, windows, CUTOFF)
    mask, squares = bundle.model.bold_statistics.mask, []
    for number, one in enumerate(windows.recordings):
        rows = windows.indices(number)
        measured = (windows.volumes(rows) - one.statistics.mean) / one.statistics.sd * bundle.model.bold_statistics.sd
        error = without_drift(measured - bundle.model.synthesise(windows.eeg(rows)), TR, CUTOFF)
        squares.append(np.square(error).mean(0))
    np.testing.assert_allclose(residual_sd[mask], np.sqrt(np.mean(squares, axis=0))[mask], rtol=1e-3)
    assert set(about["coverage"]) == {"sub-8", "sub-9"}


def test_of_what_the_eeg_explains_only_the_rest_counts():
    """The noise around what the EEG explains has an SD of 4."""
    train = Windows([recording(f"sub-{n}", n, windows=120) for n in (1, 2, 3)], CONTEXT)
    windows = Windows([recording(f"sub-{n}", n, windows=120) for n in (8, 9)], CONTEXT)
    residual_sd, constant_sd = (
        calibrate(fit(config, train, windows, FitSettings()).model, train, windows, CUTOFF)[0][MASK]
        for config in (LinearConfig(components=2), MeanConfig())
    )
    assert np.median(constant_sd) > 15
    assert np.median(residual_sd) < np.median(constant_sd) / 2


def test_the_network_of_few_sources_has_one():
    parts = [("sub-01", "sub-02", "sub-03"), ("sub-04", "sub-05")]
    windows = [Windows(memory_store(7, windows=30).of(part), CONTEXT) for part in parts]
    config = FactorisedConfig(sources=2, components=4, training={"epochs": 1})
    residual_sd, about = calibrate(fit(config, *windows, FitSettings()).model, *windows, CUTOFF)
    assert (residual_sd[MASK] > 0).all()
    assert list(about["coverage"]) == ["sub-04", "sub-05"]


def trained(validation, **linear):
    config = {"models": [{"family": "linear", "components": 4, **linear}], "split": {"validation": validation}}
    settings = DataConfig(context=CONTEXT, channel_types=("eeg", "ecg")).model_dump(mode="json")
    return eeg2fmri.fit(dataclasses.replace(memory_store(7, windows=30), settings=settings), Config(**config))


def test_a_trained_model_keeps_it_of_its_validation_subjects(tmp_path):
    model = trained(2)
    parts = [("sub-01", "sub-02", "sub-03"), ("sub-04", "sub-05")]
    windows = [Windows(memory_store(7, windows=30).of(part), CONTEXT) for part in parts]
    expected, about = calibrate(model.model, *windows, Config().evaluation.drift_cutoff)
    np.testing.assert_array_equal(model.residual_sd, expected)
    assert model.provenance["interval"] == about
    loaded = eeg2fmri.load_model(eeg2fmri.save_model(model, tmp_path / "model"))
    np.testing.assert_array_equal(loaded.residual_sd, expected)
    assert loaded.provenance["interval"] == about


@pytest.mark.parametrize(
    ("validation", "linear", "reason"),
    [
        (1, {}, r"cannot be checked on 1 validation subject; train with at least 2 \(split\.validation\)"),
        (2, {"refit": True}, "no subject was left out of its last fit; train it with refit: false"),
    ],
)
def test_without_two_subjects_that_are_left_out_there_is_none(validation, linear, reason, tmp_path, refuses):
    model = trained(validation, **linear)
    eeg2fmri.save_model(model, tmp_path / "model")
    with np.load(tmp_path / "model" / "statistics.npz") as arrays:
        assert "residual_sd" not in arrays
    eeg = np.ones((len(CHANNELS), 10 * round(TR * SAMPLING_RATE)))
    for one in (model, eeg2fmri.load_model(tmp_path / "model")):
        with refuses(ModelError, f"^the model has no interval: .*{reason}, or leave the interval out$"):
            eeg2fmri.synthesise(one, eeg, tmp_path / "x.nii", sampling_rate=SAMPLING_RATE, interval=True)
    assert not (tmp_path / "x.nii").exists()


def test_a_subjects_own_version_has_none():
    store, config = memory_store(7, windows=60), {"models": [{"family": "linear", "components": 4}]}
    config |= {"split": {"validation": 2}, "evaluation": {"shuffles": 1, "permutations": 20}, "policy": {"level": 0.1}}
    model = eeg2fmri.fit(store, Config.model_validate(config))
    own = eeg2fmri.adapt(model, store, "sub-06", 0.2, Config.model_validate(config)).bundle
    assert model.residual_sd is not None
    assert own.residual_sd is None
    assert own.provenance["interval"]["absent"].startswith("it is the version of one subject")


def test_the_interface_writes_the_map_beside_its_image(tmp_path, rng, refuses):
    model, eeg = trained(2), rng.normal(0, 20, (len(CHANNELS), 10 * round(TR * SAMPLING_RATE)))
    with refuses(ConfigError, "interval needs a file"):
        eeg2fmri.synthesise(model, eeg, sampling_rate=SAMPLING_RATE, interval=True)
    eeg2fmri.synthesise(model, eeg, tmp_path / "x_bold.nii", sampling_rate=SAMPLING_RATE, interval=True)
    assert {path.name for path in tmp_path.iterdir()} == {
        "x_bold.nii", "x_bold.json", "x_stat-std_boldmap.nii", "x_stat-std_boldmap.json",
    }  # fmt: skip
    np.testing.assert_array_equal(nibabel.load(tmp_path / "x_stat-std_boldmap.nii").get_fdata(), model.residual_sd)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model with an interval, and one from before there were any, as MLflow keeps them."""
    folder, model = tmp_path_factory.mktemp("models"), trained(2)
    old = {key: value for key, value in model.provenance.items() if key != "interval"}
    for name, one in (("new", model), ("old", dataclasses.replace(model, provenance=old, residual_sd=None))):
        (folder / name / "bundle").mkdir(parents=True)
        parts = pyfunc_model(one, folder / name / "bundle", np.ones(EEG_SHAPE, np.float32))
        mlflow.pyfunc.save_model(folder / name / "model", **parts)
    return folder


@pytest.fixture
def root(tmp_path, rng):
    for run in RUNS:
        write_eeg(rng, tmp_path / "raw" / f"{run}_eeg")
    return tmp_path / "raw"


def test_the_command_writes_a_map_beside_each_image_and_makes_a_lost_one_again(saved, root, tmp_path):
    out, model = tmp_path / "out", load_bundle(next(saved.glob("new/model/**/bundle.json")).parent)
    command = ["synthesize", "--model-uri", str(saved / "new/model"), "--root", str(root), "--out", str(out),
               "--interval"]  # fmt: skip
    assert main(command) == 0
    maps = sorted(out.rglob("*_boldmap.nii.gz"))
    assert [path.name for path in maps] == [
        f"{run.rpartition('/')[2]}_stat-std_desc-synthesised_boldmap.nii.gz" for run in RUNS
    ]
    image = nibabel.load(maps[0])
    volumes = nibabel.load(next(maps[0].parent.glob("*_bold.nii.gz")))
    mask = model.model.bold_statistics.mask
    assert image.shape == volumes.shape[:3] == GRID
    np.testing.assert_array_equal(image.affine, volumes.affine)
    assert (image.get_fdata()[mask] > 0).all()
    assert not image.get_fdata()[~mask].any()
    sidecar = json.loads(maps[0].with_name(maps[0].name.replace(".nii.gz", ".json")).read_text())
    about = model.provenance["interval"]
    assert (sidecar["Level"], sidecar["Multiplier"], sidecar["ValidationSubjects"]) == (0.9, about["multiplier"], 2)
    assert sidecar["Coverage"]["Mean"] == pytest.approx(np.mean([*about["coverage"].values()]))
    assert "± Multiplier × this map" in sidecar["Interval"]
    assert sidecar["Sources"] == [f"bids:raw:{RUNS[0]}_eeg.vhdr"]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("sub-*.nii.gz")}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("sub-*.nii.gz")} == before
    maps[1].unlink()
    assert main(command) == 0
    after = {path: path.stat().st_mtime_ns for path in out.rglob("sub-*.nii.gz")}
    assert after.keys() == before.keys()
    assert {path for path in after if after[path] == before[path]} == {path for path in before if "sub-01" in str(path)}


def test_a_kill_before_the_map_leaves_no_finished_recording(root, tmp_path, monkeypatch):
    model, out = trained(2), tmp_path / "out"
    items = items_of_root(root, DatasetConfig(), "native")[0][:1]
    with monkeypatch.context() as patch:
        patch.setattr("eeg2fmri.serving.series.write_interval", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        if not (child := os.fork()):
            try:
                synthesise_dataset(model, items, out, model={}, interval=True)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert [path.name for path in out.rglob("sub-*_*")] == [items[0].image.name]
    assert not synthesise_dataset(model, items, out, model={}, interval=True)[0].kept
    assert len([*out.rglob("sub-*_*")]) == 4  # image, map, and a sidecar of each


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("old", [], f"the model has no interval: {OLD}, or leave the interval out"),
        ("new", ["--atlas", "a.nii"], "--interval and --atlas a.nii: errors of voxels go together"),
    ],
)
def test_the_command_refuses_in_one_line_and_writes_nothing(saved, root, tmp_path, capsys, name, more, words):
    command = ["synthesize", "--model-uri", str(saved / name / "model"), "--root", str(root), "--interval", *more]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line
    assert not (tmp_path / "out").exists()
