"""`eeg2fmri inspect`: a table from headers and a few seconds of EEG, and one line for every problem."""

import json

import numpy as np
import pytest

from eeg2fmri import cli
from eeg2fmri.datasets import RawEeg
from tests.conftest import tiny_volumes
from tests.datasets.trees import (
    rename_in_header,
    write_bold,
    write_cn_epfl,
    write_noddi,
    write_oddball,
    write_vhdr,
    write_xp1,
    write_xp2,
)

XP1 = {"MIpre": (False, True, True), "eegNF": (False, True, False)}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command on a folder: exit status, lines of the table, lines of errors."""
    monkeypatch.setattr("eeg2fmri.cli.command._set_up_logging", lambda args: None)

    def command(*options):
        status = cli.main(["inspect", str(tmp_path), *options])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return command


def rows(run, *options, json_option=("--json",)):
    status, out, _ = run(*json_option, *options)
    content = json.loads("\n".join(out))
    return status, {row["recording"]: row for row in content["recordings"]}, content


def test_a_table_of_every_recording(run, tmp_path):
    write_xp1(tmp_path, runs=XP1)
    status, lines, errors = run("--dataset", "xp1")
    assert (status, errors) == (0, [])
    assert lines[0].split()[:3] == ["recording", "status", "channels"]
    assert lines[1].split("  ")[0] == "sub-xp102_task-MIpre"
    for text in ("usable", "63 eeg 1 ecg", "200", "5×4×3", "xp offset", "-2 s"):
        assert text in lines[1]
    assert "EEG without BOLD" in lines[2]
    assert lines[3] == "1 of 2 recordings usable"
    assert lines[-1].endswith("sub-xp102_task-eegNF_eeg_pp.vhdr: EEG without BOLD")


@pytest.mark.parametrize(
    ("write", "name", "expected"),
    [
        (write_cn_epfl, "cn-epfl", {"tr": 1.28, "sampling_rate": 500, "alignment": "R128", "volumes": 13}),
        (write_noddi, "noddi", {"tr": 2.16, "sampling_rate": 250, "alignment": "Scan Start", "bold_start": 4.0}),
        (lambda root: write_oddball(root, ("001",)), "oddball",
         {"tr": 2.0, "sampling_rate": 1000, "alignment": "scanner start", "bold_start": 0.0}),
        (write_xp2, "xp2", {"tr": 1.0, "sampling_rate": 200, "alignment": "xp offset", "bold_start": -2.0}),
    ],
)  # fmt: skip
def test_every_dataset_for_machines(write, name, expected, run, tmp_path):
    write(tmp_path)
    status, found, content = rows(run, "--dataset", name)
    assert status == 0
    usable = [row for row in found.values() if row["status"] == "usable"]
    assert content["usable"] == len(usable) > 0
    for row in usable:
        assert {key: row[key] for key in expected} == expected
        assert row["grid"] == [5, 4, 3]


@pytest.mark.usefixtures("run")
def test_of_signals_only_eight_seconds_are_read(bids_root, monkeypatch):
    read, samples = RawEeg.read, []

    def counted(raw, picks, start=0, stop=None):
        samples.append(stop - start)
        return read(raw, picks, start, stop)

    def fail(*_):
        raise AssertionError

    monkeypatch.setattr(RawEeg, "read", counted)
    monkeypatch.setattr("eeg2fmri.datasets.nifti._decompress", fail)
    assert cli.main(["inspect", str(bids_root)]) == 0
    assert samples == [100] * 8 * 3


@pytest.mark.usefixtures("run")
def test_what_only_the_whole_file_shows_is_found_where_it_is_asked_for(tmp_path, write_recording, rng, capsys):
    volumes = tiny_volumes(rng)
    volumes[..., 7] = 0
    for subject, values in (("01", tiny_volumes(rng)), ("02", volumes)):
        write_recording(tmp_path / "bids", subject, volumes=values)
    settings = ["--set", "data.frequencies=7; data.context=3"]
    assert cli.main(["inspect", str(tmp_path / "bids"), *settings]) == 0
    assert cli.main(["inspect", str(tmp_path / "bids"), "--full", *settings]) == 1
    out = capsys.readouterr().out
    assert "1 of 2 recordings usable" in out
    assert "sub-02_task-rest_bold.nii.gz: 1 of 22 volumes hold only 0, the first is number 7" in out


@pytest.mark.usefixtures("run")
def test_what_is_wrong_with_each_file(bids_root, capsys):
    bold = next(bids_root.glob("sub-01/func/*.nii.gz"))
    bold.unlink()
    bold.symlink_to("../../.git/annex/objects/aa/bb/x.nii.gz")
    header = next(bids_root.glob("sub-02/eeg/*.vhdr"))
    rename_in_header(header, "DataFile=sub-02", "DataFile=old")
    assert cli.main(["inspect", str(bids_root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "2 of 3 recordings usable" in lines
    assert lines[1].split()[1] == "failed"
    assert f"{bold}: its content was never fetched (git-annex), run: datalad get {bold}" in lines
    assert any(line.startswith(f"{header}: its header names old_task-rest_eeg.eeg, renamed since") for line in lines)


def test_what_recordings_do_not_share(run, tmp_path):
    write_noddi(tmp_path, ("32", "43"))
    names = ("Fp1", "Cz", "Pz", "Oz", "ECG")
    header = tmp_path / "EEG2/43/export/43_rest.vhdr"
    write_vhdr(
        header,
        np.random.default_rng(0).normal(0, 9, (5, 250 * 40)),
        250,
        names,
        [(4 + 2.16 * v, "R128") for v in range(13)],
    )
    write_bold(tmp_path / "fMRI/43/43_fmri_rest_with_cross.nii.gz", tr=2.16, sidecar=False, grid=(6, 4, 3))
    _, lines, _ = run("--dataset", "noddi")
    assert "not alike: grid: 5×4×3 in 1, 6×4×3 in 1" in lines
    assert "not alike: channels: 4 common; sub-32_task-rest extra Fp2" in lines
    assert "not alike: channels: 4 common; sub-43_task-rest lacks Fp2; extra Pz" in lines


def test_empty_options_are_those_not_given(run, tmp_path):
    """As `mlflow run` passes them."""
    write_xp1(tmp_path, runs=XP1)
    empty = [part for option in ("json", "plot", "channel", "volume") for part in (f"--{option}", "")]
    assert run("--dataset", "xp1", *empty) == run("--dataset", "xp1")
    assert rows(run, "--dataset", "xp1", json_option=("--json", "true")) == rows(run, "--dataset", "xp1")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_nothing_usable_ends_with_2(options, run, tmp_path):
    write_xp1(tmp_path, runs={"eegNF": (False, True, False)})
    status, lines, errors = run("--dataset", "xp1", *options)
    assert status == 2
    assert lines
    assert errors == [
        f"eeg2fmri inspect: {tmp_path}: no usable recording; the lines above give the reason for each file"
    ]


def test_some_that_cannot_be_used_end_with_1_unless_allowed(run, tmp_path):
    write_cn_epfl(tmp_path)
    (tmp_path / "sub-02/ses-001/func/sub-02_ses-001_task-main_run-001_bold.nii.gz").write_bytes(b"cut short")
    status, lines, errors = run("--dataset", "cn-epfl")
    assert (status, len(errors)) == (1, 1)
    assert f"{tmp_path}: 1 of " in errors[0]
    assert "recordings cannot be used; the lines above give the reasons" in errors[0]
    assert run("--dataset", "cn-epfl", "--allow-failures") == (0, lines, [])


def test_an_empty_folder_says_what_is_expected(run, tmp_path):
    status, lines, _ = run()
    assert status == 2
    assert lines[-1] == (
        f"{tmp_path}: nothing found; a BIDS dataset with sub-*/eeg/*_eeg.vhdr and sub-*/func/*_bold.nii.gz is expected"
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--subjects", "xp103"], "'xp103' matches nothing"),
        (["--eeg", "eeg_qq"], "no derivative 'eeg_qq'"),
        (["--bold", "fmriprep"], "no derivative 'fmriprep'"),
        (["--set", "dataset.alignment=clock"], "dataset.alignment"),
    ],
)
def test_bad_options_end_with_2_and_one_line(options, named, run, tmp_path):
    write_xp1(tmp_path, runs=XP1)
    status, lines, errors = run("--dataset", "xp1", *options)
    assert (status, lines) == (2, [])
    assert len(errors) == 1
    assert named in errors[0]


def test_the_filters_of_the_command_line(run, tmp_path):
    write_cn_epfl(tmp_path)
    _, found, content = rows(run, "--dataset", "cn-epfl", "--subjects", "02,sub-04", "--runs", "1", "--tasks", "main")
    assert list(found) == ["sub-02_ses-001_task-main_run-001", "sub-04_ses-001_task-main_run-001"]
    assert all("with the default settings, 13 volumes" in item["problem"] for item in content["problems"])
    _, found, _ = rows(run, "--set", "dataset.subjects=[02]; dataset.runs=2; dataset.tasks=main")
    assert list(found) == ["sub-02_ses-001_task-main_run-002"]


@pytest.mark.usefixtures("run")
def test_a_recording_of_another_tr_is_not_usable_beside_the_others(bids_root, write_recording, capsys):
    volumes = np.random.default_rng(0).normal(500, 9, (9, 8, 7, 22)).astype(np.float32)
    markers = [130 + 60 * v for v in range(22)]
    write_recording(bids_root, "09", tr_s=0.6, markers=markers, volumes=volumes,
                    eeg=np.random.default_rng(0).normal(0, 20, (5, 1600)))  # fmt: skip
    assert cli.main(["inspect", str(bids_root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "3 of 4 recordings usable" in lines
    assert any("sub-09_task-rest_bold.nii.gz: differs from most recordings in TR" in line for line in lines)
