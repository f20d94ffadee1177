"""Classification as a tracked run: scores beside chance, a figure, tables, and the comparison with the EEG alone."""

from __future__ import annotations

import io
import shutil

import mlflow
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from eeg2fmri import cli
from eeg2fmri.classification import Beside, Classification, find_labelled
from eeg2fmri.config import load_config, parse_overrides
from eeg2fmri.evaluation import Classified
from eeg2fmri.pipeline import classify_step
from eeg2fmri.pipeline.classify import _digest, _paired, verdict
from eeg2fmri.tracking import log_bundle, tracked_run
from eeg2fmri.tracking.notes import NOTE_TAG
from tests.labelled import labelled_bundle, write_labelled
from tests.mlflow_store import use_tracking

SETTINGS = "classify.folds=4; classify.permutations=5; classify.block=8; evaluation.drift_cutoff=8; policy.level=0.2"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classify")
    with pytest.MonkeyPatch.context() as patch:
        yield folder, use_tracking(folder, patch)


@pytest.fixture(scope="module")
def study(place):
    folder, _ = place
    bundle = labelled_bundle()
    with tracked_run("train", experiment="tests"):
        log_bundle(bundle, "memory", dataset="memory", example=np.ones(bundle.window_shape, np.float32), metadata_={})
    return write_labelled(folder / "my-study")


@pytest.fixture(scope="module")
def config():
    return load_config(None, parse_overrides(SETTINGS))


@pytest.fixture(scope="module")
def classified(study, config):
    return classify_step(config, "models:/memory/1", study, study.parent)


def test_the_run_holds_scores_beside_chance(classified):
    run = mlflow.get_run(classified.run_id)
    assert run.info.status == "FINISHED"
    assert mlflow.get_experiment(run.info.experiment_id).name == "my-study"
    metrics, params = run.data.metrics, run.data.params
    assert metrics["classify/chance"] == 0.5
    for name in ("regions", "latents", "eeg"):
        assert {f"classify/balanced_accuracy_{name}{end}" for end in ("", "_permuted", "_p_value")} <= metrics.keys()
    assert metrics["classify/balanced_accuracy_regions"] > 0.8
    assert params["classify.labels"] == '{"a": 6, "b": 6}'
    assert params["classify.model"].startswith("models:/memory/1/")
    assert params["classify.column"] == "group"
    note = run.data.tags[NOTE_TAG]
    assert note.startswith("- " + classified.text.replace("\n", "\n- "))
    assert "| most frequent label | 0.500 |" in note


def test_its_tables_and_arrays_agree(classified):
    uri = mlflow.get_run(classified.run_id).info.artifact_uri
    table = pd.DataFrame(**mlflow.artifacts.load_dict(f"{uri}/subjects.json"))
    assert table.shape == (12, 5)
    content = mlflow.artifacts.load_dict(f"{uri}/classify.json")
    right, eeg = table.regions_probability > 0.5, table.eeg_probability > 0.5
    assert content["beside_eeg"]["regions"]["won"] == (right & ~eeg).sum()
    assert content["beside_eeg"]["regions"]["lost"] == (eeg & ~right).sum()
    assert len(content["draws"]["eeg"]) == 5
    path = mlflow.artifacts.download_artifacts(f"{uri}/features.npz")
    with np.load(io.BytesIO(open(path, "rb").read())) as arrays:
        assert arrays["subjects"].tolist() == table.subject.tolist()
        assert len(arrays["eeg_mean"]) == 12
    assert mlflow.artifacts.list_artifacts(f"{uri}/figures")


def test_a_second_call_uses_the_first_and_other_labels_do_not(classified, study, config):
    again = classify_step(config, "models:/memory/1", study, study.parent)
    assert again.skipped
    assert (again.run_id, again.text) == (classified.run_id, classified.text)
    path = study / "participants.tsv"
    text = path.read_text()
    path.write_text(text.replace("sub-01\ta", "sub-01\tb"))
    try:
        assert not classify_step(config, "models:/memory/1", study, study.parent).skipped
    finally:
        path.write_text(text)


