"""Places and recordings that cannot be used."""

import json
import re

import nibabel
import numpy as np
import pytest

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets import find_recordings, survey
from eeg2fmri.errors import DatasetError, StoreError
from eeg2fmri.store import build_store, open_store, write
from tests.store.files import NAMES, tree


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"context": 4}, r"\(context=3 there, 4 asked for\)"),
        ({"grid": (9, 8, 6)}, r"\(grid=\[9, 8, 7\] there, \[9, 8, 6\] asked for\)"),
        (
            {"iqr": True, "dropped_volumes": 1},
            r"\(dropped_volumes=2 there, 1 asked for; iqr=False there, True asked for\)",
        ),
    ],
)
def test_a_store_made_with_other_settings_is_refused_and_kept(change, text, build, tmp_path, tiny_config, refuses):
    build(subjects=("sub-01",))
    before = tree(tmp_path / "store")
    with refuses(StoreError, rf"store: made with other settings {text}; give another --store or delete it"):
        build(config=tiny_config.model_copy(update=change))
    assert tree(tmp_path / "store") == before
    assert not (tmp_path / "store.part").exists()


@pytest.mark.parametrize("name", ["notes.txt", "zarr.json"])
def test_a_foreign_folder_is_refused_and_left_alone(name, build, tmp_path, refuses):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).write_text('{"attributes": {}}')
    before = tree(tmp_path)
    with refuses(StoreError, "store: a folder that is not a store; give another --store"):
        build()
    assert tree(tmp_path) == before


def test_a_store_whose_metadata_is_damaged_is_refused_and_left_alone(build, tmp_path, refuses):
    build(subjects=("sub-01",))
    (tmp_path / "store/zarr.json").write_text("{")
    before = tree(tmp_path)
    for opened in (build, lambda: open_store(tmp_path / "store")):
        with refuses(StoreError, r"store: its zarr.json is damaged \(JSONDecodeError\); delete the store"):
            opened()
    assert tree(tmp_path) == before


def test_a_file_in_the_place_of_the_store_is_refused(build, tmp_path, refuses):
    (tmp_path / "store").write_text("mine")
    with refuses(StoreError, "store: a file, not a folder; give another --store"):
        build()
    assert (tmp_path / "store").read_text() == "mine"


def test_an_empty_folder_may_become_the_store(build, tmp_path):
    (tmp_path / "store").mkdir()
    assert len(build()[0].recordings) == 3


def test_another_format_is_refused(build, tmp_path, refuses):
    build(subjects=("sub-01",))
    metadata = tmp_path / "store/zarr.json"
    attributes = json.loads(metadata.read_text())
    attributes["attributes"]["format"] = 1
    metadata.write_text(json.dumps(attributes))
    with refuses(StoreError, "store format 1, this version reads 6; delete it or give another --store"):
        open_store(tmp_path / "store")


def _cut(suffix, share):
    def fault(folder):
        (path,) = folder.glob(f"*/*{suffix}")
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return fault


def _remove(suffix):
    return lambda folder: next(folder.glob(f"*/*{suffix}")).unlink()


def _tr(folder):
    (path,) = folder.glob("func/*_bold.json")
    path.write_text(json.dumps({"RepetitionTime": 0.6}))


def _constant(folder):
    (path,) = folder.glob("func/*_bold.nii.gz")
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.full(image.shape, 5, np.float32), image.affine, image.header), path)


def _markers(edit):
    def fault(folder):
        (path,) = folder.glob("eeg/*.vmrk")
        lines = path.read_text().splitlines()
        path.write_text("\n".join(edit([line for line in lines])) + "\n")

    return fault


def _late(lines):
    """The last ten markers, 0.2 s late."""
    moved = [line.split(",") for line in lines[-10:]]
    return [*lines[:-10], *(",".join([*parts[:2], str(int(parts[2]) + 20), *parts[3:]]) for parts in moved)]


