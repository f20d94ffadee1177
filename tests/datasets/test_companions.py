"""Data and marker files that a header names: BrainVision and EEGLAB."""

import shutil

import h5py
import numpy as np
import pytest
import scipy.io

from eeg2fmri.datasets import Recording, open_eeg
from eeg2fmri.errors import DatasetError
from tests.datasets.trees import NAMES, rename_in_header, write_vhdr

RATE = 250.0


def signal(factor=1.0):
    """(channels, samples): channel i is a sine of 10·i µV."""
    times = np.arange(500) / RATE
    return factor * 10 * np.arange(1, len(NAMES) + 1)[:, None] * np.sin(2 * np.pi * 10 * times)


def recording(path):
    return Recording("sub-01", "sub-01", path, path.with_name("bold.nii.gz"))


def amplitudes(path):
    return np.abs(open_eeg(recording(path)).read(range(len(NAMES)))).max(axis=1).round()


def files(path):
    return {file.name for file in recording(path).files} - {"bold.nii.gz"}


# --- EEGLAB ----------------------------------------------------------------------------------


def write_set(path, data=None, *, named="", beside="", hdf5=False):
    """A ``.set`` that names a data file, or holds the data; `beside` is the file that is written."""
    data = (signal() if data is None else data).astype("<f4")
    if beside:
        (path.parent / beside).write_bytes(np.asfortranarray(data).T.tobytes())
    fields = {"nbchan": len(data), "trials": 1, "pnts": data.shape[1], "srate": RATE, "xmin": 0, "xmax": 1}
    if hdf5:
        with h5py.File(path, "w", userblock_size=512) as file:
            group = file.create_group("EEG")
            item = group.create_dataset("data", data=np.array([[ord(c)] for c in named], np.uint16))
            item.attrs["MATLAB_class"] = np.bytes_("char")
        return path
    labels = np.array([(name, "EEG") for name in NAMES], dtype=[("labels", "O"), ("type", "O")])
    rest = {"chanlocs": labels, "event": np.zeros((0, 0)), "icawinv": np.zeros((0, 0)), "ref": "common"}
    scipy.io.savemat(path, {"EEG": {**fields, **rest, "data": named or data}}, appendmat=False)
    return path


def test_a_set_with_its_data_file(tmp_path):
    path = write_set(tmp_path / "a.set", named="a.fdt", beside="a.fdt")
    assert amplitudes(path).tolist() == [10, 20, 30, 40, 50]
    assert files(path) == {"a.set", "a.fdt"}


@pytest.mark.parametrize("hdf5", [False, True])
@pytest.mark.parametrize("own", ["b.fdt", ""])
def test_a_set_that_names_the_data_of_another_is_refused(hdf5, own, tmp_path, refuses):
    write_set(tmp_path / "a.set", named="a.fdt", beside="a.fdt")
    path = write_set(tmp_path / "b.set", signal(3), named="a.fdt", beside=own, hdf5=hdf5)
    lies = "b.fdt is beside it" if own else "it has no file of its own"
    with refuses(DatasetError, rf"b\.set: its EEG\.data names a\.fdt, which belongs to another header, but {lies}"):
        open_eeg(recording(path))


@pytest.mark.parametrize("named", ["before.fdt", "C:\\data\\before.fdt"])
def test_a_set_renamed_with_its_data_is_read(named, tmp_path):
    path = write_set(tmp_path / "a.set", named=named, beside="a.fdt")
    assert amplitudes(path).tolist() == [10, 20, 30, 40, 50]
    assert files(path) == {"a.set", "a.fdt"}
    assert open_eeg(recording(path)).notes == (f"it names {named}, renamed since; a.fdt is read",)


@pytest.mark.parametrize(("named", "beside"), [("a.FDT", "a.fdt"), ("A.fdt", "A.FDT")])
def test_data_of_a_set_in_another_case_are_refused(named, beside, tmp_path, refuses):
    path = write_set(tmp_path / "b.set", named=named, beside=beside)
    with refuses(DatasetError, rf"names {named}, the file is {beside}; both must end in \.fdt and agree"):
        open_eeg(recording(path))


def test_a_set_that_holds_its_data_has_no_other_file(tmp_path):
    path = write_set(tmp_path / "a.set", beside="a.fdt")
    assert files(path) == {"a.set"}
    assert amplitudes(path).tolist() == [10, 20, 30, 40, 50]


