"""Reading a store.

A store is a Zarr v3 group with one child group per recording, on a local disk or any fsspec URL:
    spectrogram  (volumes - 1, channels, frequencies) float32, µV (mV/m² of a surface Laplacian)
    volumes      (volumes, x, y, z) in the closest RAS+, scanner intensity, one chunk per volume, eight in a file;
                 whole numbers if the BOLD file has them on this grid, else float32
    mask, voxel_mean, voxel_sd   (x, y, z)
    global_signal  (volumes,) float32, mean intensity in the mask
    dvars, framewise_displacement  (volumes - 1,), intensity and mm, of the second volume on; the latter from
                 the confounds that came with the BOLD file, where there are any
    motion, pulse, task  (volumes, names) float32, courses that BOLD may follow beside the EEG, where the recording has
                 them; the attribute ``regressors`` names the columns, ``no_regressors`` says why a kind is absent
    truth_maps, truth_driven, truth_amplitudes  (networks, x, y, z) and (volumes, networks), of simulated data only: see
                 `StoredRecording.truth`; no model reads them
    marker_intervals, spectrum_*  for quality control, where the recording gives them
Windows that the attribute ``gap_windows`` lists have no EEG and are 0.
Window w and volume w start together, after the dropped first volumes; no context reads the window
of the last volume, so it is not kept.

The root's attributes name the groups that belong to the finished store, its data set, and the split
that it was prepared with. A group's name ends with
the digest of what it was made from, so a group never changes and the root, written last, never
names one that is not whole. The fill value, which the data never have, is what a lost chunk reads
as; it is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.config import SplitConfig
from eeg2fmri.errors import StoreError
from eeg2fmri.signals import BoldStatistics, Signal
from eeg2fmri.store.array import StoredArray
from eeg2fmri.store.location import Location

FORMAT = 6


@dataclass(frozen=True)
class StoredRecording:
    """One recording of a store; arrays are read on first use.

    group: its arrays by name.  attributes: how they were made; JSON values.  own: their meaning, with all of
    its channels.  picks: its channels that all recordings have, in the store's order; ``None`` for all of them.
    part: (first volume, number of volumes) of a stretch without a gap of the EEG; ``None`` for the whole recording.
    """

    group: Any
    attributes: Mapping[str, Any]
    own: Signal
    picks: tuple[int, ...] | None = None
    part: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """BIDS entities of the recording, e.g. ``sub-01_task-rest``."""
        return str(self.attributes["name"])

    @property
    def subject(self) -> str:
        """Subject label, e.g. ``sub-01``."""
        return str(self.attributes["subject"])

    @property
    def session(self) -> str:
        """Label of the subject's session, e.g. ``sub-01_ses-02``; that of the subject where it has no sessions."""
        entities = [part for part in self.name.split("_") if part.startswith("ses-")]
        return "_".join([self.subject, *entities[:1]])

    @property
    def digest(self) -> str:
        """Digest of the source files, the settings and the code."""
        return str(self.attributes["digest"])

    @property
    def source_digest(self) -> str:
        """Digest of the source files alone: it does not depend on preprocessing."""
        return str(self.attributes["source_digest"])

    @cached_property
    def signal(self) -> Signal:
        """Meaning of its windows and volumes; the channels are those of `picks`."""
        if self.picks is None:
            return self.own
        return replace(self.own, channels=tuple(self.own.channels[i] for i in self.picks))

    @cached_property
    def eeg_rows(self) -> list[int]:
        """Rows of `signal.channels` that are EEG; all where the types are not kept."""
        types = self.attributes.get("types", ["eeg"] * len(self.own.channels))
        picked = range(len(types)) if self.picks is None else self.picks
        return [row for row, channel in enumerate(picked) if types[channel] == "eeg"]

    def read(self, name: str) -> np.ndarray:
        """Read a whole array of the recording, e.g. ``"global_signal"``."""
        return self._array(name)[:]

    def regressors(self, kind: str) -> dict[str, np.ndarray]:
        """Return courses of a kind (``motion``, ``pulse``, ``task``) by name, each (volumes,); empty where there are
        none.
        """
        names = self.attributes.get("regressors", {}).get(kind, [])
        if not names:
            return {}
        first, count = self.part or (0, self.group["volumes"].shape[0])
        return dict(zip(names, self.read(kind)[first : first + count].T, strict=True))

    @property
    def truth(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return what a simulator knows; ``None`` for measured data.

        Maps of the networks, (K, x, y, z) in intensity units; what drives them, (volumes, K), so that the product is
        BOLD without noise; amplitudes of their rhythms in the EEG, (volumes, K).
        """
        if "truth_maps" not in self.group:
            return None
        first, count = self.part or (0, self.group["volumes"].shape[0])
        driven, amplitudes = (self.read(f"truth_{name}")[first : first + count] for name in ("driven", "amplitudes"))
        return self.read("truth_maps"), driven, amplitudes

    @cached_property
    def spectrogram(self) -> np.ndarray:
        """(volumes - 1, channels, frequencies) float32 in µV, in memory (10 MB for 300 NODDI volumes)."""
        first, count = self.part or (0, self.group["volumes"].shape[0])
        whole = self.read("spectrogram")[first : first + count - 1]
        if self.picks is None or self.picks == tuple(range(whole.shape[1])):
            return whole
        return np.ascontiguousarray(whole[:, list(self.picks)])

    @cached_property
    def volumes(self) -> StoredArray:
        """(volumes, x, y, z) float32: volumes are read when they are indexed."""
        whole = self._array("volumes")
        return replace(whole, start=self.part[0], stop=sum(self.part)) if self.part else whole

    def stretches(self, context: int) -> tuple[StoredRecording, ...]:
        """Return the parts in which every volume has `context` windows before it; the recording itself without a gap.

        The first `context` volumes of a part have fewer, as at the start of a recording.
        """
        missing = self.attributes.get("gap_windows")
        if self.part or not missing:
            return (self,)
        windows = np.ones(len(self.volumes) - 1, bool)
        windows[missing] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[False], windows, [False]]).astype(int)))
        parts = [(int(first), int(stop - first) + 1) for first, stop in edges.reshape(-1, 2)]
        return tuple(replace(self, part=(first, count)) for first, count in parts if count > context)

    @cached_property
    def mask(self) -> np.ndarray:
        """Brain mask, (x, y, z) bool."""
        return self.read("mask").astype(bool)

    @cached_property
    def statistics(self) -> BoldStatistics:
        """Intensity statistics of this recording."""
        return BoldStatistics(
            mean=float(self.attributes["mean"]),
            sd=float(self.attributes["sd"]),
            voxel_mean=self.read("voxel_mean"),
            voxel_sd=self.read("voxel_sd"),
            mask=self.mask,
        )

    def _array(self, name: str) -> StoredArray:
        return StoredArray(self.group[name], f"{self.name}/{name}")


@dataclass(frozen=True)
class Store:
    """A finished store.

    digest: sha256 of the settings, the code and every source file.  settings: those that made it.
    signal: what the windows and volumes of all recordings mean; sampling rate and affine are those of the first.
    name: of the data set; empty if it was not given.  split: that it was prepared with, as far as one was set.
    """

    path: Location | Path
    digest: str
    settings: Mapping[str, Any]
    signal: Signal
    recordings: tuple[StoredRecording, ...]
    name: str = ""
    split: SplitConfig = field(default_factory=SplitConfig)

    @property
    def subjects(self) -> list[str]:
        """Subjects, sorted."""
        return sorted({r.subject for r in self.recordings})

    @property
    def sessions(self) -> dict[str, list[str]]:
        """Labels of the sessions of every subject, both sorted."""
        return {s: sorted({r.session for r in self.recordings if r.subject == s}) for s in self.subjects}

    @property
    def context(self) -> int:
        """Windows before a volume that make its EEG context."""
        return int(self.settings["context"])

    @property
    def missing_channels(self) -> dict[str, list[str]]:
        """Channels that are not common to all recordings, and the recordings that do not have them."""
        own = {r.name: r.own.channels for r in self.recordings}
        every = dict.fromkeys(channel for channels in own.values() for channel in channels)
        lacking = {channel: [name for name in own if channel not in own[name]] for channel in every}
        return {channel: names for channel, names in lacking.items() if names}

    def of(self, labels: tuple[str, ...]) -> list[StoredRecording]:
        """Return the recordings of these subjects (``sub-01``) and sessions (``sub-01_ses-02``)."""
        return [r for r in self.recordings if r.subject in labels or r.session in labels]


def recordings_digest(recordings: Sequence[StoredRecording]) -> str:
    """Compute a digest of some recordings; equal for equal recordings, in any store."""
    return hashlib.sha256("".join(sorted(r.digest for r in recordings)).encode()).hexdigest()


def check_digest(store: Store, wanted: str | None) -> None:
    """Refuse a store that the configuration was not made for.

    Parameters
    ----------
    store : the store.
    wanted : ``run.store_digest``, the start of the digest of the store to use; ``None`` for any.

    Raises
    ------
    StoreError
        If the digest is another one.
    """
    if wanted and not store.digest.startswith(wanted):
        raise StoreError(
            f"{store.path}: its digest is {store.digest[:16]}…, but the configuration has run.store_digest "
            f"{wanted[:16]}; give that store, or leave run.store_digest out"
        )


def open_store(where: str | Path | Location) -> Store:
    """Open a finished store on a local disk or at an fsspec URL.

    Raises
    ------
    StoreError
        If there is none, it is not finished, it is damaged, or it was written by another version of
        the format.
    """
    location = Location.of(where)
    attributes = location.metadata()
    if attributes is None:
        raise StoreError(
            f"{location}: there is no store; make one with: eeg2fmri preprocess --root DATASET --store {location}"
        )
    check_format(location, attributes)
    root = location.open("r")
    try:
        signal = Signal.from_json(attributes["signal"])
        whole = [open_recording(root[key]) for key in attributes["recordings"]]
        recordings = tuple(replace(r, picks=tuple(map(r.own.channels.index, signal.channels))) for r in whole)
        split = SplitConfig.model_validate(attributes.get("split", {}))
        name = attributes.get("name", "")  # stores of earlier versions have neither
        return Store(location, attributes["digest"], attributes["settings"], signal, recordings, name, split)
    except (ValueError, KeyError, OSError) as err:
        raise StoreError(
            f"{location}: damaged ({type(err).__name__}); preprocess the dataset again, which keeps complete recordings"
        ) from err


def check_format(location: Location, attributes: Mapping[str, Any]) -> None:
    """Refuse a store that another version of the format has written."""
    if (found := attributes.get("format")) != FORMAT:
        raise StoreError(
            f"{location}: store format {found}, this version reads {FORMAT}; delete it or give another --store, "
            f"and preprocess the dataset again"
        )


def open_recording(group: Any) -> StoredRecording:
    """Open a recording with all of its channels, from its finished group."""
    attributes = group.attrs.asdict()
    return StoredRecording(group, attributes, Signal.from_json(attributes.pop("signal")))
