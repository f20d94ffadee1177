"""The public datasets, as their real listings lay them out."""

import pickle
import shutil
import sys

import pytest

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets import align, find_recordings, open_eeg
from eeg2fmri.errors import AlignmentError, ConfigError, DatasetError
from tests.datasets.reading import load_recording
from tests.datasets.trees import (
    XP1_RUNS,
    write_bold,
    write_cn_epfl,
    write_noddi,
    write_oddball,
    write_rows,
    write_xp1,
    write_xp2,
)


def find(root, name, **settings):
    recordings, skipped = find_recordings(root, DatasetConfig(name=name, **settings))
    assert pickle.loads(pickle.dumps(recordings)) == recordings, "workers receive recordings"
    return recordings, skipped


def listed(skipped, root):
    return {(str(item.path.relative_to(root)), item.reason) for item in skipped}


# --- XP1 -------------------------------------------------------------------------------------


def test_xp1_takes_the_preprocessed_eeg(tmp_path):
    recordings, skipped = find(write_xp1(tmp_path), "xp1")
    paired = sorted((t for t, (_, derived, bold) in XP1_RUNS.items() if derived and bold), key=str.lower)
    assert [r.name for r in recordings] == [f"sub-xp102_task-{task}" for task in paired]
    first = recordings[0]
    assert first.eeg_path == tmp_path / "derivatives/sub-xp102/eeg_pp" / f"{first.name}_eeg_pp.vhdr"
    assert first.bold_path == tmp_path / "sub-xp102/func" / f"{first.name}_bold.nii.gz"
    assert (first.subject, first.session, first.run, first.alignment) == ("sub-xp102", "", "", "xp")
    assert first.channels_path == tmp_path / f"task-{first.task}_channels.tsv"
    assert [p.parent for p in first.sidecars] == [tmp_path, tmp_path / "sub-xp102/func"]
    assert listed(skipped, tmp_path) == {
        ("derivatives/sub-xp102/eeg_pp/sub-xp102_task-eegNF_eeg_pp.vhdr", "EEG without BOLD"),
        ("sub-xp102/func/sub-xp102_task-motorloc_bold.nii.gz", "BOLD without EEG"),
    }


def test_the_ecg_of_xp1_is_channel_32(tmp_path):
    recordings, _ = find(write_xp1(tmp_path, runs={"MIpre": (False, True, True)}), "xp1")
    assert open_eeg(recordings[0]).types.index("ecg") == 31
    (tmp_path / "task-MIpre_channels.tsv").unlink()
    (recording,), _ = find(tmp_path, "xp1")
    raw = open_eeg(recording)
    assert raw.types[31] == "ecg"
    assert load_recording(recording, ("eeg",)).data.shape[0] == 63


def test_the_data_file_of_eeg_pp_is_one_of_the_files(tmp_path):
    (recording,), _ = find(write_xp1(tmp_path, runs={"MIpre": (False, True, True)}), "xp1")
    assert [path.suffix for path in recording.files][:3] == [".vhdr", ".dat", ".vmrk"]
    assert all(path.exists() for path in recording.files)


def test_raw_xp1(tmp_path):
    recordings, _ = find(write_xp1(tmp_path), "xp1", eeg="raw", tasks=["motorloc"])
    assert [(r.name, r.alignment) for r in recordings] == [("sub-xp102_task-motorloc", "auto")]
    assert recordings[0].eeg_path == tmp_path / "sub-xp102/eeg/sub-xp102_task-motorloc_eeg.vhdr"


def test_a_derivative_of_xp1_that_is_not_there(tmp_path, refuses):
    write_xp1(tmp_path, runs={"MIpre": (False, True, True)})
    with refuses(DatasetError, r"no derivative 'eeg_pq' \(derivatives/sub-\*/eeg_pq\); did you mean 'eeg_pp'\?"):
        find(tmp_path, "xp1", eeg="eeg_pq")


def test_xp2_has_runs_and_prefixed_derivatives(tmp_path):
    recordings, skipped = find(write_xp2(tmp_path), "xp2")
    assert [r.name for r in recordings] == [f"sub-xp201_task-1dNF_run-0{run}" for run in (1, 2)]
    assert recordings[0].eeg_path.name == "d_sub-xp201_task-1dNF_run-01_eeg_pp.vhdr"
    assert skipped == []


# --- CN-EPFL ---------------------------------------------------------------------------------


def test_cn_epfl(tmp_path):
    recordings, skipped = find(write_cn_epfl(tmp_path), "cn-epfl")
    assert [r.name for r in recordings] == [
        f"sub-{s}_ses-001_task-main_run-00{run}" for s in ("02", "04") for run in (1, 2)
    ]
    assert (recordings[0].session, recordings[0].run, recordings[0].space) == ("001", "001", "native")
    assert recordings[0].sidecars[0].name == "task-main_bold.json"
    assert {reason for _, reason in listed(skipped, tmp_path)} == {"BOLD without EEG"}
    assert all("task-rest" in item.path.name for item in skipped)


def test_the_preprocessed_bold_of_cn_epfl_inherits_the_raw_sidecars(tmp_path):
    recordings, skipped = find(write_cn_epfl(tmp_path, ("02",)), "cn-epfl", bold="fmriprep")
    assert [r.bold_path.name for r in recordings] == [f"sub-02_ses-001_task-main_run-00{i}_preproc.nii" for i in (1, 2)]
    assert [p.parent for p in recordings[0].sidecars] == [tmp_path, tmp_path / "sub-02/ses-001/func"]
    assert (recordings[0].space, recordings[0].mask_path) == ("unstated", None)
    assert skipped == []


