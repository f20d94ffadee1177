import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import find_recordings, load_bold, load_eeg
from eeg2fmri.errors import AlignmentError, ConfigError, DatasetError, StoreError
from eeg2fmri.signals import frequencies, recording_statistics, regrid, spectrogram
from eeg2fmri.store import build_store, check_digest, open_store

NAMES = [f"sub-0{i}_task-rest" for i in (1, 2, 3)]
NODDI = DataConfig(frequencies=5, grid=(4, 5, 3))


@pytest.fixture
def build(bids_root, tmp_path, tiny_config):
    """Build the store of the dataset; gives it and the list of (recording, was it there already)."""

    def make(path=tmp_path / "store", config=tiny_config, root=bids_root, subjects=None):
        recordings = [r for r in find_recordings(root)[0] if subjects is None or r.subject in subjects]
        seen = []
        store = build_store(recordings, path, config, on_recording=lambda name, done: seen.append((name, done)))
        return store, seen

    return make


def _tree(path):
    """Every file below a folder: content, inode and time of change."""
    return {
        str(f.relative_to(path)): (f.read_bytes(), f.stat().st_ino, f.stat().st_mtime_ns)
        for f in sorted(path.rglob("*"))
        if f.is_file()
    }


def _flip(path, offset=-1):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


# --- what is in it ---------------------------------------------------------------------------


def test_a_store_holds_what_the_signals_functions_give(build, bids_root, tiny_config):
    store, seen = build()
    assert seen == [(name, False) for name in NAMES]
    recording = find_recordings(bids_root)[0][1]
    eeg = load_eeg(recording.eeg_path, recording.channels_path, ("eeg", "ecg"))
    bold = load_bold(recording.bold_path, {"RepetitionTime": 0.5})
    stored = store.recordings[1]
    expected = spectrogram(eeg.data, 100, 0.5, onset=147, n_windows=22, n_frequencies=7)[2:]
    np.testing.assert_array_equal(stored.spectrogram, expected)
    np.testing.assert_array_equal(stored.volumes[:], bold.volumes[2:])
    statistics = recording_statistics(bold.volumes[2:], stored.mask, iqr=False)
    assert (stored.statistics.mean, stored.statistics.sd) == (statistics.mean, statistics.sd)
    np.testing.assert_array_equal(stored.statistics.voxel_mean, statistics.voxel_mean)
    np.testing.assert_array_equal(stored.statistics.voxel_sd, statistics.voxel_sd)


def test_the_mask_is_the_bright_part(build):
    brain = np.zeros((9, 8, 7), bool)
    brain[1:-1, 1:-1, 1:-1] = True
    for recording in build()[0].recordings:
        np.testing.assert_array_equal(recording.mask, brain)


def test_a_store_opens_as_it_was_built(build, tmp_path, tiny_config):
    built, _ = build()
    opened = open_store(tmp_path / "store")
    assert opened.digest == built.digest
    assert opened.settings == tiny_config.model_dump(mode="json")
    assert opened.subjects == ["sub-01", "sub-02", "sub-03"]
    assert opened.context == 3
    assert [r.name for r in opened.of(("sub-03", "sub-01"))] == [NAMES[0], NAMES[2]]
    assert opened.signal["tr"] == 0.5
    assert opened.signal["sampling_rate"] == 100
    assert opened.signal["channels"] == ["Fp1", "Fp2", "Cz", "Oz", "ECG"]
    assert opened.signal["frequencies"] == frequencies(100, 0.5, 7).tolist()
    assert opened.signal["grid"] == [9, 8, 7]
    for one, other in zip(opened.recordings, built.recordings, strict=True):
        assert one.digest == other.digest
        np.testing.assert_array_equal(one.spectrogram, other.spectrogram)
        np.testing.assert_array_equal(one.volumes[:], other.volumes[:])
    source = opened.recordings[0].attributes["sources"][0]
    assert source["file"] == "sub-01_task-rest_eeg.vhdr"
    assert opened.signal["space"] == "native"


