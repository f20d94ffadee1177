"""Tests that every dataset layout must pass: a second or two per layout."""

from __future__ import annotations

import math
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from eeg2fmri.config import DataConfig, DatasetConfig
from eeg2fmri.datasets import Recording, Skipped, find_recordings, list_recordings, survey
from eeg2fmri.errors import Eeg2FmriError
from eeg2fmri.store import Built, build_store, prepare

VOLUMES, MOMENT = 13, 6
SIGNALS = (".vhdr", ".edf", ".bdf", ".set", ".fif", ".mat", ".cnt", ".nwb", ".gdf", ".xdf", ".nii", ".nii.gz")


def loud_eeg(channels: int, sampling_rate: float, tr: float, onset: float, *, tail: float = 0.5) -> np.ndarray:
    """Make EEG of a run of `VOLUMES` with an impulse at the start of volume `MOMENT`, and a smaller one at its end.

    If the clock is wrong by a tenth of a TR, one of them is in another volume.

    Parameters
    ----------
    channels : how many.
    sampling_rate, tr : Hz, s.
    onset : s of the EEG at which the first volume starts; negative if the EEG starts later.
    tail : s of EEG after the last volume.

    Returns
    -------
    (channels, samples) in µV.
    """
    eeg = np.random.default_rng(0).normal(0, 5, (channels, round((onset + VOLUMES * tr + tail) * sampling_rate)))
    start = math.ceil(round((onset + MOMENT * tr) * sampling_rate, 6))
    eeg[:, start] += 1000
    eeg[:, start + round(0.9 * tr * sampling_rate)] += 700
    return eeg


def bright_volumes(grid: tuple[int, int, int]) -> np.ndarray:
    """Make (x, y, z, VOLUMES) int16; volume `MOMENT` is bright."""
    volumes = np.random.default_rng(1).integers(450, 550, (*grid, VOLUMES)).astype(np.int16)
    volumes[..., MOMENT] += 300
    return volumes


@dataclass(frozen=True)
class _Dataset:
    """A written dataset, its store, and the dataset's files before and after the build."""

    folder: tempfile.TemporaryDirectory[str]
    root: Path
    built: Built
    before: Mapping[Path, tuple[bytes, int]]
    after: Mapping[Path, tuple[bytes, int]]


_DATASETS: dict[type, _Dataset] = {}


