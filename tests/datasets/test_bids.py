import json
import shutil
from pathlib import Path

import pytest

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets import find_recordings, list_recordings
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
    assert {s.path.name for s in skipped} == {"sub-01_task-video_eeg.vhdr", "sub-01_task-flanker_bold.nii.gz"}


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
    with refuses(
        DatasetError,
        r"no recording with both EEG and BOLD \(found 0 EEG and 0 BOLD files\).*expected; eeg2fmri inspect",
    ):
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


# --- what real trees contain -----------------------------------------------------------------


def test_entities_in_any_order_and_case_are_paired(touch):
    root = touch(
        "sub-01/ses-A/EEG/sub-01_run-1_ses-a_Task-Rest_EEG.vhdr",
        "sub-01/ses-A/func/sub-01_ses-A_task-rest_run-01_bold.NII.GZ",
    )
    (recording,), skipped = find_recordings(root)
    assert recording.name == "sub-01_ses-a_task-Rest_run-1"
    assert (recording.session, recording.task, recording.run) == ("a", "Rest", "1")
    assert skipped == []


def test_a_run_on_one_side_only_is_no_partner_and_told(touch):
    root = touch(*PAIR, "sub-02/eeg/sub-02_task-rest_eeg.vhdr", "sub-02/func/sub-02_task-rest_run-1_bold.nii.gz")
    _, skipped = find_recordings(root)
    assert [s.reason for s in skipped] == [
        "EEG without BOLD of the same run (there: run-1)",
        "BOLD without EEG of the same run (there: no run)",
    ]


def test_a_file_in_the_folder_of_another_subject_is_listed(touch):
    root = touch(*PAIR, "sub-02/eeg/sub-01_task-rest_eeg.vhdr")
    recordings, skipped = find_recordings(root)
    assert [r.eeg_path for r in recordings] == [root / PAIR[0]]
    assert [s.reason for s in skipped] == ["named sub-01 in the folder sub-02"]


@pytest.mark.parametrize(
    ("rule", "ignored"),
    [
        ("sub-02/", True),
        ("/sub-02/**", True),
        ("*_task-rest_bold.nii.gz", True),
        ("sub-0?/func/*run-2*", False),
        ("**/func/*", True),
        ("/func/*", False),
        ("# sub-02", False),
        ("sub-02\n!sub-02/**", False),
        ("sub-2", False),
        ("sub-[0-9][2-4]/", True),
        ("sub-0[!2]/", False),
        ("sub-0[^1]/", True),
        ("sub-0[", False),
    ],
)
def test_bidsignore(rule, ignored, touch):
    root = touch(*PAIR, *(name.replace("01", "02") for name in PAIR))
    (root / ".bidsignore").write_text(f"\n# comment\n*/sub-01_nothing \n{rule}\n")
    found, skipped = list_recordings(root, DatasetConfig())[:2]
    assert ("sub-02" not in {r.subject for r in found}) == ignored
    assert any(s.reason == "named by .bidsignore" and "sub-02" in str(s.path) for s in skipped) == ignored


def test_a_rule_of_bidsignore_that_is_no_pattern_is_refused(touch, refuses):
    root = touch(*PAIR)
    (root / ".bidsignore").write_text("sub-[9-0]*\n")
    with refuses(DatasetError, r"\.bidsignore: 'sub-\[9-0\]\*' is no pattern .*; correct it"):
        list_recordings(root, DatasetConfig())


def test_tables_and_sidecars_named_by_bidsignore_are_not_used(touch):
    root = touch(*PAIR, "sub-01/eeg/sub-01_task-rest_channels.tsv", "task-rest_bold.json", "task-rest_eeg.json")
    (root / ".bidsignore").write_text("*_channels.tsv\n/task-rest_bold.json\n")
    ((recording,), _) = find_recordings(root)
    assert (recording.channels_path, recording.sidecars) == (None, ())
    assert [path.name for path in recording.eeg_sidecars] == ["task-rest_eeg.json"]


# --- filters ---------------------------------------------------------------------------------


@pytest.fixture
def many(touch):
    names = [f"sub-0{s}/ses-{v}/{{}}/sub-0{s}_ses-{v}_task-{t}_run-{r:02d}_{{}}"
             for s in (1, 2) for v in ("pre", "post") for t in ("rest", "video") for r in (1, 2)]  # fmt: skip
    return touch(*(n.format("eeg", "eeg.edf") for n in names), *(n.format("func", "bold.nii.gz") for n in names))


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 16),
        ({"subjects": ["sub-01"]}, 8),
        ({"subjects": ["SUB-01"]}, 8),
        ({"subjects": "1,02"}, 16),
        ({"sessions": ["ses-pre"]}, 8),
        ({"tasks": ["REST"]}, 8),
        ({"runs": [2]}, 8),
        ({"runs": "02", "tasks": "rest,video", "sessions": "post", "subjects": ["02"]}, 2),
    ],
)
def test_filters(filters, count, many):
    recordings, skipped = find_recordings(many, DatasetConfig(**filters))
    assert len(recordings) == count
    assert skipped == []


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"subjects": ["03"]}, r"dataset\.subjects: '03' matches nothing in .*; did you mean '0[12]'\?"),
        ({"tasks": ["rset"]}, r"dataset\.tasks: 'rset' matches nothing in .*; did you mean 'rest'\?"),
        ({"runs": ["7x"]}, r"dataset\.runs: '7x' matches nothing in .*; there: 01, 02"),
        ({"sessions": ["pre", "during"]}, r"dataset\.sessions: 'during' matches nothing"),
    ],
)
def test_a_label_that_matches_nothing_is_refused(filters, reason, many, refuses):
    with refuses(DatasetError, reason):
        find_recordings(many, DatasetConfig(**filters))


