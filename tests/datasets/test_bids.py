import json
import shutil

import pytest

from eeg2fmri.datasets import find_recordings
from eeg2fmri.errors import DatasetError


@pytest.fixture
def touch(tmp_path):
    """Write empty files below a dataset folder: pairing looks at names only."""

    def make(*names):
        for name in names:
            path = tmp_path / "bids" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "bids"

    return make


PAIR = ("sub-01/eeg/sub-01_task-rest_eeg.vhdr", "sub-01/func/sub-01_task-rest_bold.nii.gz")


def test_every_recording_of_a_dataset_is_found(bids_root):
    recordings, skipped = find_recordings(bids_root)
    assert [r.name for r in recordings] == [f"sub-0{i}_task-rest" for i in (1, 2, 3)]
    assert [r.subject for r in recordings] == ["sub-01", "sub-02", "sub-03"]
    assert skipped == []
    first = recordings[0]
    assert first.eeg_path == bids_root / PAIR[0]
    assert first.bold_path == bids_root / PAIR[1]
    assert first.channels_path == bids_root / "sub-01/eeg/sub-01_task-rest_channels.tsv"


def test_the_files_of_a_recording_are_those_it_is_read_from(bids_root):
    files = find_recordings(bids_root)[0][0].files
    assert sorted(str(f.relative_to(bids_root)) for f in files) == [
        "sub-01/eeg/sub-01_task-rest_channels.tsv",
        "sub-01/eeg/sub-01_task-rest_eeg.eeg",
        "sub-01/eeg/sub-01_task-rest_eeg.vhdr",
        "sub-01/eeg/sub-01_task-rest_eeg.vmrk",
        "sub-01/func/sub-01_task-rest_bold.json",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
    ]


def test_the_data_file_of_an_eeglab_recording_is_one_of_its_files(touch):
    root = touch("sub-01/eeg/sub-01_task-rest_eeg.set", "sub-01/eeg/sub-01_task-rest_eeg.fdt", PAIR[1])
    (recording,), _ = find_recordings(root)
    assert root / "sub-01/eeg/sub-01_task-rest_eeg.fdt" in recording.files


def test_files_without_a_partner_are_skipped_and_listed(bids_root):
    (bids_root / "sub-01/func/sub-01_task-rest_bold.nii.gz").unlink()
    shutil.rmtree(bids_root / "sub-02/eeg")
    recordings, skipped = find_recordings(bids_root)
    assert [r.subject for r in recordings] == ["sub-03"]
    assert [(s.path, s.reason) for s in skipped] == [
        (bids_root / "sub-01/eeg/sub-01_task-rest_eeg.vhdr", "EEG without BOLD"),
        (bids_root / "sub-02/func/sub-02_task-rest_bold.nii.gz", "BOLD without EEG"),
    ]


def test_another_task_is_no_partner(touch):
    root = touch(*PAIR, "sub-01/eeg/sub-01_task-video_eeg.vhdr", "sub-01/func/sub-01_task-flanker_bold.nii.gz")
    recordings, skipped = find_recordings(root)
    assert [r.name for r in recordings] == ["sub-01_task-rest"]
    assert [s.path.name for s in skipped] == ["sub-01_task-video_eeg.vhdr", "sub-01_task-flanker_bold.nii.gz"]


def test_sessions_and_runs_are_paired(touch):
    names = [f"sub-01/ses-{s}/{{}}/sub-01_ses-{s}_task-rest_run-{r}_{{}}" for s in ("a", "b") for r in ("1", "2")]
    root = touch(*(n.format("eeg", "eeg.vhdr") for n in names), *(n.format("func", "bold.nii.gz") for n in names))
    recordings, skipped = find_recordings(root)
    assert [r.name for r in recordings] == [f"sub-01_ses-{s}_task-rest_run-{r}" for s in "ab" for r in "12"]
    assert skipped == []
    for recording in recordings:
        assert recording.bold_path.name == f"{recording.name}_bold.nii.gz"
        assert recording.eeg_path.name == f"{recording.name}_eeg.vhdr"


@pytest.mark.parametrize("kind", ["vhdr", "edf", "bdf", "set", "fif"])
@pytest.mark.parametrize("image", ["nii", "nii.gz"])
def test_every_format_is_found(kind, image, touch):
    root = touch(f"sub-01/eeg/sub-01_task-rest_eeg.{kind}", f"sub-01/func/sub-01_task-rest_bold.{image}")
    assert len(find_recordings(root)[0]) == 1


def test_appledouble_files_are_ignored(bids_root):
    for name in ("eeg/._sub-01_task-rest_eeg.vhdr", "func/._sub-01_task-rest_bold.json", "func/._x_bold.nii.gz"):
        (bids_root / "sub-01" / name).write_bytes(b"\x00\x05\x16\x07")
    (bids_root / "._task-rest_bold.json").write_bytes(b"\x00\x05\x16\x07")
    recordings, skipped = find_recordings(bids_root)
    assert len(recordings) == 3
    assert skipped == []
    assert not [f for r in recordings for f in r.files if f.name.startswith("._")]


def test_an_appledouble_pair_alone_is_no_recording(touch, refuses):
    root = touch("sub-01/eeg/._sub-01_task-rest_eeg.vhdr", "sub-01/func/._sub-01_task-rest_bold.nii.gz")
    with refuses(DatasetError, r"found 0 EEG and 0 BOLD"):
        find_recordings(root)


def test_sidecars_are_inherited_from_the_least_to_the_most_specific(touch):
    root = touch(*PAIR, "sub-01/func/sub-01_task-rest_bold.json", "sub-01/sub-01_bold.json")
    for name in ("task-rest_bold.json", "bold.json", "task-video_bold.json"):
        (root / name).write_text(json.dumps({"RepetitionTime": 2}))
    (recording,), _ = find_recordings(root)
    assert [str(p.relative_to(root)) for p in recording.sidecars] == [
        "bold.json",
        "task-rest_bold.json",
        "sub-01/sub-01_bold.json",
        "sub-01/func/sub-01_task-rest_bold.json",
    ]


def test_a_recording_without_a_channels_table_has_none(touch):
    assert find_recordings(touch(*PAIR))[0][0].channels_path is None


def test_a_missing_dataset_is_refused(tmp_path, refuses):
    with refuses(DatasetError, r"absent: no such dataset folder; give the folder that holds dataset_description"):
        find_recordings(tmp_path / "absent")


def test_an_empty_dataset_is_refused(tmp_path, refuses):
    with refuses(DatasetError, r"no recording with both EEG and BOLD \(found 0 EEG and 0 BOLD files\).*is expected"):
        find_recordings(tmp_path)


def test_a_dataset_without_a_pair_says_what_it_has(touch, refuses):
    with refuses(DatasetError, r"found 1 EEG and 2 BOLD files"):
        find_recordings(touch(PAIR[0], PAIR[1].replace("rest", "a"), PAIR[1].replace("rest", "b")))


def test_a_second_file_of_the_same_recording_is_listed(bids_root):
    (bold,) = bids_root.glob("sub-02/func/*_bold.nii.gz")
    other = bold.with_name(bold.name.replace("_bold", "_space-MNI_bold"))
    other.write_bytes(bold.read_bytes())
    recordings, skipped = find_recordings(bids_root)
    assert [r.bold_path for r in recordings if r.subject == "sub-02"] == [bold]
    assert [(s.path, bold.name in s.reason) for s in skipped] == [(other, True)]
