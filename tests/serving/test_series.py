"""Blocks of a recording: equal to the whole, whole on disk or absent, and in no more memory for a longer one."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import gzip
import json
import os
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pybv
import pytest

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets import open_clean_eeg, open_eeg_file, read_clean_eeg
from eeg2fmri.errors import ConfigError, DatasetError, DiskFullError
from eeg2fmri.serving import Courses, atlas_label, recording, series, synthesise_file, write_interval
from eeg2fmri.serving.files import sidecar_path, synthesise_recording
from eeg2fmri.serving.recording import EegFile, open_recording
from eeg2fmri.signals import DENSITY
from tests.fakes import CHANNELS, CONTEXT, GRID, SAMPLING_RATE, TR

STEP = TR * SAMPLING_RATE
LEAD = 21


@pytest.fixture
def write(tmp_path, rng):
    """Write a recording of so many TRs, Fp1 marked as bad."""

    def written(trs=23, rate=SAMPLING_RATE, name="sub-01_task-rest_eeg"):
        period = TR * rate
        n_samples = LEAD + int(trs * period) + 5
        data = rng.normal(0, 20, (len(CHANNELS), n_samples)) + 3
        beat = np.arange(n_samples) % round(0.9 * rate) / rate - 0.4  # s from the last R peak
        data[CHANNELS.index("ECG")] += 800 * np.exp(-((beat / 0.02) ** 2))
        events = [{"onset": round(LEAD + n * period), "description": 128, "type": "Response"} for n in range(trs)]
        pybv.write_brainvision(data=data * 1e-6, sfreq=rate, ch_names=list(CHANNELS), fname_base=name,
                               folder_out=tmp_path / "eeg", events=events, fmt="binary_float32")  # fmt: skip
        rows = "".join(f"{n}\t{'ECG' if n == 'ECG' else 'EEG'}\t{'bad' if n == 'Fp1' else 'good'}\n" for n in CHANNELS)
        (tmp_path / "eeg" / f"{name.rsplit('_', 1)[0]}_channels.tsv").write_text("name\ttype\tstatus\n" + rows)
        return tmp_path / "eeg" / f"{name}.vhdr"

    return written


def cleaned(bundle, **steps):
    return dataclasses.replace(bundle, settings={**bundle.settings, "cleaning": CleaningConfig(**steps).model_dump()})


STEPS = {
    "as it is": {"interpolate_bads": False},
    "bad channels": {},
    "reference": {"average_reference": True},
    "half the rate": {"sampling_rate": SAMPLING_RATE},
    "two thirds of the rate": {"sampling_rate": SAMPLING_RATE * 4 / 3},
    "gradient": {"gradient": True, "template": 3},
    "pulse": {"pulse": True},
}


@pytest.mark.parametrize("types", [("eeg", "ecg"), ("eeg",)])
@pytest.mark.parametrize("steps", STEPS)
def test_parts_of_the_cleaned_eeg_are_those_of_the_whole(write, steps, types):
    config = CleaningConfig(**STEPS[steps])
    raw = open_eeg_file(path := write(trs=60, rate=2 * SAMPLING_RATE), EegFile.beside(path).channels)
    onsets = LEAD + 2 * STEP * np.arange(60)
    whole, parts = (read(raw, types, onsets, config) for read in (read_clean_eeg, open_clean_eeg))
    assert (parts.n_samples, parts.channels) == (whole.data.shape[1], whole.channels)
    assert (parts.sampling_rate, parts.factor) == (whole.sampling_rate, whole.factor)
    for start, stop in ((0, 7), (5, 311), (300, 301), (parts.n_samples - 9, parts.n_samples), (0, parts.n_samples)):
        np.testing.assert_allclose(parts.read(start, stop), whole.data[:, start:stop], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("unit", ["potential", "density"])
@pytest.mark.parametrize("rate", [SAMPLING_RATE, SAMPLING_RATE + 1])
@pytest.mark.parametrize("block", [1, 4, 7, 32])
def test_blocks_are_the_whole_recording(bundles, write, monkeypatch, block, rate, unit):
    """At 65 Hz a TR has 32.5 samples, so the first window of a block may begin halfway between two."""
    bundle = bundles["linear"]
    if unit == "density":
        bundle = dataclasses.replace(bundle, signal=dataclasses.replace(bundle.signal, unit=DENSITY))
    path = write(rate=rate)
    raw = open_eeg_file(path, EegFile.beside(path).channels)
    opened = open_recording(bundle, EegFile.beside(path))
    eeg = read_clean_eeg(raw, ("eeg", "ecg"), np.empty(0), CleaningConfig())
    windows = bundle.windows(eeg.data, rate, eeg.channels, opened.onset, opened.period)
    expected = bundle.model.synthesise(windows) * bundle.model.bold_statistics.mask
    monkeypatch.setattr(recording, "BLOCK_VOLUMES", block)
    blocks = [*opened.volumes()]
    assert max(map(len, blocks)) <= block
    np.testing.assert_allclose(np.concatenate(blocks), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
def test_the_file_is_the_image(bundles, write, tmp_path, monkeypatch, name):
    monkeypatch.setattr(recording, "BLOCK_VOLUMES", 3)
    path, out = write(), tmp_path / "out" / name
    done = []
    shape = synthesise_file(bundles["linear"], path, out, on_volumes=lambda *now: done.append(now))
    expected = synthesise_recording(bundles["linear"], path)
    found = nibabel.load(out)
    assert found.shape == expected.image.shape == shape == (*GRID, 23 - CONTEXT + 1)
    assert bytes(found.header.binaryblock) == bytes(
        nibabel.Nifti1Image.from_bytes(expected.image.to_bytes()).header.binaryblock
    )
    np.testing.assert_array_equal(found.get_fdata(), expected.image.get_fdata())
    sidecar = json.loads((tmp_path / "out" / "bold.json").read_text())
    assert sidecar == expected.sidecar
    assert "mean that the model expects" in sidecar["Shrinkage"]
    assert done == [(min(n, shape[3]), shape[3]) for n in range(3, shape[3] + 3, 3)]
    synthesise_file(bundles["linear"], path, tmp_path / "again" / name)
    assert (tmp_path / "again" / name).read_bytes() == out.read_bytes()


@pytest.mark.parametrize("steps", [{}, {"gradient": True, "template": 3}])
def test_memory_does_not_grow_with_the_recording(bundles, write, monkeypatch, steps):
    """Of ten times as many volumes only the channels' mean magnitudes stay, 8 bytes a channel and window."""
    monkeypatch.setattr(recording, "BLOCK_VOLUMES", 8)
    peaks = []
    for trs in (30, 300):
        opened = open_recording(
            cleaned(bundles["mean"], **steps), EegFile.beside(write(trs, name=f"sub-{trs}_task-rest_eeg"))
        )
        tracemalloc.start()
        for _ in opened.volumes():
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    in_memory = 270 * 4 * (np.prod(GRID) + len(CHANNELS) * STEP)  # of volumes and EEG
    assert peaks[1] - peaks[0] < in_memory / 4


