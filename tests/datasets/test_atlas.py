"""Label images: brought to the store's grid, named, or refused in one line."""

import dataclasses

import nibabel
import numpy as np
import pytest

from eeg2fmri.datasets import read_atlas
from eeg2fmri.errors import DatasetError
from tests.fakes import GRID, SIGNAL

AFFINE = np.array([[2.0, 0, 0, -7], [0, 3, 0, 4], [0, 0, 4, -9], [0, 0, 0, 1]])
STORE = dataclasses.replace(SIGNAL, affine=tuple(map(tuple, AFFINE.tolist())))
BRAIN = np.ones(GRID, bool)
LABELS = np.zeros(GRID, np.int16)
LABELS[0:3, 1:4, 2], LABELS[5:7, 2:6, 1:3] = 2, 30  # left and right


@pytest.fixture
def write(tmp_path):
    def save(labels=LABELS, affine=AFFINE, *, coded=True):
        image = nibabel.Nifti1Image(labels, affine if coded else None)
        path = tmp_path / "atlas_dseg.nii.gz"
        nibabel.save(image, path)
        return path

    return save


def test_labels_on_the_grid_of_the_store_stay_as_they_are(write):
    atlas = read_atlas(write(), STORE, BRAIN)
    np.testing.assert_array_equal(atlas.labels, LABELS)
    assert atlas.names == {2: "2", 30: "30"}
    assert atlas.outside == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_labels_may_be_of_any_type(write, dtype):
    np.testing.assert_array_equal(read_atlas(write(LABELS.astype(dtype)), STORE, BRAIN).labels, LABELS)


def test_a_shifted_affine_shifts_the_labels(write):
    """An image that starts one voxel further back and two lower holds the same places one and two voxels later."""
    shifted = AFFINE @ np.array([[1, 0, 0, 0], [0, 1, 0, -1], [0, 0, 1, -2], [0, 0, 0, 1]])
    larger = np.zeros((GRID[0], GRID[1] + 1, GRID[2] + 2), np.int16)
    larger[:, 1:, 2:] = LABELS
    np.testing.assert_array_equal(read_atlas(write(larger, shifted), STORE, BRAIN).labels, LABELS)
    np.testing.assert_array_equal(
        read_atlas(write(LABELS, shifted), STORE, BRAIN).labels[:, :-1, :-2], LABELS[:, 1:, 2:]
    )


def test_labels_that_are_stored_right_to_left_land_on_their_side(write):
    flipped = AFFINE @ np.array([[-1, 0, 0, GRID[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    np.testing.assert_array_equal(read_atlas(write(LABELS[::-1], flipped), STORE, BRAIN).labels, LABELS)
    turned = np.moveaxis(LABELS, 2, 0)[::-1]
    order = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [-1, 0, 0, GRID[2] - 1], [0, 0, 0, 1.0]])
    np.testing.assert_array_equal(read_atlas(write(turned, AFFINE @ order), STORE, BRAIN).labels, LABELS)


def test_finer_labels_are_read_at_the_middle_of_a_voxel(write):
    """No label is made up between two others."""
    fine = np.repeat(np.repeat(LABELS, 3, axis=0), 3, axis=2)
    affine = AFFINE @ np.array([[1 / 3, 0, 0, -1 / 3], [0, 1, 0, 0], [0, 0, 1 / 3, -1 / 3], [0, 0, 0, 1]])
    np.testing.assert_array_equal(read_atlas(write(fine, affine), STORE, BRAIN).labels, LABELS)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("2\tM1\n30\tM1\n", "labels 2 and 30 are both named 'M1'; correct the table"),
        ("2\t30\n", "labels 2 and 30 are both named '30'"),
        ('2\t"a\tb"\n', r"label 2 has the name 'a\\tb', a word is expected"),
    ],
    ids=["equal", "the number of another one", "a tab"],
)
def test_names_that_cannot_be_columns_are_refused(write, tmp_path, refuses, rows, words):
    (tmp_path / "atlas_dseg.tsv").write_text(f"index\tname\n{rows}")
    with refuses(DatasetError, rf"atlas_dseg\.nii\.gz: {words}"):
        read_atlas(write(), STORE, BRAIN)


def test_an_empty_name_is_none(write, tmp_path):
    (tmp_path / "atlas_dseg.tsv").write_text("index\tname\n2\t\n30\t \n")
    assert read_atlas(write(), STORE, BRAIN).names == {2: "2", 30: "30"}


def test_names_are_read_from_the_table_beside_it(write, tmp_path):
    path = write()
    (tmp_path / "atlas_dseg.tsv").write_text("index\tname\tcolor\n30\tM1 right\t#fff\n4\tnowhere\t#000\n")
    assert read_atlas(path, STORE, BRAIN).names == {2: "2", 30: "M1 right"}
    (tmp_path / "atlas_dseg.tsv").write_text("label\tname\n30\tM1\n")
    with pytest.raises(DatasetError, match=r"atlas_dseg\.tsv: .*columns index .* and name are expected"):
        read_atlas(path, STORE, BRAIN)


def test_a_label_without_a_voxel_in_the_brain_is_left_out(write):
    brain = BRAIN.copy()
    brain[5:] = False
    brain[0] = False
    atlas = read_atlas(write(), STORE, brain)
    assert (atlas.names, atlas.outside) == ({2: "2"}, ("30",))
    assert not atlas.labels[~brain].any()


@pytest.mark.parametrize(
    ("labels", "affine", "named"),
    [
        (np.stack([LABELS, LABELS], axis=3), AFFINE, r"its shape is \(8, 7, 5, 2\), a 3-D label image"),
        (LABELS + 0.5, AFFINE, "its values are not all whole numbers"),
        (np.where(LABELS == 2, np.nan, LABELS), AFFINE, "its values are not all whole numbers"),
        (LABELS - 1, AFFINE, "labels from -1 to 29"),
        (LABELS, AFFINE + np.array([[0, 0, 0, 900]] + 3 * [[0] * 4]), "it does not overlap the volumes"),
        (0 * LABELS, AFFINE, "it does not overlap the volumes"),
    ],
)
def test_what_is_no_label_image_of_the_store_is_refused(write, refuses, labels, affine, named):
    path = write(labels.astype(np.float32), affine)
    with refuses(DatasetError, f"atlas_dseg.nii.gz: {named}"):
        read_atlas(path, STORE, BRAIN)


def test_other_faults_are_refused(write, refuses, tmp_path):
    with refuses(DatasetError, "absent.nii.gz: no such file; give a label image"):
        read_atlas(tmp_path / "absent.nii.gz", STORE, BRAIN)
    with refuses(DatasetError, "no label is in the brain of the recordings"):
        read_atlas(write(), STORE, LABELS == 0)
    with refuses(DatasetError, "does not define left and right"):
        read_atlas(write(coded=False), STORE, BRAIN)
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(b"no image")
    with refuses(DatasetError, "damaged.nii.gz: it cannot be read"):
        read_atlas(damaged, STORE, BRAIN)
