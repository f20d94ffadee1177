"""EEG: formats, types, markers, renamed companions, lazy reading."""

import shutil

import numpy as np
import pytest

from eeg2fmri.datasets import common_channels, open_eeg_file
from eeg2fmri.datasets.brainvision import companions
from eeg2fmri.errors import DatasetError
from tests.datasets.reading import load, markers

TYPES = ("eeg", "ecg")
EEG = "eeg/sub-01_task-rest_eeg"
BOLD = "func/sub-01_task-rest_bold.nii.gz"


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
    eeg = load(header, channels, TYPES)
    np.testing.assert_allclose(eeg.data, data, rtol=1e-5, atol=1e-4)
    assert eeg.data.dtype == np.float32
    assert eeg.sampling_rate == 100
    assert eeg.channels == ("Fp1", "Fp2", "Cz", "Oz", "ECG")
    np.testing.assert_allclose(eeg.markers, 137 + 50 * np.arange(22), atol=1e-6)


def test_channels_of_other_types_are_left_out(paths):
    header, channels, _ = paths
    assert load(header, channels, ("eeg",)).channels == ("Fp1", "Fp2", "Cz", "Oz")
    assert load(header, channels, ("ecg",)).data.shape[0] == 1


def test_types_come_from_the_file_without_a_channels_table(paths):
    assert "Cz" in load(paths[0], None, TYPES).channels


def test_a_channel_of_unstated_type_is_left_out(paths):
    header, channels, _ = paths
    channels.write_text(channels.read_text().replace("Oz\tEEG", "Oz\tn/a"))
    assert load(header, channels, TYPES).channels == ("Fp1", "Fp2", "Cz", "ECG")


def test_no_wanted_channel_is_refused(paths, refuses):
    header, channels, _ = paths
    channels.write_text(channels.read_text().replace("Oz\tEEG", "Oz\tn/a"))
    with refuses(DatasetError, r"no channel of type meg or ref among \['ecg', 'eeg', 'n/a'\]; set data\.channel_types"):
        load(header, channels, ("meg", "ref"))


def test_only_volume_markers_are_kept(write):
    header, channels, _ = write(markers=[100, 150])
    marks = header.with_suffix(".vmrk")
    marks.write_text(marks.read_text() + "Mk4=Stimulus,S  1,120,1,0\nMk5=Response,R 12,130,1,0\n")
    np.testing.assert_allclose(load(header, channels, TYPES).markers, [100, 150], atol=1e-6)


def test_markers_of_a_file_whose_first_sample_is_not_0_count_from_its_data(tmp_path, rng):
    import mne

    info = mne.create_info(["Cz", "Oz"], 100.0, "eeg")
    raw = mne.io.RawArray(rng.normal(0, 1e-5, (2, 1000)), info, first_samp=250, verbose="error")
    raw.set_meas_date(1_000_000)
    raw.set_annotations(mne.Annotations([2.5 + 1.3], [0], ["R128"], orig_time=raw.info["meas_date"]))
    path = tmp_path / "sub-01_task-rest_eeg.fif"
    raw.save(path, verbose="error")
    np.testing.assert_allclose(load(path, None, TYPES).markers, [130], atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_eeg_with_nan_is_refused_and_the_channel_named(value, paths, refuses):
    header, channels, _ = paths
    samples = np.fromfile(header.with_suffix(".eeg"), "<f4").reshape(-1, 5)
    samples[700, 2] = value
    samples.tofile(header.with_suffix(".eeg"))
    with refuses(DatasetError, r"_eeg\.vhdr: NaN or infinite samples in Cz; repair or drop"):
        load(header, channels, TYPES)


@pytest.mark.parametrize("suffix", [".eeg", ".vhdr"])
def test_a_missing_eeg_file_is_refused(suffix, paths, refuses):
    header, channels, _ = paths
    header.with_suffix(suffix).unlink()
    with refuses(
        DatasetError, r"_eeg\.vhdr: (not a readable EEG recording.*; fetch or export it again|no such file; fetch)"
    ):
        load(header, channels, TYPES)


def test_eeg_without_its_marker_file_is_refused(paths, refuses):
    header, channels, _ = paths
    header.with_suffix(".vmrk").unlink()
    with refuses(DatasetError, r"its MarkerFile= names sub-01_task-rest_eeg\.vmrk, which is not there\); fetch"):
        load(header, channels, TYPES)


def test_an_eeg_header_full_of_rubbish_is_refused(paths, refuses):
    header, channels, _ = paths
    header.write_bytes(bytes(range(256)))
    with refuses(DatasetError, r"_eeg\.vhdr: not a readable EEG recording"):
        load(header, channels, TYPES)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name\tkind\nCz\tEEG\n", r"columns name and type are expected, found \['name', 'kind'\]"),
        ("name\ttype\nPz\tEEG\n", r"channels \['Pz'\] are not in the EEG file"),
        ("", "not a readable table"),
        ("name\ttype\nCz\n", "row 2 has 1 columns, 2 are expected"),
    ],
)
def test_a_channels_table_that_does_not_fit_is_refused(text, reason, paths, refuses):
    header, channels, _ = paths
    channels.write_text(text)
    with refuses(DatasetError, rf"channels\.tsv: {reason}"):
        load(header, channels, TYPES)