def test_a_fault_in_a_later_block_leaves_what_was_there(bundles, write, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "BLOCK_VOLUMES", 4)
    path, out = write(trs=400), tmp_path / "out" / "bold.nii.gz"
    synthesise_file(bundles["linear"], path, out)
    before = {file.name: file.read_bytes() for file in out.parent.iterdir()}
    with (path.with_suffix(".eeg")).open("r+b") as file:
        file.seek(len(CHANNELS) * 4 * int(120.5 * STEP))
        file.write(np.full(len(CHANNELS), np.nan, "<f4").tobytes())
    with pytest.raises(DatasetError, match=r"eeg\.vhdr: NaN or infinite samples in"):
        synthesise_file(bundles["linear"], path, out)
    assert {file.name: file.read_bytes() for file in out.parent.iterdir()} == before


def test_too_many_volumes_for_nifti_are_refused(bundles, write, tmp_path, monkeypatch, refuses):
    monkeypatch.setattr(recording, "MOST_VOLUMES", 9)
    with refuses(DatasetError, r"eeg\.vhdr: 21 volumes, a NIfTI file has at most 9; split the recording"):
        synthesise_file(bundles["linear"], write(), tmp_path / "bold.nii")


@pytest.fixture
def atlas(bundles, tmp_path):
    """Three regions of the brain on the model's grid, with a table of their names."""
    labels = np.zeros(GRID, np.uint8)
    labels[1:4], labels[4:6], labels[6:] = 7, 2, 30
    path = tmp_path / "atlas" / "My3_dseg.nii.gz"
    path.parent.mkdir()
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([2, 3, 4, 1])), path)
    path.with_name("My3_dseg.tsv").write_text("index\tname\n2\tb\n7\ta\n")
    return path, np.where(bundles["linear"].model.bold_statistics.mask, labels, 0)