FAULTS = {
    "bold cut short": (_cut("_bold.nii.gz", 0.5), r"sub-02_.*bold\.nii\.gz: not a readable NIfTI"),
    "eeg cut short": (_cut("_eeg.eeg", 0.7), r"sub-02_.*\.vhdr: .*markers\) span .*; the EEG ends with the last"),
    "eeg cut to nothing": (_cut("_eeg.eeg", 0), r"sub-02_.*\.vhdr: not a readable EEG"),
    "eeg missing": (_remove("_eeg.eeg"), r"sub-02_.*\.vhdr: not a readable EEG"),
    "marker file missing": (_remove(".vmrk"), r"sub-02_.*\.vhdr: .*MarkerFile="),
    "markers misplaced": (_markers(_late), r"sub-02_.*markers change their rhythm; the parts span 12 and 10"),
    "tr disagrees": (_tr, r"sub-02_.*TR is 0\.5 s in the header and 0\.6 s in the sidecar"),
    "no sidecar": (_remove("_bold.json"), r"sub-02_.*has no RepetitionTime"),
    "constant bold": (_constant, r"sub-02_.*bold\.nii\.gz: (no brain mask|every voxel)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_recording_that_cannot_be_used_is_one_line_and_the_others_are_done(name, build, bids_root):
    fault, text = FAULTS[name]
    fault(bids_root / "sub-02")
    built = build.built()
    assert [r.name for r in built.store.recordings] == [NAMES[0], NAMES[2]]
    assert list(built.failures) == [NAMES[1]]
    (line,) = built.failures.values()
    assert re.search(text, line)
    assert "\n" not in line
    assert built.store.digest == build(subjects=("sub-01", "sub-03"))[0].digest


def test_a_mended_recording_joins_the_others(build, bids_root):
    path = bids_root / "sub-02/eeg/sub-02_task-rest_eeg.eeg"
    samples = path.read_bytes()
    path.unlink()
    build.built()
    path.write_bytes(samples)
    store, seen = build()
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], True)]
    assert len(store.recordings) == 3


def test_an_error_that_nobody_foresaw_is_a_line_too(build, monkeypatch):
    prepare = write.prepare

    def broken(recording, config):
        if recording.subject == "sub-02":
            raise OSError(5, "Input/output\nerror")
        return prepare(recording, config)

    monkeypatch.setattr(write, "prepare", broken)
    (line,) = build.built().failures.values()
    assert re.search(r"sub-02_task-rest_eeg.vhdr: failed \(OSError: \[Errno 5\] Input/output error\)", line)


@pytest.mark.parametrize("there", [True, False])
def test_nothing_usable_leaves_what_there_is(there, build, bids_root, tmp_path, refuses):
    if there:
        build()
    before = tree(tmp_path / "store")
    for path in bids_root.rglob("*_eeg.eeg"):
        path.unlink()
    with refuses(DatasetError, r"none of 3 recordings can be used; the first: .*sub-01_.*\.vhdr: not a readable"):
        build()
    assert tree(tmp_path / "store") == before
    assert (tmp_path / "store").exists() == there


@pytest.mark.parametrize(("volumes", "accepted"), [(6, True), (5, False)])
def test_too_few_volumes_for_the_context_are_refused(volumes, accepted, write_recording, rng, build, tmp_path, refuses):
    signal_ = np.full((9, 8, 7, volumes), 20, np.float32)
    signal_[1:-1, 1:-1, 1:-1] = rng.normal(800, 20, (7, 6, 5, volumes))
    write_recording(tmp_path / "short", volumes=signal_)
    if accepted:
        assert build(root=tmp_path / "short")[0].recordings[0].volumes.shape[0] == 4
        return
    with refuses(
        DatasetError,
        r"5 volumes, at least 6 are needed \(dropped 2 \+ context 3 \+ 1\); shorten data\.context",
    ):
        build(root=tmp_path / "short")


def test_more_markers_than_volumes_are_refused(write_recording, build, tmp_path, refuses):
    write_recording(tmp_path / "more", markers=[100 + 50 * v for v in range(23)])
    with refuses(DatasetError, r"markers \(23 markers\) span 23 volumes, the BOLD file has 22; say where the 1 others"):
        build(root=tmp_path / "more")


def test_too_many_frequencies_are_refused(build, tmp_path, tiny_config, refuses):
    with refuses(DatasetError, r"26 bins asked for.* has 25; set data\.frequencies=25 or less"):
        build(config=tiny_config.model_copy(update={"frequencies": 26}))
    assert not (tmp_path / "store").exists()


