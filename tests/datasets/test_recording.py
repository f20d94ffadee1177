import json

import nibabel
import numpy as np
import pytest

from eeg2fmri.datasets import bold_onset, load_bold, load_eeg
from eeg2fmri.datasets.recording import read_json
from eeg2fmri.errors import AlignmentError, DatasetError

TYPES = ("eeg", "ecg")
EEG = "eeg/sub-01_task-rest_eeg"
BOLD = "func/sub-01_task-rest_bold.nii.gz"
TR = {"RepetitionTime": 0.5}


@pytest.fixture
def write(write_recording, tmp_path):
    """Write one recording with changes; gives the paths of header, channel table and image."""

    def make(**changes):
        folder = write_recording(tmp_path / "bids", **changes)
        return folder / f"{EEG}.vhdr", folder / "eeg/sub-01_task-rest_channels.tsv", folder / BOLD

    return make


@pytest.fixture
def paths(bids_root):
    folder = bids_root / "sub-01"
    return folder / f"{EEG}.vhdr", folder / "eeg/sub-01_task-rest_channels.tsv", folder / BOLD


def test_eeg_is_read_in_microvolts_with_its_markers(write, rng):
    data = rng.normal(0, 20, (5, 1300))
    header, channels, _ = write(eeg=data, lead_s=1.37)
    eeg = load_eeg(header, channels, TYPES)
    np.testing.assert_allclose(eeg.data, data, rtol=1e-5, atol=1e-4)
    assert eeg.data.dtype == np.float32
    assert eeg.sampling_rate == 100
    assert eeg.channels == ("Fp1", "Fp2", "Cz", "Oz", "ECG")
    np.testing.assert_allclose(eeg.markers, 137 + 50 * np.arange(22), atol=1e-6)


def test_channels_of_other_types_are_left_out(paths):
    header, channels, _ = paths
    assert load_eeg(header, channels, ("eeg",)).channels == ("Fp1", "Fp2", "Cz", "Oz")
    assert load_eeg(header, channels, ("ecg",)).data.shape[0] == 1


def test_types_come_from_the_file_without_a_channels_table(paths):
    assert "Cz" in load_eeg(paths[0], None, TYPES).channels


def test_a_channel_of_unstated_type_is_left_out(paths):
    header, channels, _ = paths
    channels.write_text(channels.read_text().replace("Oz\tEEG", "Oz\tn/a"))
    assert load_eeg(header, channels, TYPES).channels == ("Fp1", "Fp2", "Cz", "ECG")


def test_no_wanted_channel_is_refused(paths, refuses):
    header, channels, _ = paths
    channels.write_text(channels.read_text().replace("Oz\tEEG", "Oz\tn/a"))
    with refuses(DatasetError, r"no channel of type meg or ref among \['ecg', 'eeg', 'n/a'\]; set data\.channel_types"):
        load_eeg(header, channels, ("meg", "ref"))


def test_only_volume_markers_are_kept(write):
    header, channels, _ = write(markers=[100, 150])
    marks = header.with_suffix(".vmrk")
    marks.write_text(marks.read_text() + "Mk4=Stimulus,S  1,120,1,0\nMk5=Response,R 12,130,1,0\n")
    np.testing.assert_allclose(load_eeg(header, channels, TYPES).markers, [100, 150], atol=1e-6)


