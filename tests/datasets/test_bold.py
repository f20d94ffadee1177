"""BOLD: read once, to the checksum, with a TR that header and sidecar agree on; and small files."""

import gzip
import json

import nibabel
import numpy as np
import pytest

from eeg2fmri.datasets import Recording, load_bold, read_bold_header
from eeg2fmri.datasets.files import read_json
from eeg2fmri.errors import DatasetError

BOLD = "func/sub-01_task-rest_bold.nii.gz"
TR = {"RepetitionTime": 0.5}


def load(path, sidecar, **changes):
    """Read an image whose sidecar says this."""
    file = path.with_name("own_bold.json")
    file.write_text(json.dumps(sidecar))
    return load_bold(Recording("sub-01", "sub-01", path, path, sidecars=(file,), **changes))


@pytest.fixture
def write(write_recording, tmp_path):
    """Write one recording with changes; gives the path of the image."""

    def make(**changes):
        folder = write_recording(tmp_path / "bids", **changes)
        return folder / BOLD

    return make


@pytest.fixture
def path(bids_root):
    folder = bids_root / "sub-01"
    return folder / BOLD


def test_bold_is_read_with_time_first(write, rng):
    volumes = rng.normal(500, 20, (9, 8, 7, 22)).astype(np.float32)
    bold = load(write(volumes=volumes), TR)
    np.testing.assert_array_equal(bold.volumes, volumes.transpose(3, 0, 1, 2))
    assert bold.tr == 0.5
    np.testing.assert_array_equal(bold.affine, np.diag([2, 3, 4, 1]))


def _save(path, values, unit="sec", tr=0.5):
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header.set_zooms((1, 1, 1, tr)[: values.ndim])
    image.header.set_xyzt_units("mm", unit)
    nibabel.save(image, path)


@pytest.mark.parametrize(("unit", "tr"), [("sec", 0.5), ("msec", 500), ("usec", 500_000)])
def test_the_unit_of_the_header_is_respected(unit, tr, path):
    _save(path, np.ones((3, 4, 2, 5), np.float32), unit, tr)
    assert load(path, TR).tr == 0.5


@pytest.mark.parametrize(("unit", "tr", "shown"), [("sec", 0.6, "0.6"), ("msec", 0.5, "0.0005")])
def test_a_header_that_disagrees_with_the_sidecar_is_refused(unit, tr, shown, path, refuses):
    _save(path, np.ones((3, 4, 2, 5), np.float32), unit, tr)
    with refuses(DatasetError, rf"bold\.nii\.gz: TR is {shown} s in the header and 0\.5 s in the sidecar; correct one"):
        load(path, TR)


def test_a_difference_of_half_a_millisecond_is_rounding(path):
    assert load(path, {"RepetitionTime": 0.5005}).tr == 0.5005


@pytest.mark.parametrize("sidecar", [{}, {"RepetitionTime": None}])
def test_a_sidecar_without_tr_is_refused(sidecar, path, refuses):
    with refuses(DatasetError, r"has no RepetitionTime; add it \(seconds\) to the _bold\.json"):
        load(path, sidecar)


@pytest.mark.parametrize("value", ["two", [2], float("nan"), -0.5, 0, True])
def test_a_tr_that_is_no_positive_number_is_refused(value, path, refuses):
    with refuses(DatasetError, r"RepetitionTime .* positive number of seconds"):
        load(path, {"RepetitionTime": value})


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_image_is_refused(share, path, refuses):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with refuses(DatasetError, r"bold\.nii\.gz: not a readable NIfTI image.*; fetch it again"):
        load(path, TR)


def test_a_truncated_uncompressed_image_is_refused(tmp_path, refuses):
    path = tmp_path / "bold.nii"
    _save(path, np.ones((3, 4, 2, 5), np.float32))
    path.write_bytes(path.read_bytes()[:-1])
    with refuses(DatasetError, r"bold\.nii: not a readable NIfTI image"):
        load(path, TR)


def test_a_corrupt_image_is_refused(path, refuses):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path.write_bytes(content)
    with refuses(DatasetError, r"bold\.nii\.gz: not a readable NIfTI image"):
        load(path, TR)


