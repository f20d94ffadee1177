"""A store is whole or absent, and keeps what it has."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from eeg2fmri.errors import DiskFullError, StoreError
from eeg2fmri.store import Windows, open_store
from tests.store.files import NAMES, content, tree


def test_building_again_touches_nothing(build, tmp_path):
    first, _ = build()
    before = tree(tmp_path / "store")
    again, seen = build()
    assert seen == [(name, True) for name in NAMES]
    assert again.digest == first.digest
    assert tree(tmp_path / "store") == before


def test_adding_a_subject_leaves_the_files_of_the_others(build, tmp_path):
    build(subjects=("sub-01", "sub-03"))
    before = {k: v for k, v in tree(tmp_path / "store").items() if "/c." in k}
    store, seen = build()
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], True)]
    assert store.subjects == ["sub-01", "sub-02", "sub-03"]
    after = tree(tmp_path / "store")
    assert len(before) > 20
    assert {k: after[k] for k in before} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bids", "store"]


def test_a_full_disk_ends_the_job_and_what_is_whole_is_kept(build, tmp_path, refuses, small_files):
    build(subjects=("sub-02",))
    with refuses(DiskFullError, f"^{tmp_path}/store: no space left"), small_files(2000):
        build()
    assert open_store(tmp_path / "store").subjects == ["sub-02"]
    store, seen = build()
    assert [kept for _, kept in seen] == [False, True, False]
    assert store.digest == build(tmp_path / "at-once")[0].digest


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
    assert not list((tmp_path / "store").glob(f"{NAMES[1]}*"))


def test_a_recording_that_cannot_be_read_today_keeps_what_was_made_of_it(build, bids_root, tmp_path):
    build()
    eeg = bids_root / "sub-02/eeg/sub-02_task-rest_eeg.eeg"
    before = tree(_group(tmp_path / "store", NAMES[1]))
    eeg.rename(tmp_path / "away")
    built = build.built()
    assert list(built.failures) == [NAMES[1]]
    assert built.store.subjects == ["sub-01", "sub-03"]
    assert tree(_group(tmp_path / "store", NAMES[1])) == before
    (tmp_path / "away").rename(eeg)
    store, seen = build()
    assert seen == [(name, True) for name in NAMES]
    assert store.subjects == ["sub-01", "sub-02", "sub-03"]


KILLED = """
import os, signal, sys
from pathlib import Path
from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.store import build_store

build_store(find_recordings(Path(sys.argv[1]))[0], Path(sys.argv[2]), DataConfig.model_validate_json(sys.argv[3]),
            on_recording=lambda outcome: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.slow
def test_a_killed_build_leaves_no_store_and_goes_on(build, bids_root, tmp_path, tiny_config, refuses):
    path = tmp_path / "store"
    arguments = [sys.executable, "-c", KILLED, str(bids_root), str(path), tiny_config.model_dump_json()]
    assert subprocess.run(arguments, env={**os.environ}, check=False).returncode == -signal.SIGKILL
    with refuses(StoreError, "there is no store; make one with: eeg2fmri preprocess"):
        open_store(path)
    (group,) = path.iterdir()
    first = tree(group)
    store, seen = build()
    assert seen == [(NAMES[0], True), (NAMES[1], False), (NAMES[2], False)]
    assert tree(group) == first
    assert store.digest == build(tmp_path / "at-once")[0].digest
    assert content(path) == content(tmp_path / "at-once")


class _Killed(BaseException):
    """Stands for a kill: nothing in the package catches it or cleans up after it."""


def _stop_at(patch, nth):
    """Stop the process before the `nth` time that Zarr writes or removes something; gives the count so far."""
    done = []

    def watch(owner, name):
        original = getattr(owner, name)

        def call(self, *arguments, **options):
            done.append(name)
            if len(done) == nth:
                raise _Killed
            return original(self, *arguments, **options)

        patch.setattr(owner, name, call)

    watch(LocalStore, "set")  # metadata
    watch(LocalStore, "delete_dir")
    watch(zarr.Array, "__setitem__")  # chunks
    return done


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.6, 0.9, 1])
def test_a_reader_sees_the_store_as_it_was_until_the_next_is_whole(share, build, tmp_path, monkeypatch):
    old, _ = build(subjects=("sub-01", "sub-03"))
    with monkeypatch.context() as patch:
        done = _stop_at(patch, 0)
        whole, _ = build(tmp_path / "at-once", subjects=("sub-02",))
    assert len(done) > 20
    with monkeypatch.context() as patch:
        _stop_at(patch, 1 + round(share * (len(done) - 1)))
        with pytest.raises(_Killed):
            build()
    found = open_store(tmp_path / "store")
    assert found.digest == old.digest
    for one, other in zip(found.recordings, old.recordings, strict=True):
        np.testing.assert_array_equal(one.volumes[:], other.volumes[:])
    store, seen = build()
    assert [name for name, kept in seen if kept] == [NAMES[0], *([NAMES[1]] if share == 1 else []), NAMES[2]]
    np.testing.assert_array_equal(store.recordings[1].volumes[:], whole.recordings[0].volumes[:])
    assert len(list((tmp_path / "store").iterdir())) == 4