def test_markers_of_a_file_whose_first_sample_is_not_0_count_from_its_data(tmp_path, rng):
    import mne

    info = mne.create_info(["Cz", "Oz"], 100.0, "eeg")
    raw = mne.io.RawArray(rng.normal(0, 1e-5, (2, 1000)), info, first_samp=250, verbose="error")
    raw.set_meas_date(1_000_000)
    raw.set_annotations(mne.Annotations([2.5 + 1.3], [0], ["R128"], orig_time=raw.info["meas_date"]))
    path = tmp_path / "sub-01_task-rest_eeg.fif"
    raw.save(path, verbose="error")
    np.testing.assert_allclose(load_eeg(path, None, TYPES).markers, [130], atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_eeg_with_nan_is_refused_and_the_channel_named(value, paths, refuses):
    header, channels, _ = paths
    samples = np.fromfile(header.with_suffix(".eeg"), "<f4").reshape(-1, 5)
    samples[700, 2] = value
    samples.tofile(header.with_suffix(".eeg"))
    with refuses(DatasetError, r"_eeg\.vhdr: NaN or infinite samples in Cz; repair or drop"):
        load_eeg(header, channels, TYPES)


@pytest.mark.parametrize("suffix", [".eeg", ".vhdr"])
def test_a_missing_eeg_file_is_refused(suffix, paths, refuses):
    header, channels, _ = paths
    header.with_suffix(suffix).unlink()
    with refuses(DatasetError, r"_eeg\.vhdr: not a readable EEG recording.*; fetch or export it again"):
        load_eeg(header, channels, TYPES)


def test_eeg_without_its_marker_file_has_no_markers(paths):
    header, channels, _ = paths
    header.with_suffix(".vmrk").unlink()
    assert len(load_eeg(header, channels, TYPES).markers) == 0


def test_an_eeg_header_full_of_rubbish_is_refused(paths, refuses):
    header, channels, _ = paths
    header.write_bytes(bytes(range(256)))
    with refuses(DatasetError, r"_eeg\.vhdr: not a readable EEG recording"):
        load_eeg(header, channels, TYPES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name\tkind\nCz\tEEG\n", r"columns name and type are expected, found \['name', 'kind'\]"),
        ("name\ttype\nPz\tEEG\n", r"channels \['Pz'\] are not in the EEG file"),
        ("", "not a readable table"),
        ('name\ttype\n"Cz\tEEG\n', "not a readable table"),
    ],
)
def test_a_channels_table_that_does_not_fit_is_refused(text, reason, paths, refuses):
    header, channels, _ = paths
    channels.write_text(text)
    with refuses(DatasetError, rf"channels\.tsv: {reason}"):
        load_eeg(header, channels, TYPES)


def test_bold_is_read_with_time_first(write, rng):
    volumes = rng.normal(500, 20, (9, 8, 7, 22)).astype(np.float32)
    bold = load_bold(write(volumes=volumes)[2], TR)
    np.testing.assert_array_equal(bold.volumes, volumes.transpose(3, 0, 1, 2))
    assert bold.tr == 0.5
    np.testing.assert_array_equal(bold.affine, np.diag([2, 3, 4, 1]))


def _save(path, values, unit="sec", tr=0.5):
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header.set_zooms((1, 1, 1, tr)[: values.ndim])
    image.header.set_xyzt_units("mm", unit)
    nibabel.save(image, path)


@pytest.mark.parametrize(("unit", "tr"), [("sec", 0.5), ("msec", 500), ("usec", 500_000)])
def test_the_unit_of_the_header_is_respected(unit, tr, paths):
    _save(paths[2], np.ones((3, 4, 2, 5), np.float32), unit, tr)
    assert load_bold(paths[2], TR).tr == 0.5


@pytest.mark.parametrize(("unit", "tr", "shown"), [("sec", 0.6, "0.6"), ("msec", 0.5, "0.0005"), ("sec", 0, "0")])
def test_a_header_that_disagrees_with_the_sidecar_is_refused(unit, tr, shown, paths, refuses):
    _save(paths[2], np.ones((3, 4, 2, 5), np.float32), unit, tr)
    with refuses(DatasetError, rf"bold\.nii\.gz: TR is {shown} s in the header and 0\.5 s in the sidecar; correct one"):
        load_bold(paths[2], TR)


def test_a_difference_of_half_a_millisecond_is_rounding(paths):
    assert load_bold(paths[2], {"RepetitionTime": 0.5005}).tr == 0.5005


@pytest.mark.parametrize("sidecar", [{}, {"RepetitionTime": None}])
def test_a_sidecar_without_tr_is_refused(sidecar, paths, refuses):
    with refuses(DatasetError, r"has no RepetitionTime; add it \(seconds\) to the _bold\.json"):
        load_bold(paths[2], sidecar)


@pytest.mark.parametrize("value", ["two", [2], float("nan"), -0.5, 0, True])
def test_a_tr_that_is_no_positive_number_is_refused(value, paths, refuses):
    with refuses(DatasetError, r"RepetitionTime .* positive number of seconds"):
        load_bold(paths[2], {"RepetitionTime": value})


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_image_is_refused(share, paths, refuses):
    content = paths[2].read_bytes()
    paths[2].write_bytes(content[: int(share * len(content))])
    with refuses(DatasetError, r"bold\.nii\.gz: not a readable NIfTI image.*; fetch it again"):
        load_bold(paths[2], TR)