def test_an_orientation_that_is_none_is_refused(tmp_path, rng, refuses):
    image = nibabel.Nifti1Image(rng.random((3, 4, 2, 5), np.float32), np.eye(4))
    image.header.set_zooms((1, 1, 1, 0.5))
    image.header["qform_code"], image.header["sform_code"] = 1, 0
    for name in ("quatern_b", "quatern_c", "quatern_d"):
        image.header[name] = 1
    content = image.header.binaryblock + bytes(4) + image.get_fdata(dtype=np.float32).tobytes(order="F")
    path = tmp_path / "bold.nii"
    path.write_bytes(content)
    with refuses(DatasetError, r"bold\.nii: its orientation cannot be read \(.*\); correct its qform or sform"):
        load(path, TR)


def test_a_file_that_is_no_image_is_refused(path, refuses):
    path.write_text("see git-annex")
    with refuses(DatasetError, r"bold\.nii\.gz: not a readable NIfTI image"):
        load(path, TR)


def test_a_single_volume_is_refused(path, refuses):
    _save(path, np.ones((3, 4, 2), np.float32))
    with refuses(DatasetError, r"a 4-D BOLD run is expected, found 3 dimensions \(3, 4, 2\)"):
        load(path, TR)


def test_bold_with_nan_is_refused(write, rng, refuses):
    volumes = rng.normal(500, 20, (9, 8, 7, 22)).astype(np.float32)
    volumes[1, 2, 3, 4] = np.nan
    with refuses(DatasetError, r"bold\.nii\.gz: NaN or infinite voxels"):
        load(write(volumes=volumes), TR)


@pytest.mark.parametrize("kind", ["int16", "uint16", "uint8", "float32", ">i2", ">f4"])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_values_are_those_of_nibabel(kind, ending, tmp_path, rng):
    path = tmp_path / f"bold.{ending}"
    values = rng.integers(0, 200, (4, 3, 2, 5)).astype(kind)
    image = nibabel.Nifti1Image(
        values, np.diag([2.0, 3.0, 4.0, 1.0]), nibabel.Nifti1Header(endianness=kind[0] if kind[0] == ">" else "<")
    )
    image.header.set_data_dtype(kind)
    image.header.set_zooms((2, 3, 4, 0.5))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    bold = load(path, TR)
    np.testing.assert_array_equal(bold.volumes, values.transpose(3, 0, 1, 2))
    assert bold.volumes.dtype in (np.dtype(kind).newbyteorder("="), np.dtype("float32"))
    np.testing.assert_array_equal(bold.affine, image.affine)


def test_the_scaling_of_the_header_is_applied(tmp_path, rng):
    path = tmp_path / "bold.nii.gz"
    values = rng.normal(500, 20, (4, 3, 2, 5))
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.set_data_dtype(np.int16)
    image.header.set_zooms((1, 1, 1, 0.5))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    bold = load(path, TR)
    assert bold.volumes.dtype == np.float32
    np.testing.assert_allclose(bold.volumes, np.moveaxis(nibabel.load(path).get_fdata(), 3, 0), rtol=1e-5)
    np.testing.assert_allclose(bold.volumes, np.moveaxis(values, 3, 0), atol=0.01)


def test_a_nifti_2_image_is_read(tmp_path, rng):
    path = tmp_path / "bold.nii.gz"
    values = rng.normal(500, 20, (4, 3, 2, 5)).astype(np.float32)
    image = nibabel.Nifti2Image(values, np.eye(4))
    image.header.set_zooms((1, 1, 1, 0.5))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    np.testing.assert_array_equal(load(path, TR).volumes, np.moveaxis(values, 3, 0))


def test_the_header_alone_says_what_the_image_is(path):
    header = _header(path)
    assert (header.grid, header.n_volumes, header.tr, header.orientation) == ((9, 8, 7), 22, 0.5, "RAS")
    np.testing.assert_array_equal(header.affine, np.diag([2, 3, 4, 1]))


def _header(path):
    sidecar = path.with_name("own_bold.json")
    sidecar.write_text(json.dumps(TR))
    return read_bold_header(Recording("sub-01", "sub-01", path, path, sidecars=(sidecar,)))


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_truncated_image_is_found_by_its_header(share, path, refuses):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with refuses(DatasetError, r"bold\.nii\.gz: not a readable NIfTI image"):
        _header(path)


def test_a_whole_image_is_not_called_truncated(path):
    content = path.read_bytes()
    plain = gzip.decompress(content)
    members = b"".join(gzip.compress(plain[i : i + 9000]) for i in range(0, len(plain), 9000))
    for whole in (members, content + bytes(700), gzip.compress(plain + b"more")):
        path.write_bytes(whole)
        assert _header(path).n_volumes == len(load(path, TR).volumes) == 22