def test_channels_are_the_common_ones_by_name(write_recording, build, bids_root, rng):
    whole, _ = build()
    names = ("ECG", "Oz", "Fp1", "Pz", "Cz")
    write_recording(bids_root, "09", eeg=rng.normal(0, 20, (5, 1300)), names=names)
    store, seen = build()
    assert [kept for _, kept in seen] == [True, True, True, False]
    assert store.signal.channels == ("Fp1", "Cz", "Oz", "ECG")
    assert store.missing_channels == {"Fp2": ["sub-09_task-rest"], "Pz": NAMES}
    np.testing.assert_array_equal(store.recordings[0].spectrogram, whole.recordings[0].spectrogram[:, [0, 2, 3, 4]])
    own = store.recordings[3].read("spectrogram")
    np.testing.assert_array_equal(store.recordings[3].spectrogram, own[:, [2, 4, 1, 0]])


@pytest.mark.parametrize("names", [("C1", "C2"), ("C1", "C2", "ECG")])
def test_a_recording_of_foreign_channels_is_left_out(names, write_recording, build, bids_root, rng):
    write_recording(bids_root, "09", eeg=rng.normal(0, 20, (len(names), 1300)), names=names)
    built = build.built()
    assert [r.name for r in built.store.recordings] == NAMES
    (line,) = built.failures.values()
    assert re.search(
        r"sub-09_task-rest_eeg.vhdr: has 0 of the 4 EEG channels .* \(C1, C2, …, expected Cz, Fp1, Fp2", line
    )
    overview = survey(bids_root, DatasetConfig(), build.config, strict=True)
    assert [row.recording for row in overview.rows if row.status == "usable"] == NAMES
    assert any(line.endswith(problem) for _, problem in overview.problems)


def test_recordings_without_a_common_eeg_channel_are_refused(write_recording, build, bids_root, rng, refuses):
    write_recording(bids_root, "09", eeg=rng.normal(0, 20, (3, 1300)), names=("C1", "C2", "ECG"))
    with refuses(DatasetError, r"sub-09_task-rest: no EEG channel in common with sub-01_task-rest \(C1, C2, ECG"):
        build(subjects=("sub-01", "sub-09"))


def test_a_recording_of_another_tr_is_left_out(write_recording, build, bids_root, rng):
    write_recording(bids_root, "00", tr_s=0.6, eeg=rng.normal(0, 20, (5, 1600)))
    built = build.built()
    assert [r.name for r in built.store.recordings] == NAMES
    (line,) = built.failures.values()
    assert re.search(r"sub-00_task-rest_bold.nii.gz: TR is 0.6 s, but 0.5 s in 3 of 4 recordings; a store holds", line)
    build.built()
    assert [kept for _, kept in build.seen] == [True] * 4  # what is left out is not done again either


def test_another_sampling_rate_shares_a_store_where_the_frequencies_agree(write_recording, build, bids_root, rng):
    write_recording(bids_root, "09", rate_hz=200.0, eeg=rng.normal(0, 20, (5, 2700)))
    store, _ = build()
    assert [r.signal.sampling_rate for r in store.recordings] == [100, 100, 100, 200]


def test_a_sampling_rate_of_other_frequencies_is_left_out(write_recording, build, bids_root, rng):
    write_recording(bids_root, "09", rate_hz=101.0, eeg=rng.normal(0, 20, (5, 1400)))
    (line,) = build.built().failures.values()
    assert "sub-09_task-rest_bold.nii.gz: frequencies reach 14.14 Hz, but 14 Hz in 3 of 4 recordings" in line


def test_a_recording_on_another_grid_is_left_out_unless_a_grid_is_asked_for(
    build, write_recording, bids_root, rng, tiny_config, tmp_path
):
    write_recording(bids_root, "02", volumes=rng.normal(500, 20, (9, 8, 6, 22)).astype(np.float32))
    own = tiny_config.model_copy(update={"grid": None})
    recordings = find_recordings(bids_root)[0]
    failures = build_store(recordings, tmp_path / "own", own).failures
    assert list(failures) == ["sub-02_task-rest"]
    for text in ("grid is 9×8×6 of 2×3×4 mm, but 9×8×7 of 2×3×4 mm in 2 of 3", "set data.grid"):
        assert text in failures["sub-02_task-rest"]
    assert not build_store(recordings, tmp_path / "one", tiny_config).failures