def test_a_truncated_uncompressed_image_is_refused(tmp_path, refuses):
    path = tmp_path / "bold.nii"
    _save(path, np.ones((3, 4, 2, 5), np.float32))
    path.write_bytes(path.read_bytes()[:-1])
    with refuses(DatasetError, r"bold\.nii: not a readable NIfTI image"):
        load_bold(path, TR)


def test_a_corrupt_image_is_refused(paths, refuses):
    content = bytearray(paths[2].read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    paths[2].write_bytes(content)
    with refuses(DatasetError, r"bold\.nii\.gz: not a readable NIfTI image"):
        load_bold(paths[2], TR)


def test_a_file_that_is_no_image_is_refused(paths, refuses):
    paths[2].write_text("see git-annex")
    with refuses(DatasetError, r"bold\.nii\.gz: not a readable NIfTI image"):
        load_bold(paths[2], TR)


def test_a_single_volume_is_refused(paths, refuses):
    _save(paths[2], np.ones((3, 4, 2), np.float32))
    with refuses(DatasetError, r"a 4-D BOLD run is expected, found 3 dimensions \(3, 4, 2\)"):
        load_bold(paths[2], TR)


def test_bold_with_nan_is_refused(write, rng, refuses):
    volumes = rng.normal(500, 20, (9, 8, 7, 22)).astype(np.float32)
    volumes[1, 2, 3, 4] = np.nan
    with refuses(DatasetError, r"bold\.nii\.gz: NaN or infinite voxels"):
        load_bold(write(volumes=volumes)[2], TR)


MARKERS = 37 + 50.0 * np.arange(12)


def test_bold_starts_at_the_first_marker(tmp_path):
    assert bold_onset(MARKERS, 100, 0.5, 12, tmp_path) == 37


@pytest.mark.parametrize("missing", [[], [4], [3, 4, 9], [11], [10, 11]])
def test_markers_may_be_missing_after_the_first(missing, tmp_path):
    assert bold_onset(np.delete(MARKERS, missing), 100, 0.5, 12, tmp_path) == 37


def test_markers_may_be_off_by_two_samples(tmp_path):
    markers = MARKERS + np.resize([0, 2, 0, 0], 12)
    assert bold_onset(markers, 100, 0.5, 12, tmp_path) == 37


def test_eeg_without_markers_is_refused(tmp_path, refuses):
    with refuses(AlignmentError, r"x\.vhdr: no R128 volume marker.*; export the recording with its markers"):
        bold_onset(np.array([]), 100, 0.5, 12, tmp_path / "x.vhdr")


def test_a_spacing_that_is_no_multiple_of_the_tr_is_refused(tmp_path, refuses):
    markers = MARKERS.copy()
    markers[5:] += 20
    with refuses(
        AlignmentError, r"x\.vhdr: R128 markers 5 and 6 are 0\.700 s apart, expected a multiple of the TR 0\.5"
    ):
        bold_onset(markers, 100, 0.5, 14, tmp_path / "x.vhdr")


def test_the_spacing_of_another_tr_is_refused(tmp_path, refuses):
    with refuses(AlignmentError, r"R128 markers 1 and 2 are 0\.500 s apart, expected a multiple of the TR 0\.6"):
        bold_onset(MARKERS, 100, 0.6, 12, tmp_path)


def test_a_marker_written_twice_is_refused_and_named(tmp_path, refuses):
    markers = MARKERS + np.resize([0, 1, 0, 0], 12)
    with refuses(AlignmentError, r"R128 markers 8 and 9 are 0\.000 s apart"):
        bold_onset(np.insert(markers, 7, markers[7]), 100, 0.5, 14, tmp_path)


@pytest.mark.parametrize("markers", [MARKERS, np.delete(MARKERS, 5)])
def test_more_markers_than_volumes_are_refused(markers, tmp_path, refuses):
    with refuses(AlignmentError, r"span 12 volumes, the BOLD file has 11; remove the markers"):
        bold_onset(markers, 100, 0.5, 11, tmp_path)


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