@pytest.mark.parametrize(("unit", "tr", "sidecar"), [("sec", 0, 2.0), ("sec", 2000, 2.0), ("msec", 2000, 2000)])
def test_a_tr_that_was_not_filled_in_or_is_in_milliseconds(unit, tr, sidecar, path):
    _save(path, np.ones((3, 4, 2, 5), np.float32), unit, tr)
    bold = load(path, {"RepetitionTime": sidecar})
    assert bold.tr == 2
    assert len(bold.notes) == (tr != 0)


@pytest.mark.parametrize("shape", [(3, 4, 2, 1, 5), (3, 4, 2, 5, 1)])
def test_an_empty_axis_is_left_out(shape, path, rng):
    values = rng.normal(500, 20, shape).astype(np.float32)
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header["pixdim"][4:6] = 0.5
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    np.testing.assert_array_equal(load(path, TR).volumes, np.moveaxis(values.reshape(3, 4, 2, 5), 3, 0))


def test_complex_voxels_are_refused(path, refuses):
    _save(path, np.ones((3, 4, 2, 5), np.complex64))
    for read in (lambda: load(path, TR), lambda: _header(path)):
        with refuses(DatasetError, r"bold\.nii\.gz: .*voxels of type complex64; one real number each is expected"):
            read()


@pytest.mark.parametrize(("value", "dtype"), [(0, np.float32), (-32768, np.int16), (65535, np.uint16)])
def test_a_volume_of_one_value_is_refused(value, dtype, path, refuses):
    values = np.arange(120).reshape(3, 4, 2, 5).astype(dtype)
    values[..., 3] = value
    _save(path, values)
    with refuses(DatasetError, rf"1 of 5 volumes hold only {value}, the first is number 3"):
        load(path, TR)


def test_a_wrong_checksum_is_refused(path, refuses):
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with refuses(DatasetError, r"bold\.nii\.gz: not a readable NIfTI image \(IsalError: .*checksum.*; fetch it again"):
        load(path, TR)


@pytest.mark.parametrize(("unit", "tr"), [("unknown", 1), ("unknown", 0), ("sec", 0.5)])
def test_a_documented_tr_stands_in_for_a_sidecar(unit, tr, path):
    _save(path, np.ones((3, 4, 2, 5), np.float32), unit, tr)
    assert load(path, {}, tr=0.5).tr == 0.5


def test_a_header_that_contradicts_the_documentation_is_refused(path, refuses):
    _save(path, np.ones((3, 4, 2, 5), np.float32), "sec", 1)
    with refuses(DatasetError, r"TR is 1 s in the header and 0\.5 s in the dataset's documentation; correct one"):
        load(path, {}, tr=0.5)


def test_bold_that_was_never_fetched_is_refused(path, refuses):
    path.unlink()
    path.symlink_to("../../.git/annex/objects/aa/bb/MD5E-s10--0.nii.gz")
    with refuses(DatasetError, r"never fetched \(git-annex\), run: datalad get \S+bold\.nii\.gz$"):
        load(path, TR)


def test_a_sidecar_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(TR))
    assert read_json(tmp_path / "a.json") == TR


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"{", "not a readable JSON"), (b"\xff\xfe\x00", "not a readable JSON"), (b"[1]", "JSON object .* found list")],
)
def test_a_damaged_sidecar_is_refused(content, reason, tmp_path, refuses):
    (tmp_path / "a.json").write_bytes(content)
    with refuses(DatasetError, rf"a\.json: .*{reason}"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_an_image_whose_name_is_wrong_about_gzip_is_read(ending, path):
    expected = load(path, TR).volumes
    content = path.read_bytes() if ending == ".nii" else gzip.decompress(path.read_bytes())
    path.unlink()
    renamed = path.with_name(path.name.removesuffix(".nii.gz") + ending)
    renamed.write_bytes(content)
    np.testing.assert_array_equal(load(renamed, TR).volumes, expected)


def test_a_background_of_nan_is_found_by_the_header(path, refuses):
    values = np.full((5, 4, 3, 22), 500, np.float32)
    values[0] = np.nan
    _save(path, values)
    with refuses(DatasetError, "NaN or infinite voxels; mask or repair"):
        read_bold_header(Recording("sub-01", "sub-01", path, path, tr=0.5))


def test_a_gzip_file_of_several_members_is_read(path):
    expected = load(path, TR).volumes
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(b"".join(gzip.compress(content[i : i + 9000]) for i in range(0, len(content), 9000)))
    np.testing.assert_array_equal(load(path, TR).volumes, expected)
