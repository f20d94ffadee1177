"""Left is left: one brain, however its voxels are stored."""

import json

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from eeg2fmri.datasets import Recording, load_bold
from eeg2fmri.errors import DatasetError

OBLIQUE = np.array([[2.9, 0.3, -0.2, -20], [-0.3, 2.9, 0.4, -31], [0.3, -0.4, 3.9, 5], [0, 0, 0, 1.0]])


def _load(image, path, **changes):
    image.header.set_zooms((*image.header.get_zooms()[:3], 2.0))
    image.header.set_xyzt_units(image.header.get_xyzt_units()[0], "sec")
    nibabel.save(image, path)
    sidecar = path.with_name("bold.json")
    sidecar.write_text(json.dumps({"RepetitionTime": 2.0}))
    return load_bold(Recording("sub-01", "sub-01", path, path, sidecars=(sidecar,), **changes))


@pytest.fixture
def brain(rng):
    """A blob on the left, in RAS voxels."""
    values = rng.integers(1, 9, (6, 7, 5, 3)).astype(np.int16)
    values[1, 5, 3] = 900
    return values


@pytest.mark.parametrize("affine", [np.diag([3.0, 3.0, 4.0, 1.0]), OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("code", ["RAS", "LAS", "LPS", "ASR", "PIL"])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_one_brain_is_read_alike_however_it_is_stored(ending, code, affine, brain, tmp_path):
    image = nibabel.Nifti1Image(brain, affine)
    image.header.set_xyzt_units("mm", "sec")
    stored = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(tuple(code))))
    before = stored.get_fdata().copy()
    bold = _load(stored, tmp_path / f"bold.{ending}")
    np.testing.assert_array_equal(bold.volumes, np.moveaxis(brain, 3, 0))
    np.testing.assert_allclose(bold.affine, affine, atol=1e-4)
    assert bold.orientation == code
    assert bold.volumes.dtype == np.int16
    np.testing.assert_array_equal(nibabel.load(tmp_path / f"bold.{ending}").get_fdata(), before)


def test_without_sform_and_qform_the_orientation_must_be_given(brain, tmp_path, refuses):
    image = nibabel.Nifti1Image(brain, np.diag([3.0, 3.0, 4.0, 1.0]))
    image.header["sform_code"] = image.header["qform_code"] = 0
    image = nibabel.Nifti1Image(brain, None, image.header)
    with refuses(DatasetError, r"does not define left and right .* set dataset\.orientation"):
        _load(image, tmp_path / "bold.nii")
    bold = _load(image, tmp_path / "bold.nii", orientation="LAS")
    np.testing.assert_array_equal(bold.volumes, np.moveaxis(brain[::-1], 3, 0))
    np.testing.assert_allclose(np.diag(bold.affine), [3, 3, 4, 1])


def test_forms_that_disagree_on_the_left_are_refused(brain, tmp_path, refuses):
    image = nibabel.Nifti1Image(brain, np.diag([3.0, 3.0, 4.0, 1.0]))
    image.set_qform(np.diag([-3.0, 3.0, 4.0, 1.0]), 1)
    with refuses(DatasetError, r"nii(\.gz)?: sform says RAS and qform LAS; find out which is right"):
        _load(image, tmp_path / "bold.nii")


def test_a_unit_of_space_that_cannot_be_is_refused(brain, tmp_path, refuses):
    image = nibabel.Nifti1Image(brain, np.diag([3.0, 3.0, 4.0, 1.0]))
    image.header.set_xyzt_units("meter", "sec")
    with refuses(DatasetError, r"voxels of 3000×3000×4000 mm, 0\.1 to 100 mm are expected"):
        _load(image, tmp_path / "bold.nii")