# --- other formats ---------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["edf", "bdf", "set", "fif", "EDF"])
def test_every_format_gives_the_same_signal_and_markers(ending, tmp_path, rng):
    import mne

    data = rng.normal(0, 20, (3, 600))
    info = mne.create_info(["Cz", "Oz", "ECG"], 200.0, "eeg")
    raw = mne.io.RawArray(data * 1e-6, info, verbose="error")
    raw.set_annotations(mne.Annotations([0.5, 1.5, 1.7], [0, 0, 0], ["R128", "R128", "blink"]))
    path = tmp_path / f"sub-01_task-rest_eeg.{ending}"
    written = path.with_suffix(path.suffix.lower())
    if written.suffix == ".fif":
        raw.save(written, verbose="error")
    else:
        mne.export.export_raw(written, raw, verbose="error")
    if path != written:
        written.rename(path)
    opened = open_eeg_file(path)
    assert (opened.sampling_rate, opened.channels, opened.types) == (200, ("Cz", "Oz", "ECG"), ("eeg", "eeg", "ecg"))
    np.testing.assert_allclose(opened.read([0, 1, 2])[:, :600], data, atol=0.02)
    np.testing.assert_allclose(markers(opened), [100, 300], atol=0.1)
    assert [text for _, text in opened.events][:3] == ["R128", "R128", "blink"]


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_matlab_files_of_both_versions(version, tmp_path, rng):
    import h5py
    import scipy.io

    data = rng.normal(0, 20, (49, 300))
    path = tmp_path / "EEG_noGA.mat"
    if version == "5":
        scipy.io.savemat(path, {"data_noGA": data, "note": "x"})
    else:
        with h5py.File(path, "w") as file:
            file["data_noGA"] = data.T
    raw = open_eeg_file(path)
    assert (raw.sampling_rate, raw.n_samples, len(raw.channels)) == (1000, 300, 49)
    assert (raw.channels[0], raw.channels[43], raw.channels[45]) == ("EEG01", "EOG01", "ECG01")
    assert [raw.types.count(kind) for kind in ("eeg", "eog", "ecg", "trig")] == [43, 2, 2, 2]
    assert raw.types[42:46] == ("eeg", "eog", "eog", "ecg")
    np.testing.assert_allclose(raw.read([48, 0], 10, 20), data[[48, 0], 10:20], rtol=1e-6)


@pytest.mark.parametrize("content", [b"MATLAB 5.0 MAT-file" + bytes(200), b"", b"see git-annex"])
def test_a_damaged_matlab_file_is_refused(content, tmp_path, refuses):
    path = tmp_path / "EEG_noGA.mat"
    path.write_bytes(content)
    with refuses(DatasetError, r"EEG_noGA\.mat: (not a readable MATLAB file|one array of 49 or 34)"):
        open_eeg_file(path)


def test_a_matlab_file_with_other_channels_is_refused(tmp_path, refuses):
    import scipy.io

    scipy.io.savemat(tmp_path / "EEG_noGA.mat", {"data": np.zeros((48, 10))})
    with refuses(DatasetError, r"one array of 49 or 34 channels is expected, found \{'data': \(48, 10\)\}"):
        open_eeg_file(tmp_path / "EEG_noGA.mat")


