"""Files of a stream: readable after every volume, named at the end, never overwritten."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from eeg2fmri.errors import ConfigError
from eeg2fmri.serving import LiveVolume
from eeg2fmri.serving.live_files import GrowingImage, GrowingTable
from tests.fakes import CONTEXT, GRID, TR


@pytest.fixture
def made(bundles, rng):
    """Four volumes, the third with a gap."""
    mask = bundles["linear"].model.bold_statistics.mask
    values = rng.normal(500, 20, (4, *GRID)).astype(np.float32) * mask
    return [LiveVolume(n, 100.5 + (CONTEXT + n) * TR, None if n == 2 else values[n]) for n in range(4)]


def test_an_image_is_whole_after_every_volume(bundles, made, tmp_path):
    sink = GrowingImage(bundles["linear"], tmp_path / "a" / "bold.nii")
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
    sink = GrowingImage(bundles["linear"], tmp_path / "bold.nii")
    for volume in made:
        sink.add(volume)
    sink.close()
    sidecar = json.loads((tmp_path / "bold.json").read_text())
    assert sidecar["RepetitionTime"] == TR
    assert sidecar["StartTime"] == CONTEXT * TR
    assert "at 100.500000 s on its clock" in sidecar["Description"]
    assert sidecar["VolumesWithoutEEG"] == [2]


def test_a_table_has_times_names_and_no_number_for_a_gap(tmp_path):
    sink = GrowingTable(tmp_path / "courses.tsv", ["left", "right"])
    sink.add(LiveVolume(0, 101.5, np.array([1.25, -3.0])))
    assert (tmp_path / "courses.part.tsv").read_text() == "time\tleft\tright\n101.500000\t1.25\t-3\n"
    sink.add(LiveVolume(1, 102.0, None))
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["courses.tsv"]
    assert (tmp_path / "courses.tsv").read_text().splitlines()[-1] == "102.000000\tn/a\tn/a"


def test_a_stream_without_a_volume_leaves_no_file(bundles, tmp_path):
    GrowingImage(bundles["linear"], tmp_path / "bold.nii").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bold.nii", "bold.part.nii"])
def test_nothing_is_overwritten(bundles, tmp_path, name, refuses):
    (tmp_path / name).write_bytes(b"of yesterday")
    with refuses(ConfigError, rf"{name}: it exists, and a stream cannot be repeated; give another name"):
        GrowingImage(bundles["linear"], tmp_path / "bold.nii")
    assert (tmp_path / name).read_bytes() == b"of yesterday"