def test_courses_of_regions(bundles, write, atlas, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "BLOCK_VOLUMES", 5)
    image, labels = atlas
    courses = Courses.of(bundles["linear"], image)
    synthesise_file(bundles["linear"], write(), tmp_path / "out" / "bold.nii", courses=courses)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "bold.json", "bold.nii", "bold_seg-My3_timeseries.json", "bold_seg-My3_timeseries.tsv"
    ]  # fmt: skip
    head, *rows = (tmp_path / "out" / "bold_seg-My3_timeseries.tsv").read_text().splitlines()
    assert head.split("\t") == ["b", "a", "30"]
    volumes = nibabel.load(tmp_path / "out" / "bold.nii").get_fdata()
    expected = np.stack([volumes[labels == label].mean(axis=0) for label in (2, 7, 30)], axis=1)
    np.testing.assert_allclose([[float(cell) for cell in row.split("\t")] for row in rows], expected, rtol=1e-5)
    about = json.loads((tmp_path / "out" / "bold_seg-My3_timeseries.json").read_text())
    assert about["Atlas"] == {"Label": "My3", "Digest": courses.regions.digest}
    assert about["StartTime"] == CONTEXT * TR


TEMPLATE = "tpl-MNI152NLin2009cAsym_res-02"
LABELS = {
    "My3_dseg.nii.gz": "My3",
    f"{TEMPLATE}_atlas-Schaefer2018_desc-100Parcels7Networks_dseg.nii.gz": "Schaefer2018100Parcels7Networks",
    f"{TEMPLATE}_atlas-Schaefer2018_seg-7n_scale-100_dseg.nii": "Schaefer20187n100",
    f"{TEMPLATE}_atlas-DKT31_dseg.nii.gz": "DKT31",
    "seg-HCP_space-MNI152NLin6Asym_dseg.nii.gz": "HCP",
}


@pytest.mark.parametrize("name", LABELS)
def test_the_label_of_an_atlas_is_that_of_its_bids_name(name):
    assert atlas_label(Path("a-1_b") / name) == LABELS[name]


@pytest.mark.parametrize(
    "name",
    [
        "___.nii.gz",
        "Überßicht_dseg.nii",
        "a-1.nii",
        "a_1.nii",
        "atlas-a-1.nii",
        "atlas-_dseg.nii",
        "atlas-a.1_dseg.nii",
    ],
)
def test_an_atlas_whose_name_is_no_label_is_refused(bundles, atlas, refuses, name):
    image = atlas[0].rename(atlas[0].with_name(name))
    with refuses(ConfigError, f"{name}: the name of an atlas becomes a BIDS label; found .*, letters A to Z"):
        Courses.of(bundles["linear"], image)