def test_iqr_changes_the_statistics_only(build, bids_root, write_recording, rng, tmp_path, tiny_config):
    volumes = rng.normal(20, 3, (9, 8, 7, 22)).astype(np.float32)
    volumes[1:-1, 1:-1, 1:-1] += 800
    volumes[4, 3, 2, 5] = 1e5
    write_recording(bids_root, volumes=volumes)
    plain, tukey = build()[0], build(tmp_path / "iqr", tiny_config.model_copy(update={"iqr": True}))[0]
    values = plain.recordings[0].volumes[:]
    np.testing.assert_array_equal(values, tukey.recordings[0].volumes[:])
    expected = recording_statistics(values, plain.recordings[0].mask, iqr=True)
    assert tukey.recordings[0].statistics.sd == expected.sd < 0.9 * plain.recordings[0].statistics.sd


def test_another_grid_covers_the_same_field_of_view(build, tmp_path, tiny_config):
    store, _ = build(tmp_path / "small", tiny_config.model_copy(update={"grid": (6, 5, 4)}))
    volumes = store.recordings[0].volumes[:]
    source = nibabel.load(tmp_path / "bids/sub-01/func/sub-01_task-rest_bold.nii.gz")
    expected = regrid(np.moveaxis(np.asarray(source.dataobj), 3, 0)[2:], (6, 5, 4))
    np.testing.assert_allclose(volumes, expected, rtol=1e-6)
    affine = np.asarray(store.signal["affine"])
    for old, new in (((-0.5, -0.5, -0.5), (-0.5, -0.5, -0.5)), ((8.5, 7.5, 6.5), (5.5, 4.5, 3.5))):
        np.testing.assert_allclose(affine @ [*new, 1], source.affine @ [*old, 1], atol=1e-9)


# --- pairing counts --------------------------------------------------------------------------


def _write_noddi_like(root, write_recording, rng, n_subjects):
    """300 volumes at TR 2.16 s; 2 channels at 25 Hz on a tiny grid keep it light."""
    volumes = rng.normal(20, 3, (4, 5, 3, 300)).astype(np.float32)
    volumes[1:3, 1:4, 1:2] += 700
    for index in range(n_subjects):
        write_recording(
            root,
            f"{index + 1:02d}",
            eeg=rng.normal(0, 20, (2, 100 + 300 * 54)),
            volumes=volumes,
            lead_s=2,
            tr_s=2.16,
            rate_hz=25.0,
            names=("Cz", "ECG"),
        )


def test_a_published_size_recording_gives_287_instances(write_recording, rng, tmp_path):
    from eeg2fmri.store import Windows

    _write_noddi_like(tmp_path / "bids", write_recording, rng, 1)
    store = build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", NODDI)
    assert store.recordings[0].volumes.shape == (297, 4, 5, 3)
    assert store.recordings[0].spectrogram.shape == (297, 2, 5)
    assert len(Windows(store.recordings, store.context)) == 287


def test_ten_published_size_subjects_give_2296_and_574_instances(write_recording, rng, tmp_path):
    from eeg2fmri.config import SplitConfig
    from eeg2fmri.store import Windows, split_subjects

    _write_noddi_like(tmp_path / "bids", write_recording, rng, 10)
    store = build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", NODDI)
    split = split_subjects(store.subjects, SplitConfig(validation=1, test=2))
    counts = [len(Windows(store.of(s), store.context)) for s in (split.train + split.validation, split.test)]
    assert counts == [2296, 574]


# --- alignment -------------------------------------------------------------------------------


def test_the_first_marker_is_time_zero_whatever_the_lead(write_recording, rng, tmp_path, tiny_config):
    event, leads = 9, (0.0, 0.37, 1.93)
    for index, lead in enumerate(leads):
        eeg = rng.normal(0, 0.5, (5, round((lead + 11.4) * 100)))
        start = round((lead + event * 0.5) * 100)
        eeg[2, start : start + 50] += 80 * np.sin(2 * np.pi * 10 * np.arange(50) / 100)
        volumes = np.full((9, 8, 7, 22), 20.0, np.float32)
        volumes[1:-1, 1:-1, 1:-1] = 800 + rng.normal(0, 2, (7, 6, 5, 22))
        volumes[4, 3, 2, event] += 300
        write_recording(tmp_path / "bids", f"{index + 1:02d}", eeg=eeg, volumes=volumes, lead_s=lead)
    store = build_store(find_recordings(tmp_path / "bids")[0], tmp_path / "store", tiny_config)
    shifted = event - tiny_config.bold_shift
    for recording in store.recordings:
        rhythm = recording.spectrogram[:, 2, 4]  # 10 Hz is the fifth bin at TR 0.5 s
        assert rhythm.argmax() == shifted
        assert rhythm[shifted] == pytest.approx(40, rel=0.01)
        assert np.delete(rhythm, shifted).max() < 1
        assert recording.volumes[:, 4, 3, 2].argmax() == shifted


