"""Files of a stream: readable after every volume, named at the end, never overwritten."""

from __future__ import annotations

import dataclasses
import json

import nibabel
import numpy as np
import pytest

from eeg2fmri.cli import main
from eeg2fmri.errors import ConfigError
from eeg2fmri.evaluation import Atlas
from eeg2fmri.serving import Courses, LiveVolume
from eeg2fmri.serving.live_files import GrowingImage, GrowingTable
from tests.fakes import CONTEXT, GRID, TR

MORE = {"Stream": "amplifier", "Model": {"Name": "study", "Version": "2", "Digest": "d"}}


@pytest.fixture
def made(bundles, rng):
    """Four volumes, the third with a gap."""
    mask = bundles["linear"].model.bold_statistics.mask
    values = rng.normal(500, 20, (4, *GRID)).astype(np.float32) * mask
    return [LiveVolume(n, 100.5 + (CONTEXT + n) * TR, None if n == 2 else values[n]) for n in range(4)]


def test_an_image_is_whole_after_every_volume(bundles, made, tmp_path):
    sink = GrowingImage(bundles["linear"], tmp_path / "a" / "bold.nii", {})
    for count, volume in enumerate(made, 1):
        sink.add(volume)
        image = nibabel.load(tmp_path / "a" / "bold.part.nii")
        assert image.shape == (*GRID, count)
        expected = np.zeros(GRID) if volume.values is None else volume.values
        np.testing.assert_array_equal(image.get_fdata()[..., -1], expected)
    sink.close()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["bold.json", "bold.nii"]
    image = nibabel.load(tmp_path / "a" / "bold.nii")
    np.testing.assert_array_equal(image.get_fdata()[..., 1], made[1].values)
    np.testing.assert_array_equal(image.affine, np.diag([2, 3, 4, 1]))
    assert image.header.get_zooms() == pytest.approx((2, 3, 4, TR))
    assert image.header.get_xyzt_units() == ("mm", "sec")


def test_the_sidecar_has_the_time_and_the_gaps(bundles, made, tmp_path):
    sink = GrowingImage(bundles["linear"], tmp_path / "bold.nii", MORE)
    for volume in made:
        sink.add(volume)
    sink.close()
    sidecar = json.loads((tmp_path / "bold.json").read_text())
    assert sidecar["RepetitionTime"] == TR
    assert sidecar["StartTime"] == CONTEXT * TR
    assert "at 100.500000 s on its clock" in sidecar["Description"]
    assert sidecar["VolumesWithoutEEG"] == [2]
    assert sidecar.items() >= MORE.items()


@pytest.fixture
def courses(bundles):
    """Two regions, called left and right."""
    labels = np.where(bundles["linear"].model.bold_statistics.mask, 1, 0)
    labels[:, :4] *= 2
    return Courses("two", Atlas(labels, {1: "left", 2: "right"}))


def test_a_table_has_times_names_and_no_number_for_a_gap(bundles, courses, tmp_path):
    sink = GrowingTable(bundles["linear"], tmp_path / "courses.tsv", courses, MORE)
    sink.add(LiveVolume(0, 101.5, np.array([1.25, -3.0])))
    assert (tmp_path / "courses.part.tsv").read_text() == "time\tleft\tright\n101.500000\t1.25\t-3\n"
    sink.add(LiveVolume(1, 102.0, None))
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["courses.json", "courses.tsv"]
    assert (tmp_path / "courses.tsv").read_text().splitlines()[-1] == "102.000000\tn/a\tn/a"
    sidecar = json.loads((tmp_path / "courses.json").read_text())
    assert sidecar.items() >= {**MORE, "VolumesWithoutEEG": [1], "Atlas": courses.about}.items()
    assert sidecar["Description"].startswith("Mean courses of regions")
    assert f"at {101.5 - CONTEXT * TR:.6f} s on its clock" in sidecar["Description"]
    assert sidecar["time"]["Units"] == "s"


def test_a_region_with_the_name_of_the_first_column_is_refused(bundles, courses, tmp_path, refuses):
    named = dataclasses.replace(courses, regions=dataclasses.replace(courses.regions, names={1: "time", 2: "right"}))
    with refuses(ConfigError, "a region of the atlas is named 'time', as the first column of "):
        GrowingTable(bundles["linear"], tmp_path / "courses.tsv", named, MORE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give --out FILE, --publish NAME, or both"),
        (
            ["--out", "x.nii.gz"],
            "--out x.nii.gz: volumes are written as .nii; give a name that ends in .nii, or --atlas",
        ),
        (["--out", "x.txt"], "--out x.txt: volumes are written as .nii; give a name that ends in .nii, or --atlas"),
        (["--out", "x.nii", "--atlas", "y.nii"], "--out x.nii: with --atlas courses are written as .tsv; give a name"),
        (["--out", "there.nii"], "there.json: it exists, and a stream cannot be repeated; give another name"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_a_model_is_read(monkeypatch, tmp_path, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.json").write_text("{}")
    monkeypatch.setattr("eeg2fmri.tracking.load_model", lambda *_: pytest.fail("the model is read"))
    assert main(["stream", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_stream_without_a_volume_leaves_no_file(bundles, tmp_path):
    GrowingImage(bundles["linear"], tmp_path / "bold.nii", MORE).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bold.nii", "bold.part.nii", "bold.json"])
def test_nothing_is_overwritten(bundles, tmp_path, name, refuses):
    (tmp_path / name).write_bytes(b"of yesterday")
    with refuses(ConfigError, rf"{name}: it exists, and a stream cannot be repeated; give another name"):
        GrowingImage(bundles["linear"], tmp_path / "bold.nii", MORE)
    assert (tmp_path / name).read_bytes() == b"of yesterday"