def test_a_quiet_command_says_only_the_verdict_and_other_labels_need_no_features(classified, study, capsys):
    arguments = ["classify", "--root", str(study), "--model-uri", "models:/memory/1", "--workdir", str(study.parent)]
    arguments += ["--set", f"{SETTINGS}; classify.permutations=6"]
    before = {path: path.stat().st_mtime_ns for path in (study.parent / "features").iterdir()}
    assert len(before) == 12
    assert cli.main([*arguments, "--quiet"]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    assert all(line.startswith(("Synthesised", "The model's", "EEG")) for line in found.out.splitlines())
    assert {path: path.stat().st_mtime_ns for path in (study.parent / "features").iterdir()} == before
    assert cli.main([*arguments, "--set", f"{SETTINGS}; classify.permutations=7"]) == 0
    lines = [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]
    assert sum("volume marker" in line for line in lines) == 1
    assert "12 of 12 recordings have no volume marker: their time zero is the start of the file" in lines
    assert "features of 12 of 12 recordings were there" in lines


def test_a_change_of_an_inherited_table_is_seen(study, config):
    table = study / "task-rest_channels.tsv"
    text, before = table.read_text(), _digest(find_labelled(config, study))
    table.write_text(text.replace("EEG", "MISC", 1))
    try:
        assert _digest(find_labelled(config, study)) != before
    finally:
        table.write_text(text)


def test_the_command_prints_the_verdict(classified, study, capsys):
    arguments = ["classify", "--root", str(study), "--model-uri", "models:/memory/1", "--set", SETTINGS, "--quiet"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr() == (f"{classified.text}\n", "")
    assert cli.main([*arguments, "--column", "sex"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no column 'sex'" in line


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("truncated", "leave the recording out"),
        ("empty", "sub-03_task-rest_eeg"),
        ("no samples", "sub-03_task-rest_eeg"),
        ("no header", "sub-03_task-rest_eeg.vhdr"),
        ("not finite", "sub-03_task-rest_eeg"),
    ],
)
def test_a_recording_that_cannot_be_used_is_one_line(study, tmp_path, capsys, harm, message):
    """Nothing is half-written: the run has failed, and holds no score."""
    other = shutil.copytree(study, tmp_path / "other")
    samples = other / "sub-03" / "eeg" / "sub-03_task-rest_eeg.eeg"
    whole = samples.read_bytes()
    if harm == "truncated":
        samples.write_bytes(whole[: len(whole) // 4])
    elif harm == "empty":
        samples.write_bytes(b"")
    elif harm == "no samples":
        samples.unlink()
    elif harm == "no header":
        samples.with_suffix(".vhdr").write_bytes(b"\x00nothing")
    else:
        samples.write_bytes(np.full(len(whole) // 4, np.nan, np.float32).tobytes())
    arguments = ["classify", "--root", str(other), "--model-uri", "models:/memory/1", "--set", SETTINGS, "--quiet"]
    assert cli.main(arguments) == 2
    *warnings, line = capsys.readouterr().err.splitlines()
    assert line.startswith("eeg2fmri classify: ")
    assert message in line
    assert not any("Traceback" in each for each in warnings)
    experiment = mlflow.get_experiment_by_name("other").experiment_id
    (run,) = mlflow.search_runs([experiment], max_results=1, output_format="list")
    assert run.info.status == "FAILED"
    assert not run.data.metrics


@pytest.mark.parametrize(
    ("shape", "message"), [((8, 7, 5, 3), "a 3-D label image is expected"), (None, "no such file")]
)
def test_an_atlas_that_cannot_be_used_is_one_line(study, tmp_path, capsys, shape, message):
    path = tmp_path / "atlas.nii.gz"
    if shape:
        nib.save(nib.Nifti1Image(np.ones(shape, np.int16), np.eye(4)), path)
    arguments = ["classify", "--root", str(study), "--model-uri", "models:/memory/1", "--set", SETTINGS, "--quiet"]
    assert cli.main([*arguments, "--atlas", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def outcome(own: int, eeg: int) -> Classification:
    """Twelve subjects; the sets are right about so many, the EEG about the last ones."""

    def found(correct):
        probability = np.where(correct, 0.8, 0.2)
        return Classified(probability, correct, np.full(12, 1 / 12), np.linspace(0.3, 0.7, 39))

    return Classification(
        tuple(f"sub-{n}" for n in range(12)),
        ("a", "b") * 6,
        {"regions": found(np.arange(12) < own), "eeg": found(np.arange(12) >= 12 - eeg)},
        0.025,
    )


def test_no_difference_has_no_minus():
    assert "balanced accuracy +0.00, p = 1" in _paired("regions", Beside(2, 2, -1.1e-16, 1.0), 0.05)


@pytest.mark.parametrize(
    ("own", "eeg", "words"),
    [
        (
            12,
            3,
            [
                "Synthesised regions are better than chance",
                "Synthesised regions are better than EEG alone (only they are right about 9 subjects, only the EEG",
                "balanced accuracy +0.75",
            ],
        ),
        (
            3,
            12,
            ["Synthesised regions are worse than EEG alone", "0 subjects, only the EEG about 9", "accuracy -0.75"],
        ),
        (
            6,
            0,
            [
                "Synthesised regions are not better than chance",
                "neither better nor worse",
                "6 subjects, only the EEG about 0",
            ],
        ),
        (
            6,
            6,
            [
                "Synthesised regions are not better than chance",
                "EEG alone is not better than chance",
                "neither better nor worse than EEG alone (only they are right about 6 subjects, only the EEG about 6",
                "p = 1",
            ],
        ),
    ],
)
def test_the_verdict_says_who_wins(own, eeg, words):
    text = verdict(outcome(own, eeg), 0.05)
    assert len(text.splitlines()) == 3
    for word in words:
        assert word in text
