"""Many recordings to a BIDS derivative: names, sidecars, what is kept, what is refused, kills."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import signal
import subprocess
import sysconfig
from types import SimpleNamespace

import nibabel
import numpy as np
import pybv
import pytest

import eeg2fmri
from eeg2fmri.cli import main
from eeg2fmri.config import DatasetConfig
from eeg2fmri.errors import ConfigError, DatasetError
from eeg2fmri.serving import Courses, Done, items_of_files, items_of_root, synthesise_dataset
from eeg2fmri.serving.series import synthesise_file
from tests.fakes import CHANNELS, CONTEXT, GRID, SAMPLING_RATE, TR

STEP = round(TR * SAMPLING_RATE)
MODEL = {"Name": "ours", "Version": "3", "Digest": "abc"}
RUNS = ("sub-01/ses-a/eeg/sub-01_ses-a_task-rest_run-1", "sub-02/eeg/sub-02_task-rest")
SPACE = "MNI152NLin6Asym"
SPACED = f"_space-{SPACE}"
IMAGES = (
    f"sub-01/ses-a/func/sub-01_ses-a_task-rest_run-1{SPACED}_desc-synthesised_bold",
    f"sub-02/func/sub-02_task-rest{SPACED}_desc-synthesised_bold",
)


def write_eeg(rng, path, trs=9):
    """EEG of so many TRs with volume markers."""
    events = [{"onset": 5 + n * STEP, "description": 128, "type": "Response"} for n in range(trs)]
    pybv.write_brainvision(data=rng.normal(0, 20e-6, (len(CHANNELS), 7 + trs * STEP)), sfreq=SAMPLING_RATE,
                           ch_names=list(CHANNELS), fname_base=path.name, folder_out=path.parent, events=events,
                           fmt="binary_float32", overwrite=True)  # fmt: skip
    return path.with_suffix(".vhdr")


@pytest.fixture
def root(tmp_path, rng):
    folder = tmp_path / "raw"
    for run in RUNS:
        write_eeg(rng, folder / f"{run}_eeg")
    (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "derived"


def everything(folder):
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def synthesise(bundles, root, out, model=MODEL, **options):
    items, _ = items_of_root(root, DatasetConfig(), SPACE)
    return synthesise_dataset(bundles["linear"], items, out, model=model, **options)


@pytest.fixture
def courses(bundles, tmp_path):
    """One region, called one."""
    nibabel.save(nibabel.Nifti1Image(np.ones(GRID, np.uint8), np.diag([2, 3, 4, 1])), tmp_path / "one.nii")
    return Courses.of(bundles["linear"], tmp_path / "one.nii")


def beside(name, more):
    """Name a file beside an image: entity and suffix."""
    return name.replace("_desc-synthesised_bold", f"_{more[0]}_desc-synthesised_{more[1]}")


def with_interval(bundle):
    about = {"level": 0.9, "multiplier": 1.7, "drift_cutoff": 128.0, "coverage": {"sub-4": 0.9, "sub-5": 0.8}}
    return dataclasses.replace(
        bundle, residual_sd=np.ones(GRID, np.float32), provenance={**bundle.provenance, "interval": about}
    )


def check_bids(folder):
    """Let the BIDS validator find no error."""
    found = shutil.which("bids-validator-deno", path=sysconfig.get_path("scripts"))
    assert found, "bids-validator-deno is missing: pip install '.[dev]'"
    done = subprocess.run([found, "--format", "json", str(folder)], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert done.returncode == 0


def test_names_description_and_sidecars_of_a_derivative(bundles, root, out, courses):
    model = {"linear": with_interval(bundles["linear"])}
    found = synthesise(model, root, out, courses=courses, interval=True)
    assert [done.volumes for done in found] == [9 - CONTEXT + 1] * 2
    tables = [beside(name, ("seg-one", "timeseries")) for name in IMAGES]
    maps = [beside(name, ("stat-std", "boldmap")) for name in IMAGES]
    images = {f"{name}{end}" for name in (*IMAGES, *maps) for end in (".nii.gz", ".json")}
    expected = images | {f"{name}{end}" for name in tables for end in (".tsv", ".json")}
    assert everything(out).keys() == expected | {"dataset_description.json", ".bidsignore"}
    check_bids(out)
    for name in tables:
        about = json.loads((out / f"{name}.json").read_text())["Description"]
        assert about.startswith("Mean courses of regions")
        assert about.endswith("times count from the first volume marker (R128)")
    about = json.loads((out / "dataset_description.json").read_text())
    assert about["DatasetType"] == "derivative"
    assert about["BIDSVersion"]
    assert about["GeneratedBy"] == [{"Name": "eeg2fmri synthesize", "Version": eeg2fmri.__version__}]
    assert (out / about["DatasetLinks"]["raw"]).resolve() == root.resolve()
    for name, run in zip(IMAGES, RUNS, strict=True):
        sidecar = json.loads((out / f"{name}.json").read_text())
        assert sidecar["Model"] == MODEL
        assert sidecar["Sources"] == [f"bids:raw:{run}_eeg.vhdr"]
        assert (sidecar["StartTime"], sidecar["RepetitionTime"]) == (CONTEXT * TR, TR)
        assert len(sidecar["SourceDigest"]) == 64
        assert "averaged away" in sidecar["Shrinkage"]


def test_an_image_is_that_of_its_file_alone(bundles, root, out, tmp_path):
    synthesise(bundles, root, out)
    synthesise_file(bundles["linear"], root / f"{RUNS[1]}_eeg.vhdr", tmp_path / "alone.nii.gz")
    assert (tmp_path / "alone.nii.gz").read_bytes() == (out / f"{IMAGES[1]}.nii.gz").read_bytes()


def test_files_are_named_by_their_entities_and_a_native_space_is_not_named(root):
    files = [root / f"{run}_eeg.vhdr" for run in RUNS]
    first, second = items_of_files(files, "auto", "native")
    assert str(first.image) == f"{IMAGES[0].replace(SPACED, '')}.nii.gz"
    assert str(second.image) == f"{IMAGES[1].replace(SPACED, '')}.nii.gz"
    assert first.root == second.root == root


def test_sources_of_files_can_be_followed(bundles, root, out, tmp_path, rng):
    """Two datasets, and a folder that is none; a later call keeps the names that earlier sidecars use."""
    other, loose = tmp_path / "other lab", tmp_path / "loose"
    paths = [root / f"{RUNS[1]}_eeg.vhdr"]
    for folder, run in ((other, "sub-03/eeg/sub-03_task-rest"), (loose, "sub-04_task-rest")):
        paths.append(write_eeg(rng, folder / f"{run}_eeg"))
    (other / "dataset_description.json").write_text('{"Name": "y", "BIDSVersion": "1.10.0"}')
    for several in (paths[:1], paths[1:]):
        synthesise_dataset(bundles["linear"], items_of_files(several, "auto", "native"), out, model=MODEL)
    links = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]
    assert links == {"raw": "../raw", "raw2": "../other%20lab", "raw3": "../loose"}
    sources = [json.loads(path.read_text())["Sources"] for path in sorted(out.glob("sub-*/func/*.json"))]
    assert sources == [
        [f"bids:raw:{RUNS[1]}_eeg.vhdr"],
        ["bids:raw2:sub-03/eeg/sub-03_task-rest_eeg.vhdr"],
        ["bids:raw3:sub-04_task-rest_eeg.vhdr"],
    ]
    done = synthesise_dataset(bundles["linear"], items_of_files(paths[::-1], "auto", "native"), out, model=MODEL)
    assert all(each.kept for each in done)


def test_tables_are_inherited(bundles, root, out):
    (root / "task-rest_channels.tsv").write_text(
        "name\ttype\n"
        + "".join(f"{name}\t{'ECG' if name == 'ECG' else 'EEG'}\n" for name in CHANNELS[:-1])
        + "ECG\tMISC\n"
    )
    errors = [done.error for done in synthesise(bundles, root, out)]
    assert all("ECG missing" in error for error in errors)


def test_finished_recordings_are_kept_until_model_or_source_change(bundles, root, out, rng):
    assert not any(done.kept for done in synthesise(bundles, root, out))
    before = everything(out)
    assert all(done.kept for done in synthesise(bundles, root, out))
    assert {k: v for k, v in everything(out).items() if "sub-" in k} == {k: v for k, v in before.items() if "sub-" in k}
    write_eeg(rng, root / f"{RUNS[1]}_eeg")
    assert [done.kept for done in synthesise(bundles, root, out)] == [True, False]
    (out / f"{IMAGES[0]}.nii.gz").unlink()
    assert [done.kept for done in synthesise(bundles, root, out)] == [False, True]
    assert not any(done.kept for done in synthesise(bundles, root, out, {**MODEL, "Version": "4"}))


def test_a_recording_that_fails_does_not_end_the_others(bundles, root, out):
    (root / f"{RUNS[0]}_eeg.eeg").unlink()
    told: list[Done] = []
    bad, good = synthesise(bundles, root, out, on_recording=told.append)
    assert bad.error.startswith(f"{root / RUNS[0]}_eeg.vhdr: ")
    assert "\n" not in bad.error
    assert good.volumes
    assert not good.error
    assert told == [bad, good]
    assert not (out / "sub-01").exists()


@pytest.mark.slow
def test_two_workers_write_the_same(bundles, root, out, tmp_path):
    synthesise(bundles, root, out)
    assert [done.volumes for done in synthesise(bundles, root, tmp_path / "two", workers=2)] == [9 - CONTEXT + 1] * 2
    for name in everything(out):
        if "sub-" in name:
            assert (out / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_folder_of_something_else_is_refused(bundles, root, out, refuses):
    with refuses(ConfigError, r"raw: a folder with other content \(dataset_description\.json\); give a new one"):
        synthesise(bundles, root, root)
    out.write_text("a file")
    with refuses(ConfigError, "derived: a file; many recordings need a folder as --out"):
        synthesise(bundles, root, out)


def test_files_without_a_subject_or_of_one_recording_are_refused(refuses, tmp_path):
    with refuses(ConfigError, r"night\.edf: a name with sub-LABEL is expected"):
        items_of_files([tmp_path / "night.edf"], "auto", "native")
    double = [tmp_path / "a" / "sub-01_task-rest_eeg.edf", tmp_path / "b" / "sub-01_task-rest_eeg.edf"]
    with refuses(ConfigError, "another EEG file has the same entities"):
        items_of_files(double, "auto", "native")


def test_a_dataset_without_eeg_is_refused(refuses, tmp_path):
    with refuses(DatasetError, "no EEG recording"):
        items_of_root(tmp_path, DatasetConfig(), "native")


@pytest.mark.parametrize("recording", [0, 1])
def test_a_kill_leaves_no_half_file_and_a_rerun_finishes(bundles, root, out, tmp_path, recording):
    """The process dies in the middle of a recording, with volumes in its file."""
    seen = []

    def die(done, total):
        seen.append(done)
        if len(seen) == recording + 1:  # a recording is one block here
            os.kill(os.getpid(), signal.SIGKILL)

    if not (child := os.fork()):
        try:
            synthesise(bundles, root, out, on_volumes=die)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    shown = {name for name in everything(out) if not any(part.startswith(".") for part in name.split(os.sep))}
    assert shown == {"dataset_description.json", *(f"{IMAGES[0]}{end}" for end in (".nii.gz", ".json") if recording)}
    assert [done.kept for done in synthesise(bundles, root, out)] == [bool(recording), False]
    synthesise(bundles, root, tmp_path / "whole")
    assert everything(out).keys() == everything(tmp_path / "whole").keys()
    for name in IMAGES:
        assert (out / f"{name}.nii.gz").read_bytes() == (tmp_path / "whole" / f"{name}.nii.gz").read_bytes()


def test_without_its_table_of_courses_a_recording_is_made_again(bundles, root, out, courses):
    assert not any(done.kept for done in synthesise(bundles, root, out))
    assert not any(done.kept for done in synthesise(bundles, root, out, courses=courses))
    table = beside(IMAGES[1], ("seg-one", "timeseries"))
    assert (out / f"{table}.tsv").read_text().splitlines()[0] == "1"
    assert all(done.kept for done in synthesise(bundles, root, out, courses=courses))
    (out / f"{table}.tsv").unlink()
    assert [done.kept for done in synthesise(bundles, root, out, courses=courses)] == [True, False]


@pytest.fixture
def command(bundles, monkeypatch, capsys):
    """Run ``synthesize`` with a model: exit status, and lines on stderr."""
    version = SimpleNamespace(name="study", version=2)
    bundle = dataclasses.replace(bundles["linear"], digest="d")
    monkeypatch.setattr("eeg2fmri.tracking.load_model", lambda *_: (bundle, version))
    monkeypatch.setattr(logging.getLogger("eeg2fmri"), "handlers", [])

    def run(*arguments):
        given = ["synthesize", "--model-uri", "models:/study/2", *map(str, arguments)]
        monkeypatch.setattr("eeg2fmri.cli.command.needs_server", lambda *_: False)
        try:
            status = main(given)
        except SystemExit as err:
            status = err.code
        logging.getLogger("eeg2fmri").propagate = True
        return status, capsys.readouterr().err.strip().splitlines()

    return run


def test_the_command_writes_a_dataset(command, root, out):
    as_mlflow_passes_it = "--eeg", "", "--atlas", ""
    assert command(*as_mlflow_passes_it, "--root", root, "--out", out, "--subjects", "02")[0] == 0
    sidecar = json.loads((out / f"{IMAGES[1].replace(SPACED, '')}.json").read_text())
    assert sidecar["Model"] == {"Name": "study", "Version": "2", "Digest": "d"}
    assert not (out / "sub-01").exists()
    files = [root / f"{run}_eeg.vhdr" for run in RUNS]
    status, lines = command("--eeg", *files, "--out", out)
    assert status == 0
    assert "1 recordings made, 1 kept" in lines[-1]  # that of --root is of the same file
    (root / f"{RUNS[0]}_eeg.eeg").unlink()
    status, lines = command("--root", root, "--out", out)
    assert status == 1
    assert "1 of 2 recordings cannot be used (sub-01_ses-a_task-rest_run-1)" in lines[-1]
    assert command("--root", root, "--out", out, "--allow-failures")[0] == 0


def test_a_remark_that_recordings_share_is_one_line(command, tmp_path, out, rng):
    """Files of EEG only have no volume marker."""
    for run in RUNS:
        (tmp_path / run).parent.mkdir(parents=True)
        pybv.write_brainvision(data=rng.normal(0, 20e-6, (len(CHANNELS), 9 * STEP)), sfreq=SAMPLING_RATE,
                               ch_names=list(CHANNELS), fname_base=f"{run.split('/')[-1]}_eeg", fmt="binary_float32",
                               folder_out=(tmp_path / run).parent)  # fmt: skip
    status, lines = command("--root", tmp_path, "--out", out)
    assert status == 0
    assert [line.partition(" ")[2] for line in lines if "time zero" in line] == [
        f"{tmp_path / RUNS[0]}_eeg.vhdr and 1 more: time zero is the start of the EEG file"
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "x.nii"], "--eeg and --root: none given, one expected"),
        (["--eeg", "a.vhdr", "--root", "b", "--out", "c"], "--eeg and --root: both given, one expected"),
        (["--root", "b", "--out", "c.nii.gz"], "one image for several recordings; give a folder"),
        (["--eeg", "a.vhdr", "--out", "c"], "c: the output must end in .nii or .nii.gz"),
        (["--root", "nowhere", "--out", "c"], "nowhere: no such dataset folder"),
        (["--root", "b", "--out", "c", "--atlas", "a-1.nii"], "a-1.nii: the name of an atlas becomes a BIDS label"),
        (["--eeg", "sub-1_eeg.edf", "--out", "c.nii"], "sub-1_eeg.edf: no such EEG file"),
        (["--eeg", "sub-1_eeg.edf", "--out", "c.nii", "--atlas", "no.nii"], "no.nii: no such file"),
        (["--root", "b", "--out", "c", "--workers", "0"], "'0' must be a whole number of at least 1"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(command, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, (line,) = command(*arguments)
    assert status == 2
    assert words in line
    assert not [*tmp_path.iterdir()]