def test_labels_that_meet_nowhere_leave_nothing(many, refuses):
    next(many.glob("sub-02/ses-pre/eeg/*task-rest_run-01*")).unlink()
    with refuses(DatasetError, r"found 0 EEG and 1 BOLD files"):
        find_recordings(many, DatasetConfig(subjects="02", sessions="pre", tasks="rest", runs="1"))


# --- derivatives -----------------------------------------------------------------------------

FMRIPREP = "derivatives/fmriprep/sub-01/func/sub-01_task-rest_{}"


def test_fmriprep_output_in_mni_space_with_its_mask(touch):
    root = touch(*PAIR, *(FMRIPREP.format(name) for name in (
        "space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz", "space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz",
        "space-MNI152NLin2009cAsym_boldref.nii.gz", "space-T1w_desc-preproc_bold.nii.gz",
        "space-MNI152NLin2009cAsym_desc-preproc_bold.json")), "task-rest_bold.json")  # fmt: skip
    (recording,), skipped = find_recordings(root, DatasetConfig(bold="fmriprep"))
    base = root / FMRIPREP.format("space-MNI152NLin2009cAsym_desc-")
    assert str(recording.bold_path) == f"{base}preproc_bold.nii.gz"
    assert str(recording.mask_path) == f"{base}brain_mask.nii.gz"
    assert recording.space == "MNI152NLin2009cAsym"
    assert [p.name for p in recording.sidecars] == [
        "task-rest_bold.json", "sub-01_task-rest_space-MNI152NLin2009cAsym_desc-preproc_bold.json"]  # fmt: skip
    assert [s.reason for s in skipped] == ["BOLD in T1w, not in MNI152NLin2009cAsym"]


def test_a_mask_that_was_never_fetched_is_not_passed_over(touch):
    root = touch(*PAIR, FMRIPREP.format("space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"))
    mask = root / FMRIPREP.format("space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz")
    mask.symlink_to("../.git/annex/objects/absent")
    (recording,), _ = find_recordings(root, DatasetConfig(bold="fmriprep"))
    assert recording.mask_path == mask


@pytest.mark.parametrize("names", [("timeseries",), ("regressors",), ("timeseries", "regressors")])
def test_confounds_of_fmriprep_are_found_beside_the_volumes(touch, names):
    tables = [FMRIPREP.format(f"desc-confounds_{name}.{end}") for name in names for end in ("tsv", "json")]
    others = [FMRIPREP.format("run-2_desc-confounds_timeseries.tsv"), FMRIPREP.format("desc-aroma_timeseries.tsv")]
    root = touch(*PAIR, FMRIPREP.format("space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"), *tables, *others)
    (recording,), _ = find_recordings(root, DatasetConfig(bold="fmriprep"))
    assert recording.confounds_path == root / FMRIPREP.format(f"desc-confounds_{names[0]}.tsv")
    assert recording.confounds_path in recording.files
    (raw,), _ = find_recordings(root)
    assert raw.confounds_path is None


def test_fmriprep_output_in_another_space_only_is_told(touch):
    root = touch(*PAIR, FMRIPREP.format("desc-preproc_bold.nii.gz"))
    _, skipped, _, _ = list_recordings(root, DatasetConfig(bold="fmriprep"))
    assert "BOLD in the native space, not in MNI152NLin2009cAsym" in [s.reason for s in skipped]


def test_preprocessed_eeg_of_a_derivative(touch):
    derived = "derivatives/eegprep/sub-01/eeg/sub-01_task-rest_desc-clean_eeg"
    root = touch(*PAIR, f"{derived}.set", f"{derived}.json", "task-rest_eeg.json")
    (recording,), _ = find_recordings(root, DatasetConfig(eeg="eegprep"))
    assert recording.eeg_path.name == "sub-01_task-rest_desc-clean_eeg.set"
    assert recording.eeg_sidecars == (root / f"{derived}.json",)  # not StartTime of the raw EEG


def test_a_derivative_that_is_not_there_is_refused(touch, refuses):
    root = touch(*PAIR, "derivatives/fmriprep/dataset_description.json")
    with refuses(DatasetError, r"no derivative 'fmriperp' \(no folder derivatives/fmriperp\); did you mean 'fmriprep'"):
        find_recordings(root, DatasetConfig(bold="fmriperp"))


def test_a_big_dataset_is_not_listed_again_for_every_file(bids_root, monkeypatch):
    listed = []
    inside = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: listed.append(folder) or inside(folder))
    find_recordings(bids_root)
    few = listed.count(bids_root)
    for number in range(4, 9):
        shutil.copytree(bids_root / "sub-01", bids_root / f"sub-{number:02d}")
    listed.clear()
    find_recordings(bids_root)
    assert listed.count(bids_root) == few