def test_the_merged_eegprep_of_cn_epfl_has_no_partner(tmp_path, refuses):
    write_cn_epfl(tmp_path, ("02",))
    with refuses(DatasetError, r"no recording with both EEG and BOLD \(found 1 EEG and 3 BOLD files\)"):
        find(tmp_path, "cn-epfl", eeg="eegprep")


def test_rejected_recordings_of_cn_epfl_are_not_used(tmp_path):
    root = write_cn_epfl(tmp_path, ("02",), runs=1)
    write_bold(root / "sub-02/ses-001/func/rejected/sub-02_ses-001_task-main_run-009_bold.nii.gz")
    assert len(find(root, "cn-epfl")[0]) == 1


# --- NODDI -----------------------------------------------------------------------------------


@pytest.mark.parametrize("merged", [False, True])
def test_noddi(merged, tmp_path):
    recordings, skipped = find(write_noddi(tmp_path, merged=merged), "noddi")
    assert [(r.subject, r.name) for r in recordings] == [
        (f"sub-{n}", f"sub-{n}_task-rest") for n in (32, 35, 43)]  # fmt: skip
    assert recordings[0].eeg_path.parent.name == "export"
    assert recordings[0].tr == 2.16
    assert skipped == []


def test_raw_noddi_without_its_export_has_no_clock(tmp_path, refuses):
    root = write_noddi(tmp_path, ("32",))
    shutil.rmtree(root / "EEG1/32/export")
    (recording,), _ = find(root, "noddi", eeg="raw")
    with refuses(AlignmentError, r"it has no volume markers, and its export is missing; fetch"):
        align(open_eeg(recording), recording, 2.16, 13)


def test_raw_noddi(tmp_path):
    recordings, _ = find(write_noddi(tmp_path), "noddi", eeg="raw")
    assert {r.eeg_path.parent.name for r in recordings} == {"raw"}


# --- oddball ---------------------------------------------------------------------------------


def test_oddball(tmp_path):
    recordings, skipped = find(write_oddball(tmp_path), "oddball")
    assert [r.name for r in recordings] == [f"sub-00{s}_task-00{t}_run-001" for s in (1, 2) for t in (1, 2)]
    assert skipped == []
    first = recordings[0]
    assert (first.eeg_path.name, first.alignment, first.tr) == ("EEG_noGA.mat", "scanner", 2.0)
    raw = open_eeg(first)
    assert (raw.sampling_rate, len(raw.channels), raw.types.count("ecg")) == (1000, 49, 2)


def test_the_rereferenced_eeg_of_oddball(tmp_path):
    recordings, _ = find(write_oddball(tmp_path, ("001",)), "oddball", eeg="rereferenced", runs=["1"], tasks=["002"])
    assert len(open_eeg(recordings[0]).channels) == 34


# --- your own --------------------------------------------------------------------------------

MINE = """
from eeg2fmri.datasets import Adapter, Source


class MyLab(Adapter):
    def eeg_files(self):
        for path in self.root.glob("*/eeg.vhdr"):
            yield Source(path, subject=path.parent.name)

    def bold_files(self):
        for path in self.root.glob("*/bold.nii.gz"):
            yield Source(path, subject=path.parent.name, details={"tr": 2.0, "space": "MNI"})


class NotOne: ...
"""


@pytest.fixture
def mylab(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mylab_layout.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path / "code")
    for subject in ("anna", "ben"):
        (tmp_path / "data" / subject).mkdir(parents=True)
        (tmp_path / "data" / subject / "eeg.vhdr").touch()
        write_bold(tmp_path / "data" / subject / "bold.nii.gz", sidecar=False)
    yield tmp_path / "data"
    sys.modules.pop("mylab_layout", None)


def test_a_layout_of_your_own_is_one_class(mylab):
    recordings, _ = find(mylab, "mylab_layout:MyLab", subjects=["ben"])
    assert [(r.name, r.tr, r.space) for r in recordings] == [("sub-ben", 2.0, "MNI")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("xp3", r"'xp3' is not known; expected bids, cn-epfl, .* or package\.module:Class; did you mean 'xp2'\?"),
        ("mylab_layout:Mine", r"cannot be imported \(.*Mine.*\); put its folder on PYTHONPATH"),
        ("absent.package:Mine", r"cannot be imported \(No module named 'absent'\)"),
        ("mylab_layout:NotOne", r"is no subclass of eeg2fmri\.datasets\.Adapter"),
    ],
)
def test_a_layout_that_is_none_is_refused(name, reason, mylab, refuses):
    with refuses(ConfigError, rf"dataset\.name: .*{reason}"):
        find_recordings(mylab, DatasetConfig(name=name))


def test_events_of_the_scanner_clock_are_found(tmp_path):
    write_cn_epfl(tmp_path, ("02",), runs=1)
    (recording,), _ = find(tmp_path, "cn-epfl")
    assert recording.bold_events_path.parent.name == "func"
    write_rows(tmp_path / "sub-02/ses-001/eeg/sub-02_ses-001_task-main_run-001_events.tsv", ("onset",), (1,))
    (recording,), _ = find(tmp_path, "cn-epfl")
    assert recording.eeg_events_path.parent.name == "eeg"