def test_a_group_does_not_change_when_others_come_or_go(build, tmp_path):
    """Nothing of one subject enters what is stored of another."""
    build(tmp_path / "alone", subjects=("sub-02",))
    build()
    (alone,) = (path for path in (tmp_path / "alone").iterdir() if path.is_dir())
    assert content(alone) == content(tmp_path / "store" / alone.name)


def _group(path, name):
    (found,) = path.glob(f"{name}.*")
    return found


@pytest.mark.parametrize("lost", ["volumes/c.1.0.0.0", "volumes/c.2.0.0.0", "spectrogram/c.0.0.0", "mask/c.0.0.0"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_chunk_that_is_lost_or_cut_is_refused_and_made_again(lost, cut, build, tmp_path, refuses):
    before, _ = build(subjects=("sub-01", "sub-02"))
    path = _group(tmp_path / "store", NAMES[1]) / lost
    chunk = path.read_bytes()
    path.write_bytes(chunk[:-4]) if cut else path.unlink()
    recording = open_store(tmp_path / "store").recordings[1]
    what = "cannot be read" if cut else "a chunk is missing"
    with refuses(StoreError, f"{NAMES[1]}/{lost.split('/')[0]}: {what}.* preprocess the dataset again"):
        recording.read(lost.split("/")[0])
    if cut:
        path.unlink()
    store, seen = build(subjects=("sub-01", "sub-02"))
    assert seen == [(NAMES[0], True), (NAMES[1], False)]
    assert store.digest == before.digest
    assert path.read_bytes() == chunk


def test_a_batch_with_a_lost_volume_is_refused(build, tmp_path, refuses):
    build(subjects=("sub-01",))
    store = open_store(tmp_path / "store")
    (_group(tmp_path / "store", NAMES[0]) / "volumes/c.1.0.0.0").unlink()
    windows = Windows(store.recordings, store.context)
    assert windows.volumes(np.arange(4)).shape == (4, 9, 8, 7)
    with refuses(StoreError, "volumes: a chunk is missing"):
        windows.volumes(np.arange(6))


def test_groups_of_other_settings_leave_when_the_store_is_whole(build, tmp_path, tiny_config):
    build(subjects=("sub-01",))
    (tmp_path / "store/zarr.json").unlink()  # as a build that was stopped leaves it
    (tmp_path / "store/zarr.0123.partial").write_text("{")
    store, seen = build(config=tiny_config.model_copy(update={"context": 4}))
    assert [done for _, done in seen] == [False, False, False]
    assert store.context == 4
    assert len(list((tmp_path / "store").iterdir())) == 4