def test_a_missing_later_marker_moves_nothing(write_recording, rng, tmp_path, tiny_config):
    eeg, volumes = rng.normal(0, 20, (5, 1270)), rng.normal(500, 20, (9, 8, 7, 22)).astype(np.float32)
    volumes[1:-1, 1:-1, 1:-1] += 5000
    markers = [130 + 50 * v for v in range(22)]
    for name, kept in (("whole", markers), ("gaps", markers[:4] + markers[6:-2])):
        write_recording(tmp_path / name, eeg=eeg, volumes=volumes, markers=kept)
    with pytest.raises(AlignmentError, match="span 20 volumes, the BOLD file has 22"):
        build_store(find_recordings(tmp_path / "gaps")[0], tmp_path / "refused", tiny_config)
    lenient = tiny_config.model_copy(update={"missing_markers": "end"})
    one, other = (
        build_store(find_recordings(tmp_path / n)[0], tmp_path / f"{n}-store", lenient) for n in ("whole", "gaps")
    )
    np.testing.assert_array_equal(one.recordings[0].spectrogram, other.recordings[0].spectrogram)


# --- digest ----------------------------------------------------------------------------------


def test_the_digest_does_not_depend_on_the_path(build, bids_root, tmp_path):
    first, _ = build()
    moved = shutil.move(bids_root, tmp_path / "elsewhere")
    assert build(tmp_path / "other", root=Path(moved))[0].digest == first.digest


def test_a_store_of_another_digest_is_refused(build, refuses):
    store, _ = build(subjects=("sub-01",))
    for wanted in (None, store.digest, store.digest[:8]):
        check_digest(store, wanted)
    with refuses(StoreError, r"digest .*, but the configuration is for run\.store_digest 0123456789abcdef; give that"):
        check_digest(store, "0123456789abcdef" * 4)


@pytest.mark.parametrize("change", [{"context": 4}, {"iqr": True}, {"channel_types": ("eeg",)}, {"frequencies": 6}])
def test_the_digest_changes_with_a_setting(change, build, tmp_path, tiny_config):
    subjects = ("sub-01",)
    first, _ = build(subjects=subjects)
    other, _ = build(tmp_path / "other", tiny_config.model_copy(update=change), subjects=subjects)
    assert other.digest != first.digest
    assert other.recordings[0].digest != first.recordings[0].digest


@pytest.mark.parametrize("name", ["eeg/sub-02_task-rest_eeg.eeg", "eeg/sub-02_task-rest_eeg.vhdr", "func/bold"])
def test_the_digest_changes_with_one_byte_of_a_source(name, build, bids_root, tmp_path):
    first, _ = build()
    if name == "func/bold":  # one byte of the voxels; the compressed file would be corrupt
        path = bids_root / "sub-02/func/sub-02_task-rest_bold.nii.gz"
        image = nibabel.load(path)
        values = np.asarray(image.dataobj).copy()
        values[4, 3, 2, 1] += 1
        nibabel.save(nibabel.Nifti1Image(values, image.affine, image.header), path)
    elif name.endswith(".vhdr"):
        path = bids_root / "sub-02" / name
        path.write_bytes(path.read_bytes().replace(b"; ", b";.", 1))
    else:
        _flip(bids_root / "sub-02" / name, 100)
    other, seen = build(tmp_path / "other")
    assert other.digest != first.digest
    assert [a.digest == b.digest for a, b in zip(first.recordings, other.recordings, strict=True)] == [1, 0, 1]
    again, seen = build()
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], True)]
    assert again.digest == other.digest


# --- keeping what is there -------------------------------------------------------------------


def test_building_again_touches_nothing(build, tmp_path):
    first, _ = build()
    before = _tree(tmp_path / "store")
    again, seen = build()
    assert seen == [(name, True) for name in NAMES]
    assert again.digest == first.digest
    assert _tree(tmp_path / "store") == before


