"""Reading a store.

A store is a Zarr v3 group with one child group per recording:
    spectrogram  (windows, channels, frequencies) float32, µV
    volumes      (windows, x, y, z) float32, scanner intensity, one chunk per volume
    mask, voxel_mean, voxel_sd   (x, y, z)
Window w and volume w start together; both begin after the dropped first volumes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.errors import StoreError
from eeg2fmri.signals import BoldStatistics

FORMAT = 1


@dataclass(frozen=True)
class StoredRecording:
    """One recording of a store; arrays are read on first use."""

    group: Any
    attributes: Mapping[str, Any]

    @property
    def name(self) -> str:
        """BIDS entities of the recording, e.g. ``sub-01_task-rest``."""
        return str(self.attributes["name"])

    @property
    def subject(self) -> str:
        """Subject label, e.g. ``sub-01``."""
        return str(self.attributes["subject"])

    @property
    def digest(self) -> str:
        """Digest of the source files, the settings and the code."""
        return str(self.attributes["digest"])

    @property
    def source_digest(self) -> str:
        """Digest of the source files alone: the same data, however it was preprocessed."""
        return str(self.attributes["source_digest"])

    @cached_property
    def spectrogram(self) -> np.ndarray:
        """(windows, channels, frequencies) float32 in µV, in memory (10 MB for 300 NODDI windows)."""
        return self.group["spectrogram"][:]

    @property
    def volumes(self) -> Any:
        """Zarr array (windows, x, y, z): volumes are read when they are indexed."""
        return self.group["volumes"]

    @cached_property
    def mask(self) -> np.ndarray:
        """Brain mask, (x, y, z) bool."""
        return self.group["mask"][:]

    @cached_property
    def statistics(self) -> BoldStatistics:
        """Intensity statistics of this recording."""
        return BoldStatistics(
            mean=float(self.attributes["mean"]),
            sd=float(self.attributes["sd"]),
            voxel_mean=self.group["voxel_mean"][:],
            voxel_sd=self.group["voxel_sd"][:],
            mask=self.mask,
        )


@dataclass(frozen=True)
class Store:
    """A finished store.

    digest: sha256 of the settings, the code and every source file.  settings: those that made it.
    signal: what all recordings share (TR, sampling rate, channels, frequencies, grid, affine).
    """

    path: Path
    digest: str
    settings: Mapping[str, Any]
    signal: Mapping[str, Any]
    recordings: tuple[StoredRecording, ...]

    @property
    def subjects(self) -> list[str]:
        """Subjects, sorted."""
        return sorted({r.subject for r in self.recordings})

    @property
    def context(self) -> int:
        """Windows before a volume that make its EEG context."""
        return int(self.settings["context"])

    def of(self, subjects: tuple[str, ...]) -> list[StoredRecording]:
        """The recordings of these subjects."""
        return [r for r in self.recordings if r.subject in subjects]


def recordings_digest(recordings: Sequence[StoredRecording]) -> str:
    """Digest of what some recordings hold; equal for equal recordings, whatever else is in their store."""
    return hashlib.sha256("".join(sorted(r.digest for r in recordings)).encode()).hexdigest()


def check_digest(store: Store, wanted: str | None) -> None:
    """Refuse a store that a configuration was not made for.

    Parameters
    ----------
    store : the store.
    wanted : ``run.store_digest``, the start of the digest of the only store that will do; ``None`` for any.

    Raises
    ------
    StoreError
        If the digest is another one.
    """
    if wanted and not store.digest.startswith(wanted):
        raise StoreError(
            f"{store.path}: digest {store.digest[:16]}…, but the configuration is for run.store_digest {wanted[:16]}; "
            "give that store, or leave run.store_digest out"
        )


def open_store(path: Path) -> Store:
    """Open a finished store.

    Raises
    ------
    StoreError
        If there is none at `path`, it is damaged, or it was written by another version of the format.
    """
    import zarr

    if not (path / "zarr.json").exists():
        raise StoreError(f"{path}: no store there; make one with: eeg2fmri preprocess --root DATASET --store {path}")
    try:
        return _read(path, zarr.open_group(path, mode="r"))
    except StoreError:
        raise
    except (ValueError, KeyError, OSError) as err:
        raise StoreError(f"{path}: damaged ({type(err).__name__}); delete it and preprocess the dataset again") from err


def _read(path: Path, root: Any) -> Store:
    found = root.attrs.get("format")
    if found != FORMAT:
        raise StoreError(f"{path}: store format {found}, this version reads {FORMAT}; preprocess the dataset again")
    attributes: Any = root.attrs.asdict()
    recordings = []
    for name in attributes["recordings"]:
        group: Any = root[name]
        recordings.append(StoredRecording(group, group.attrs.asdict()))
    return Store(path, attributes["digest"], attributes["settings"], attributes["signal"], tuple(recordings))