def test_a_disk_that_fills_at_the_last_byte_leaves_what_was_there(bundles, write, atlas, tmp_path, monkeypatch):
    class Full(series.IGzipFile):
        def close(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    path, out, courses = write(), tmp_path / "out" / "bold.nii.gz", Courses.of(bundles["linear"], atlas[0])
    synthesise_file(bundles["linear"], path, out, courses=courses)
    before = {file.name: file.read_bytes() for file in out.parent.iterdir()}
    monkeypatch.setattr(series, "IGzipFile", Full)
    with pytest.raises(DiskFullError, match=r"bold\.nii\.gz: no space left"):
        synthesise_file(bundles["mean"], path, out, courses=courses)
    assert {file.name: file.read_bytes() for file in out.parent.iterdir()} == before


def with_interval(bundle, sd):
    about = {"level": 0.9, "multiplier": 1.7, "drift_cutoff": 128.0, "coverage": {"sub-04": 0.9, "sub-05": 0.8}}
    return dataclasses.replace(
        bundle, residual_sd=np.full(GRID, sd, np.float32), provenance={**bundle.provenance, "interval": about}
    )


def in_memory(bundle, path, out, more, courses):
    found = synthesise_recording(bundle, path)
    dataclasses.replace(found, sidecar={**found.sidecar, **more}).write(out)


WRITERS = {
    "file": lambda *given: synthesise_file(*given[:3], model=given[3], courses=given[4], interval=True),
    "memory": in_memory,
    "interval": lambda bundle, _, out, more, __: write_interval(bundle, out, more),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_kill_leaves_no_file_beside_the_sidecar_of_another(bundles, write, atlas, tmp_path, monkeypatch, writer):
    path, out, courses = write(), tmp_path / "out" / "bold.nii.gz", Courses.of(bundles["linear"], atlas[0])
    models = {"old": with_interval(bundles["linear"], 1), "new": with_interval(bundles["mean"], 2)}
    rename = os.replace

    def pairs_after(name, most=99):
        """Stop before a rename too many; return the files that have a sidecar, with its content."""
        left = iter(range(most))

        def replace(*paths):
            if next(left, None) is None:
                raise KeyboardInterrupt
            rename(*paths)

        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(os, "replace", replace)
            WRITERS[writer](models[name], path, out, {"made": name}, courses)
        files = [file for file in out.parent.iterdir() if file.suffix != ".json" and sidecar_path(file).exists()]
        return {(file.name, file.read_bytes(), sidecar_path(file).read_bytes()) for file in files}

    new, old = pairs_after("new"), pairs_after("old")
    assert not new & old
    for most in range(2 * len(new)):
        assert pairs_after("new", most) < new | old
        assert pairs_after("old") == old


FOREIGN = {
    "a measured image": ("bold.nii.gz", None),
    "no image": ("bold.nii.gz", b"old"),
    "a sidecar": ("bold.json", b'{"RepetitionTime": 2}'),
    "a table": ("bold_seg-My3_timeseries.tsv", b"csf\twhite\n1\t2\n"),
    "a map": ("bold_stat-std_boldmap.nii.gz", None),
}


@pytest.mark.parametrize("file", FOREIGN)
def test_files_of_something_else_are_refused_and_stay(bundles, write, atlas, tmp_path, refuses, file):
    name, content = FOREIGN[file]
    out, there = tmp_path / "bold.nii.gz", tmp_path / name
    measured = nibabel.Nifti1Image(np.ones((*GRID, 3), np.float32), np.eye(4))
    there.write_bytes(gzip.compress(measured.to_bytes()) if content is None else content)
    before = there.read_bytes()
    bundle, courses = bundles["linear"], Courses.of(bundles["linear"], atlas[0])
    with refuses(ConfigError, f"{name}: it is there, and this package has not made it; give another name"):
        synthesise_file(bundle, write(), out, courses=courses, interval="map" in file)
    assert there.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["atlas", "eeg", name])


def test_own_files_are_replaced_even_without_a_sidecar(bundles, write, atlas, tmp_path):
    """A kill between the last image and its sidecar leaves them so."""
    path, out, courses = write(), tmp_path / "out" / "bold.nii.gz", Courses.of(bundles["linear"], atlas[0])
    synthesise_file(bundles["linear"], path, out, courses=courses)
    before = {file.name: file.read_bytes() for file in out.parent.iterdir()}
    for sidecar in out.parent.glob("*.json"):
        sidecar.unlink()
    for _ in range(2):
        synthesise_file(bundles["linear"], path, out, courses=courses)
        assert {file.name: file.read_bytes() for file in out.parent.iterdir()} == before


def test_a_course_without_eeg_is_not_available(bundles, atlas):
    rows = Courses.of(bundles["linear"], atlas[0]).rows(np.ones((2, *GRID), np.float32), np.array([True, False]))
    assert [*rows] == ["1\t1\t1\n", "n/a\tn/a\tn/a\n"]