def test_adding_a_subject_leaves_the_files_of_the_others(build, tmp_path):
    build(subjects=("sub-01", "sub-03"))
    before = {k: v for k, v in _tree(tmp_path / "store").items() if "/c/" in k}
    store, seen = build()
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], True)]
    assert store.subjects == ["sub-01", "sub-02", "sub-03"]
    after = _tree(tmp_path / "store")
    assert len(before) > 40
    assert {k: after[k] for k in before} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bids", "store"]


def test_a_grown_store_is_the_store_built_at_once(build, tmp_path):
    build(subjects=("sub-02",))
    grown, whole = build()[0], build(tmp_path / "at-once")[0]
    assert grown.digest == whole.digest
    for one, other in zip(grown.recordings, whole.recordings, strict=True):
        np.testing.assert_array_equal(one.spectrogram, other.spectrogram)
        np.testing.assert_array_equal(one.volumes[:], other.volumes[:])


def test_a_subject_that_is_no_longer_asked_for_leaves(build, tmp_path):
    build()
    store, _ = build(subjects=("sub-01", "sub-03"))
    assert store.subjects == ["sub-01", "sub-03"]
    assert not (tmp_path / "store" / NAMES[1]).exists()


# --- whole or absent -------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.store import build_store

build_store(find_recordings(Path(sys.argv[1]))[0], Path(sys.argv[2]), DataConfig.model_validate_json(sys.argv[3]),
            on_recording=lambda name, done: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_build_leaves_no_store_and_goes_on(build, bids_root, tmp_path, tiny_config, refuses):
    path = tmp_path / "store"
    arguments = [sys.executable, "-c", KILLED, str(bids_root), str(path), tiny_config.model_dump_json()]
    assert subprocess.run(arguments, env={**os.environ}, check=False).returncode == -signal.SIGKILL
    assert not path.exists()
    with refuses(StoreError, "no store there; make one with: eeg2fmri preprocess"):
        open_store(path)
    first = _tree(tmp_path / "store.part" / NAMES[0])
    store, seen = build()
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], False)]
    assert _tree(path / NAMES[0]) == first
    assert store.digest == build(tmp_path / "at-once")[0].digest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["at-once", "bids", "store"]


class _Killed(BaseException):
    """Stands for a kill: nothing in the package catches it or cleans up after it."""


def _stop_at(monkeypatch, target, name, when):
    """Make `target.name` stop the process before the first call for which `when(*args)` is true."""
    original = getattr(target, name)
    fired = []

    def call(*args, **kwargs):
        if not fired and when(*args, **kwargs):
            fired.append(True)
            raise _Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(target, name, call)


def test_a_build_stopped_inside_a_recording_writes_it_again(build, tmp_path, monkeypatch):
    import zarr

    def in_second(group, name, **kwargs):
        return name == "mask" and ".sub-02" in str(group.store_path)

    with monkeypatch.context() as patch:
        _stop_at(patch, zarr.Group, "create_array", in_second)
        with pytest.raises(_Killed):
            build()
    assert not (tmp_path / "store").exists()
    store, seen = build()
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], False)]
    assert not list((tmp_path / "store").glob(".*"))
    assert store.recordings[1].mask.any()


@pytest.mark.parametrize("nth", range(1, 5))
def test_a_store_that_grows_is_never_half_there(nth, build, tmp_path, monkeypatch):
    """Stopped before its first, second … removal or renaming, once all recordings are in."""
    path = tmp_path / "store"
    old, _ = build(subjects=("sub-01", "sub-03"))
    done = []
    step = iter(range(1, 100))

    def due(*args, **kwargs):
        return len(done) == 3 and next(step) == nth

    with monkeypatch.context() as patch:
        for target, name in ((Path, "rename"), (shutil, "rmtree"), (os, "unlink")):
            _stop_at(patch, target, name, due)
        recordings, config = find_recordings(tmp_path / "bids")[0], DataConfig.model_validate(old.settings)
        with pytest.raises(_Killed):
            build_store(recordings, path, config, on_recording=lambda name, kept: done.append(name))
    if path.exists():
        found = open_store(path)
        assert found.subjects in (["sub-01", "sub-03"], ["sub-01", "sub-02", "sub-03"])
        for recording in found.recordings:
            assert (recording.volumes[:].max(axis=(1, 2, 3)) > 800).all()
    store, seen = build()
    assert seen == [(name, True) for name in NAMES]
    for recording in store.recordings:
        assert (recording.volumes[:].max(axis=(1, 2, 3)) > 800).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bids", "store"]