def test_data_in_another_folder_are_refused(tmp_path, refuses):
    (tmp_path / "other").mkdir()
    write_set(tmp_path / "other" / "a.set", named="a.fdt", beside="a.fdt")
    path = write_set(tmp_path / "b.set", named="other/a.fdt")
    with refuses(DatasetError, r"b\.set: its samples are in .*other/a\.fdt, which is no file of this recording"):
        open_eeg(recording(path))


# --- BrainVision -----------------------------------------------------------------------------


def header(tmp_path, name="a"):
    return write_vhdr(tmp_path / f"{name}.vhdr", signal(), RATE, NAMES, [(0.5, "R128")])


def test_companions_in_another_case_are_found(tmp_path):
    path = header(tmp_path)
    path.with_suffix(".eeg").rename(tmp_path / "A.EEG")
    path.with_suffix(".vmrk").rename(tmp_path / "A.vmrk")
    assert amplitudes(path).tolist() == [10, 20, 30, 40, 50]
    assert files(path) == {"a.vhdr", "A.EEG", "A.vmrk"}
    assert [text for _, text in open_eeg(recording(path)).events if "128" in text]


def test_a_decimal_comma_in_a_resolution_is_named(tmp_path, refuses):
    path = header(tmp_path)
    text = path.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("Ch1="))
    name, reference, _, unit = line.split(",")
    path.write_text(text.replace(line, f"{name},{reference},0,1,{unit}"), encoding="utf-8")
    with refuses(DatasetError, r"a\.vhdr: the resolution in 'Ch1=.*0,1' has a decimal comma, a point is expected"):
        open_eeg(recording(path))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("BinaryFormat=", "UseBigEndianOrder=YES\nBinaryFormat=", "its samples are big-endian"),
        (f"Ch2={NAMES[1]},", f"Ch2={NAMES[0]},", f"more than one channel is called {NAMES[0]}; rename"),
    ],
)
def test_a_header_that_cannot_be_read_right_is_refused(old, new, reason, tmp_path, refuses):
    path = header(tmp_path)
    rename_in_header(path, old, new)
    with refuses(DatasetError, rf"a\.vhdr: {reason}"):
        open_eeg(recording(path))


@pytest.mark.parametrize("endings", [("vhdr",), ("vmrk",), ("vhdr", "vmrk", "eeg")])
def test_endings_in_upper_case_are_read(endings, tmp_path):
    path = header(tmp_path)
    for ending in endings:
        path.with_suffix(f".{ending}").rename(tmp_path / f"a.{ending.upper()}")
    path = tmp_path / "a.VHDR" if "vhdr" in endings else path
    assert amplitudes(path).tolist() == [10, 20, 30, 40, 50]
    assert [onset for onset, text in open_eeg(recording(path)).events if "128" in text] == [0.5]
    assert files(path) == {file.name for file in tmp_path.iterdir()}


def test_a_header_that_names_the_only_data_of_another_is_refused(tmp_path, refuses):
    path = header(tmp_path)
    copied = shutil.copy(path, tmp_path / "b.vhdr")
    with refuses(
        DatasetError, r"b\.vhdr: its DataFile= names a\.eeg, which belongs to another header, but it has no file"
    ):
        open_eeg(recording(copied))


def test_folders_of_windows_in_a_header_do_not_hide_whose_the_data_are(tmp_path, refuses):
    header(tmp_path)
    path = header(tmp_path, "b")
    rename_in_header(path, "DataFile=b.eeg", "DataFile=C:\\eeg\\a.eeg")
    with refuses(DatasetError, r"names a\.eeg, which belongs to another header, but b\.eeg is beside it"):
        open_eeg(recording(path))


@pytest.mark.parametrize("ending", ["vhdr", "vmrk"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_utf_16_is_named(ending, encoding, tmp_path, refuses):
    path = header(tmp_path)
    part = path.with_suffix(f".{ending}")
    part.write_bytes(part.read_text(encoding="utf-8").encode(encoding))
    with refuses(DatasetError, rf"a\.{ending}: it is UTF-16, UTF-8 or latin-1 is expected; save it as UTF-8"):
        open_eeg(recording(path))


def test_a_byte_order_mark_is_no_hindrance(tmp_path):
    path = header(tmp_path)
    for part in (path, path.with_suffix(".vmrk")):
        part.write_text(part.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert amplitudes(path).tolist() == [10, 20, 30, 40, 50]