# --- lazy reading ----------------------------------------------------------------------------


def test_only_the_channels_and_samples_asked_for_are_read(write, rng, monkeypatch):
    data = rng.normal(0, 20, (5, 1300))
    header, channels, _ = write(eeg=data)
    raw = open_eeg_file(header, channels)
    monkeypatch.setattr("eeg2fmri.datasets.eeg.BLOCK_VALUES", 5 * 130)  # ten blocks
    assert raw.n_samples == 1300
    np.testing.assert_allclose(raw.read([4, 1], 7, 1001), data[[4, 1], 7:1001], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(raw.read([2]), data[[2]], rtol=1e-5, atol=1e-4)
    assert raw.read([0], 1290, 5000).shape == (1, 10)
    assert raw.read([0]).dtype == np.float32


def test_bad_channels_are_those_of_the_table(paths):
    header, channels, _ = paths
    rows = [line.split("\t") for line in channels.read_text().splitlines()]
    states = ["status", "good", "bad", "good", "BAD", "n/a"]
    channels.write_text("".join("\t".join([*row, state]) + "\n" for row, state in zip(rows, states, strict=True)))
    assert open_eeg_file(header, channels).bads == ("Fp2", "Oz")


def test_types_come_from_names_and_documentation(paths):
    assert open_eeg_file(paths[0]).types == ("eeg", "eeg", "eeg", "eeg", "ecg")
    assert open_eeg_file(paths[0], None, ((1, "eog"),)).types == ("eeg", "eog", "eeg", "eeg", "ecg")


def test_a_table_separated_by_blanks_with_quoted_names(paths):
    header, channels, _ = paths
    rows = [
        "name   type   units",
        *(f"'{name}'   EEG   microV" for name in ("Fp1", "Fp2", "Cz", "Oz")),
        "ECG’   ECG   microV",
    ]
    channels.write_text("\n".join(rows), encoding="utf-8")
    assert open_eeg_file(header, channels).types == ("eeg", "eeg", "eeg", "eeg", "ecg")


def test_an_inherited_table_may_name_more_channels(paths, tmp_path):
    table = tmp_path / "task-rest_channels.tsv"
    shutil.copy(paths[1], table)
    table.write_text(table.read_text() + "Pz\tEEG\tuV\n")
    assert len(open_eeg_file(paths[0], table).types) == 5


def test_an_inherited_table_of_another_cap_is_refused(paths, tmp_path, refuses):
    table = tmp_path / "task-rest_channels.tsv"
    table.write_text("name\ttype\nA1\tEEG\nA2\tEEG\nECG\tECG\n")
    with refuses(DatasetError, rf"{table}: none of its EEG channels \(A1, A2\) is in the EEG file, which has Fp1, "):
        open_eeg_file(paths[0], table)


def test_a_table_may_spell_names_in_another_case(paths, tmp_path):
    table = tmp_path / "task-rest_channels.tsv"
    table.write_text(paths[1].read_text().replace("Fp1", "FP1").replace("Cz", "CZ"))
    found, usual = open_eeg_file(paths[0], table), open_eeg_file(paths[0], paths[1])
    assert (found.channels, found.types, found.notes) == (usual.channels, usual.types, ())


def test_a_channel_without_description_is_told(paths, tmp_path):
    table = tmp_path / "task-rest_channels.tsv"
    table.write_text("".join(line for line in paths[1].read_text().splitlines(True) if not line.startswith("Fp1")))
    found = open_eeg_file(paths[0], table)
    assert found.types[found.channels.index("Fp1")] == "n/a"
    assert found.notes == ("task-rest_channels.tsv does not describe Fp1: type n/a",)


# --- renamed files ---------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["eeg", "dat"])
def test_companions_renamed_with_the_header_are_found(ending, paths, rng):
    header = paths[0]
    before = open_eeg_file(header)
    expected = before.read([0])
    text = header.read_text().replace("DataFile=sub-01_task-rest_eeg.eeg", f"DataFile=Old Name.{ending}")
    header.write_text(text.replace("MarkerFile=sub-01_task-rest_eeg.vmrk", "MarkerFile=Old Name.vmrk"))
    header.with_suffix(".eeg").rename(header.with_suffix(f".{ending}"))
    content = header.read_bytes()
    raw = open_eeg_file(header)
    np.testing.assert_array_equal(raw.read([0]), expected)
    np.testing.assert_array_equal(markers(raw), markers(before))
    (note,) = raw.notes
    assert f"Old Name.{ending} and Old Name.vmrk" in note
    assert header.read_bytes() == content, "nothing is written into a dataset"


def test_a_placeholder_stands_for_the_name_of_the_header(paths):
    header = paths[0]
    header.write_text(header.read_text().replace("DataFile=sub-01_task-rest_eeg.eeg", "DataFile=$b.eeg"))
    assert companions(header).data == header.with_suffix(".eeg")
    assert open_eeg_file(header).read([0]).size


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_beyond_ascii_are_read(encoding, paths):
    header = paths[0]
    data = header.with_name("Müller.eeg")
    header.with_suffix(".eeg").rename(data)
    text = header.read_text().replace("DataFile=sub-01_task-rest_eeg.eeg", "DataFile=Müller.eeg")
    header.write_bytes(text.encode(encoding))
    assert companions(header).data == data


def test_a_header_that_names_another_recording_is_refused(paths, refuses):
    header = paths[0]
    for suffix in (".vhdr", ".eeg", ".vmrk"):
        shutil.copy(header.with_suffix(suffix), header.with_name(f"other{suffix}"))
    header.write_text(header.read_text().replace("DataFile=sub-01_task-rest_eeg.eeg", "DataFile=other.eeg"))
    with refuses(DatasetError, r"_eeg\.vhdr: its DataFile= names other\.eeg, which belongs to another header"):
        open_eeg_file(header)


def test_a_read_only_dataset_is_read_and_nothing_is_written_into_it(paths):
    header = paths[0]
    header.write_text(header.read_text().replace("DataFile=sub-01", "DataFile=old-01"))
    before = {path: path.read_bytes() for path in header.parent.iterdir()}
    header.parent.chmod(0o555)  # root may write all the same, hence the comparison
    try:
        assert open_eeg_file(header, paths[1]).read([0]).size
        assert {path: path.read_bytes() for path in header.parent.iterdir()} == before
    finally:
        header.parent.chmod(0o755)


@pytest.mark.parametrize("suffix", [".eeg", ".vmrk", ".vhdr"])
def test_a_link_whose_content_was_never_fetched(suffix, paths, refuses):
    file = paths[0].with_suffix(suffix)
    file.unlink()
    file.symlink_to("../../.git/annex/objects/aa/bb/MD5E-s10--0/MD5E-s10--0")
    with refuses(
        DatasetError, rf"\{suffix}: its content was never fetched \(git-annex\), run: datalad get \S+\{suffix}$"
    ):
        open_eeg_file(paths[0], paths[1])


def test_an_unlocked_pointer_whose_content_was_never_fetched(paths, refuses):
    paths[0].with_suffix(".eeg").write_text("/annex/objects/MD5E-s10--0.eeg\n")
    with refuses(DatasetError, r"\.eeg: its content was never fetched"):
        open_eeg_file(paths[0], paths[1])


# --- channel sets ----------------------------------------------------------------------------


def test_common_channels_are_matched_by_name_in_the_order_of_the_first():
    common, differences = common_channels(
        [("a", ["Cz", "Oz", "Pz"]), ("b", ["Pz", "Cz", "T7"]), ("c", ["Pz", "Oz", "Cz"])]
    )
    assert common == ("Cz", "Pz")
    assert differences == {"a": {"lacks": (), "extra": ("Oz",)}, "b": {"lacks": ("Oz",), "extra": ("T7",)}}


def test_the_same_channels_in_another_order_differ_in_nothing():
    assert common_channels([("a", ["Cz", "Oz"]), ("b", ["Oz", "Cz"])]) == (("Cz", "Oz"), {})


def test_recordings_without_a_common_channel_are_refused(refuses):
    with refuses(DatasetError, "a: none of its channels is in all 2 recordings"):
        common_channels([("a", ["Cz"]), ("b", ["CZ"])])