def test_a_copy_stopped_half_way_is_made_again(build, tmp_path, monkeypatch):
    """Nothing of a half-made working copy may pass for a finished recording."""
    build(subjects=("sub-01", "sub-03"))
    links, scandir = iter(range(1, 1000)), os.scandir

    @contextmanager
    def metadata_first(folder):
        with scandir(folder) as entries:
            yield iter(sorted(entries, key=lambda entry: (entry.name != "zarr.json", entry.name)))

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", metadata_first)
        _stop_at(patch, Path, "hardlink_to", lambda *_: next(links) == 10)
        with pytest.raises(_Killed):
            build()
    store, _ = build()
    for recording in store.recordings:
        assert (recording.volumes[:].max(axis=(1, 2, 3)) > 800).all()
        assert recording.spectrogram.all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bids", "store"]


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"context": 4}, r"\(context=3 there, 4 asked for\)"),
        ({"grid": (9, 8, 6)}, r"\(grid=\[9, 8, 7\] there, \[9, 8, 6\] asked for\)"),
        ({"iqr": True, "bold_shift": 1}, r"\(bold_shift=2 there, 1 asked for; iqr=False there, True asked for\)"),
    ],
)
def test_a_store_made_with_other_settings_is_refused_and_kept(change, text, build, tmp_path, tiny_config, refuses):
    build(subjects=("sub-01",))
    before = _tree(tmp_path / "store")
    with refuses(StoreError, rf"store: made with other settings {text}; give another --store or delete it"):
        build(config=tiny_config.model_copy(update=change))
    assert _tree(tmp_path / "store") == before
    assert not (tmp_path / "store.part").exists()


def test_an_unfinished_build_with_other_settings_is_started_anew(build, tmp_path, bids_root, tiny_config):
    (bids_root / "sub-02/eeg/sub-02_task-rest_eeg.eeg").unlink()
    with pytest.raises(DatasetError):
        build()
    store, seen = build(config=tiny_config.model_copy(update={"context": 4}), subjects=("sub-01", "sub-03"))
    assert [done for _, done in seen] == [False, False]
    assert store.context == 4


@pytest.mark.parametrize("name", ["notes.txt", "zarr.json"])
def test_a_foreign_folder_is_refused_and_left_alone(name, build, tmp_path, refuses):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).write_text('{"attributes": {}}')
    before = _tree(tmp_path)
    with refuses(StoreError, "store: a folder that is not a store; give another --store"):
        build()
    assert _tree(tmp_path) == before


def test_a_store_whose_metadata_is_damaged_is_refused_and_left_alone(build, tmp_path, refuses):
    build(subjects=("sub-01",))
    (tmp_path / "store/zarr.json").write_text("{")
    before = _tree(tmp_path)
    with refuses(StoreError, "store: a folder that is not a store"):
        build()
    with refuses(StoreError, "store: damaged .*; delete it and preprocess the dataset again"):
        open_store(tmp_path / "store")
    assert _tree(tmp_path) == before


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
    tree = json.loads(metadata.read_text())
    tree["attributes"]["format"] = 0
    metadata.write_text(json.dumps(tree))
    with refuses(StoreError, "store format 0, this version reads 1; preprocess the dataset again"):
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


def _without_markers(lines):
    return [line for line in lines if "Response" not in line]


def _one_too_many(lines):
    number = sum(line.startswith("Mk") for line in lines)
    last = int(lines[-1].split(",")[2])
    return [*lines[:-1], lines[-1].replace(f",{last},", f",{last - 10},"), f"Mk{number + 1}=Response,R128,{last},1,0"]