class LayoutTests:
    """Tests of a layout of datasets; derive a class, set `layout` and write a dataset of it.

    layout: its name or path, as in ``dataset.name``.
    apart: patterns of files that the layout does not read, for example anatomical images.
    data: settings for the preparation of recordings; keys of `DataConfig`.
    """

    layout: str
    apart: Sequence[str] = ()
    data: Mapping[str, Any] = {"frequencies": 20, "context": 2, "dropped_volumes": 3}

    def write(self, root: Path) -> None:
        """Write two recordings or more into an empty folder, small, with files beside them that do not pair.

        The EEG is that of `loud_eeg` and the volumes those of `bright_volumes`, in the format and on the
        clock of the layout.
        """
        raise NotImplementedError

    def dataset(self) -> _Dataset:
        """Return the dataset and its store, which the tests of this class share."""
        if type(self) not in _DATASETS:
            folder = tempfile.TemporaryDirectory(prefix="eeg2fmri-layout-")
            root = Path(folder.name) / "dataset"
            root.mkdir()
            self.write(root)
            before = _content(root)
            recordings, _ = self.find(root)
            survey(root, self.config(), DataConfig(**self.data))
            built = build_store(recordings, Path(folder.name) / "store", DataConfig(**self.data))
            _DATASETS[type(self)] = _Dataset(folder, root, built, before, _content(root))
        return _DATASETS[type(self)]

    def copy(self, folder: Path) -> Path:
        """Copy the dataset, so that a test may change it."""
        return Path(shutil.copytree(self.dataset().root, folder / "copy"))

    def config(self, **filters: Any) -> DatasetConfig:
        """Return the section ``dataset``."""
        return DatasetConfig(name=self.layout, **filters)

    def find(self, root: Path, **filters: Any) -> tuple[list[Recording], list[Skipped]]:
        """Find recordings of a dataset, and files that belong to none; an empty result is no error."""
        return list_recordings(root, self.config(**filters))[:2]

    def test_recordings_are_found_each_under_a_name_of_its_own(self) -> None:
        """Check that their files exist, and that workers can receive them pickled."""
        root = self.dataset().root
        recordings, _ = self.find(root)
        assert len(recordings) >= 2
        for what in ("name", "eeg_path", "bold_path"):
            assert len({getattr(found, what) for found in recordings}) == len(recordings), f"one {what} for two"
        for found in recordings:
            assert found.name.startswith(found.subject)
            assert all(path.is_file() and root in path.parents for path in found.files)
        assert pickle.loads(pickle.dumps(recordings)) == recordings

    def test_every_signal_is_paired_or_listed(self) -> None:
        """Check that every file is paired or has a reason, except files that `apart` names."""
        root = self.dataset().root
        recordings, skipped = self.find(root)
        known = {file for found in recordings for file in found.files} | {item.path for item in skipped}
        apart = {pattern: set(root.glob(pattern)) for pattern in self.apart}
        assert all(apart.values()), "a pattern of `apart` fits nothing"
        signals = {path for path in root.rglob("*") if path.name.lower().endswith(SIGNALS)}
        lost = signals - known.union(*apart.values())
        assert not lost, f"neither paired nor listed: {sorted(str(path.relative_to(root)) for path in lost)}"
        assert all(item.reason and "\n" not in item.reason for item in skipped)

    def test_a_file_without_its_partner_is_listed(self, tmp_path: Path) -> None:
        """Check EEG and BOLD, and that the other recordings do not change."""
        for gone, left in (("bold_path", "eeg_path"), ("eeg_path", "bold_path")):
            root = self.copy(tmp_path / gone)
            (first, *others), _ = self.find(root)
            getattr(first, gone).unlink()
            recordings, skipped = self.find(root)
            assert [found.name for found in recordings] == [found.name for found in others]
            assert getattr(first, left) in {item.path for item in skipped}, f"{getattr(first, left)} is not listed"

    def test_hidden_copies_are_no_recordings(self, tmp_path: Path) -> None:
        """Check hidden copies, which macOS leaves on foreign disks."""
        root = self.copy(tmp_path)
        before = self.find(root)
        for path in [path for path in root.rglob("*") if path.is_file()]:
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
        assert self.find(root) == before, "they change what is found"

    def test_order_does_not_hang_on_the_disk(self) -> None:
        """Check that a folder's files may come in any order."""
        root = self.dataset().root
        before = self.find(root)
        with _reversed_folders():
            assert self.find(root) == before, "another order of the disk gives other recordings"

    def test_subjects_are_chosen_by_their_labels(self) -> None:
        """Check labels with and without ``sub-``."""
        recordings, _ = self.find(self.dataset().root)
        subject = recordings[-1].subject
        own = [found for found in recordings if found.subject == subject]
        for label in (subject, subject.removeprefix("sub-")):
            assert self.find(self.dataset().root, subjects=[label])[0] == own

    def test_what_is_not_there_is_refused(self, tmp_path: Path) -> None:
        """Check an empty folder, a missing one, and an unknown subject."""
        _refused(tmp_path, lambda: find_recordings(tmp_path, self.config()))
        _refused(tmp_path / "absent", lambda: find_recordings(tmp_path / "absent", self.config()))
        root = self.dataset().root
        _refused(root, lambda: self.find(root, subjects=["nobody"]))

    def test_a_file_that_breaks_off_is_refused(self, tmp_path: Path) -> None:
        """Check that the message names the file, for EEG and for BOLD."""
        for cut in ("eeg_path", "bold_path"):
            recording = self.find(self.copy(tmp_path / cut))[0][0]
            path = getattr(recording, cut)
            path.write_bytes(path.read_bytes()[:100])
            _refused(path, partial(prepare, recording, DataConfig(**self.data)))

    def test_what_was_loud_when_a_volume_was_bright_is_one_instance_of_the_store(self) -> None:
        """Check that both modalities are on one clock, in every recording."""
        built = self.dataset().built
        assert not built.failures
        for stored in built.store.recordings:
            row = MOMENT - DataConfig(**self.data).dropped_volumes
            loudness = np.asarray(stored.spectrogram).mean(axis=(1, 2))
            loud = np.flatnonzero(loudness > loudness.max() / 2)
            bright = np.asarray(stored.volumes).mean(axis=(1, 2, 3)).argmax()
            assert (loud.tolist(), bright) == ([row], row), f"{stored.name}: the EEG is loud elsewhere"

    def test_the_dataset_is_left_as_it_was(self) -> None:
        """Check that no byte, no time and no file of the dataset has changed."""
        before, after = self.dataset().before, self.dataset().after
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert not changed, f"changed: {sorted(map(str, changed))}"


def _content(root: Path) -> dict[Path, tuple[bytes, int]]:
    """Return every file below a folder: its bytes and the time of its last change."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def _refused(named: Path, work: Callable[[], object]) -> None:
    """Expect a refusal in one line that names the path."""
    try:
        work()
    except Eeg2FmriError as err:
        text = str(err)
        assert "\n" not in text, f"more than one line: {text}"
        assert str(named) in text, f"{named} is not named: {text}"
        return
    raise AssertionError(f"{named} is not refused")


@contextmanager
def _reversed_folders() -> Iterator[None]:
    """Let every folder give its files in the opposite order."""
    listdir, scandir = os.listdir, os.scandir

    @contextmanager
    def reversed_scan(*arguments: Any) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scandir(*arguments) as entries:
            yield reversed(list(entries))

    with (
        patch.object(os, "listdir", lambda *arguments: listdir(*arguments)[::-1]),
        patch.object(os, "scandir", reversed_scan),
    ):
        yield