FAULTS = {
    "bold cut short": (_cut("_bold.nii.gz", 0.5), DatasetError, r"sub-02_.*bold\.nii\.gz: not a readable NIfTI"),
    "eeg cut short": (_cut("_eeg.eeg", 0.7), AlignmentError, r"sub-02_.*\.vhdr: the EEG has samples 0 to .*cut short"),
    "eeg cut to nothing": (_cut("_eeg.eeg", 0), DatasetError, r"sub-02_.*\.vhdr: not a readable EEG"),
    "eeg missing": (_remove("_eeg.eeg"), DatasetError, r"sub-02_.*\.vhdr: not a readable EEG"),
    "marker file missing": (_remove(".vmrk"), AlignmentError, r"sub-02_.*\.vhdr: no R128 volume marker"),
    "no markers": (_markers(_without_markers), AlignmentError, r"sub-02_.*\.vhdr: no R128 volume marker"),
    "markers misplaced": (_markers(_one_too_many), AlignmentError, r"sub-02_.*expected a multiple of the TR 0\.5 s"),
    "tr disagrees": (_tr, DatasetError, r"sub-02_.*TR is 0\.5 s in the header and 0\.6 s in the sidecar"),
    "no sidecar": (_remove("_bold.json"), DatasetError, r"sub-02_.*has no RepetitionTime"),
    "constant bold": (_constant, DatasetError, r"sub-02_.*bold\.nii\.gz: (no brain mask|every voxel)"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_recording_that_cannot_be_used_leaves_no_store(name, build, bids_root, tmp_path, refuses):
    fault, kind, text = FAULTS[name]
    fault(bids_root / "sub-02")
    with refuses(kind, text):
        build()
    assert not (tmp_path / "store").exists()


def test_a_recording_that_cannot_be_used_leaves_the_store_there_is(build, bids_root, tmp_path, refuses):
    build(subjects=("sub-01",))
    before = _tree(tmp_path / "store")
    (bids_root / "sub-02/eeg/sub-02_task-rest_eeg.eeg").unlink()
    with refuses(DatasetError, "not a readable EEG"):
        build()
    assert _tree(tmp_path / "store") == before


@pytest.mark.parametrize(("volumes", "accepted"), [(6, True), (5, False)])
def test_too_few_volumes_for_the_context_are_refused(volumes, accepted, write_recording, rng, build, tmp_path, refuses):
    signal_ = np.full((9, 8, 7, volumes), 20, np.float32)
    signal_[1:-1, 1:-1, 1:-1] = rng.normal(800, 20, (7, 6, 5, volumes))
    write_recording(tmp_path / "short", volumes=signal_)
    if accepted:
        assert build(root=tmp_path / "short")[0].recordings[0].volumes.shape[0] == 4
        return
    with refuses(
        DatasetError, r"5 volumes, at least 6 are needed \(shift 2 \+ context 3 \+ 1\); shorten data\.context"
    ):
        build(root=tmp_path / "short")


def test_more_markers_than_volumes_are_refused(write_recording, build, tmp_path, refuses):
    write_recording(tmp_path / "more", markers=[100 + 50 * v for v in range(23)])
    with refuses(AlignmentError, "markers span 23 volumes, the BOLD file has 22; remove the markers"):
        build(root=tmp_path / "more")


def test_too_many_frequencies_are_refused(build, tmp_path, tiny_config, refuses):
    with refuses(ConfigError, r"26 bins asked for.* has 25; set data\.frequencies=25 or less"):
        build(config=tiny_config.model_copy(update={"frequencies": 26}))
    assert not (tmp_path / "store").exists()


def test_recordings_of_different_kinds_are_refused(write_recording, build, bids_root, rng, tmp_path, refuses):
    write_recording(bids_root, "09", eeg=rng.normal(0, 20, (3, 1300)), names=("Fp1", "Cz", "ECG"))
    with refuses(DatasetError, r"sub-09_task-rest: channels is 3 values .* but 5 values .* in sub-01_task-rest"):
        build()
    assert not (tmp_path / "store").exists()


def test_other_code_writes_every_recording_anew_from_the_same_sources(build, monkeypatch):
    before, _ = build()
    monkeypatch.setattr("eeg2fmri.store.build.code_digest", lambda parts: "another version")
    after, seen = build()
    assert seen == [(name, False) for name in NAMES]
    assert after.digest != before.digest
    assert [r.source_digest for r in after.recordings] == [r.source_digest for r in before.recordings]
