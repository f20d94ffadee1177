"""Contents of a dataset, from headers and a few seconds of EEG: one row per recording, one line per problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from eeg2fmri.config import DataConfig, DatasetConfig
from eeg2fmri.datasets.alignment import align
from eeg2fmri.datasets.amplitudes import Amplitudes
from eeg2fmri.datasets.bold import read_bold_header
from eeg2fmri.datasets.channels import common_channels, foreign_channels
from eeg2fmri.datasets.confounds import framewise_displacement
from eeg2fmri.datasets.eeg import open_eeg, wanted_channels
from eeg2fmri.datasets.find import list_recordings
from eeg2fmri.datasets.orientation import voxel_sizes
from eeg2fmri.datasets.recording import Recording
from eeg2fmri.datasets.usable import check_recording, usable_windows
from eeg2fmri.errors import ConfigError, DatasetError


@dataclass(frozen=True)
class Row:
    """One recording. status: ``usable``, ``failed``, or the reason why there is no pair; other fields if known.

    channels: number of channels by type.  sampling_rate: Hz.  tr: s.  bold_start: s of the EEG.
    found_by: the way to the scanner's marker.  runner_up: the second best marker.
    grid, voxel_mm: of the volumes in RAS+.  orientation: as they are stored, e.g. ``LAS``.
    """

    recording: str
    status: str
    channels: dict[str, int] | None = None
    bad_channels: int | None = None
    sampling_rate: float | None = None
    eeg_seconds: float | None = None
    tr: float | None = None
    volumes: int | None = None
    grid: tuple[int, int, int] | None = None
    voxel_mm: tuple[float, ...] | None = None
    orientation: str | None = None
    space: str | None = None
    alignment: str | None = None
    bold_start: float | None = None
    markers_found: int | None = None
    markers_missing: int | None = None
    found_by: str | None = None
    runner_up: str | None = None


@dataclass(frozen=True)
class Overview:
    """Rows of a dataset; problems are (path, fault); differences are lines on settings that are not alike."""

    rows: tuple[Row, ...]
    problems: tuple[tuple[str, str], ...]
    differences: tuple[str, ...]

    @property
    def usable(self) -> int:
        """List the recordings that can be preprocessed, as far as headers show."""
        return sum(row.status == "usable" for row in self.rows)

    @property
    def failed(self) -> int:
        """List the pairs of EEG and BOLD that cannot be preprocessed."""
        return sum(row.status == "failed" for row in self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Make a table with one row per recording."""
        return pd.DataFrame([asdict(row) for row in self.rows], columns=[field.name for field in fields(Row)])

    def to_dict(self) -> dict[str, Any]:
        """Make a dictionary for JSON."""
        return {
            "usable": self.usable,
            "recordings": [asdict(row) for row in self.rows],
            "problems": [{"path": path, "problem": problem} for path, problem in self.problems],
            "differences": list(self.differences),
        }


def survey(
    root: Path,
    config: DatasetConfig,
    data: DataConfig,
    *,
    strict: bool = False,
    read: Callable[[Recording], object] | None = None,
) -> Overview:
    """Look at every recording of a dataset: its headers, and eight seconds of EEG for their amplitude.

    Parameters
    ----------
    root, config : folder of the dataset; its layout and filters.
    data : settings for the preparation of recordings.
    strict : a recording that is too short for `data`, or sampled too slowly, is not usable; otherwise that is a remark.
    read : reads the whole of a recording that seems usable, and raises if it is not; by default nothing is read.

    Raises
    ------
    DatasetError
        If `root` is missing, or a filter's label matches nothing.
    ConfigError
        If the layout is not known.
    """
    recordings, skipped, _, expected = list_recordings(root, config)
    rows: list[Row] = []
    problems: list[tuple[str, str]] = []
    channels: list[tuple[str, dict[str, str]]] = []
    for recording in recordings:
        row, names, remarks = _row(recording, data, strict, read)
        rows.append(row)
        problems += remarks
        channels += [(recording.name, names)] if names else []
    for item in skipped:
        problems.append((str(item.path), item.reason))
        if item.name and item.name not in {row.recording for row in rows}:
            rows.append(Row(item.name, item.reason))
    if not recordings and not skipped:
        problems.append((str(root), f"nothing found; {expected} is expected"))
    differences = (*_differ(rows, channels),)
    rows, remarks = _of_one_kind(rows, {r.name: r for r in recordings}, own_grids=strict and data.grid is None)
    rows, foreign = _of_known_channels(rows, {r.name: r for r in recordings}, dict(channels))
    remarks += foreign
    return Overview(tuple(sorted(rows, key=lambda row: row.recording)), (*problems, *remarks), differences)


def _of_one_kind(
    rows: list[Row], recordings: Mapping[str, Recording], *, own_grids: bool
) -> tuple[list[Row], list[tuple[str, str]]]:
    """Mark rows that cannot share a store with most others as not usable, with the reason."""

    def kind(row: Row) -> tuple[Any, ...]:
        return round(row.tr or 0, 3), row.space, (row.grid, row.voxel_mm) if own_grids else ()

    counts = Counter(kind(row) for row in rows if row.status == "usable")
    if len(counts) < 2:
        return rows, []
    most = max(counts, key=counts.__getitem__)
    others = [row for row in rows if row.status == "usable" and kind(row) != most]
    line = (
        "differs from most recordings in TR, space or grid (see above); a store holds one kind, so use another store "
        "for it"
    )
    kept = [replace(row, status="failed") if row in others else row for row in rows]
    return kept, [(str(recordings[row.recording].bold_path), line) for row in others]


def _of_known_channels(
    rows: list[Row], recordings: Mapping[str, Recording], channels: Mapping[str, Mapping[str, str]]
) -> tuple[list[Row], list[tuple[str, str]]]:
    """Mark rows as not usable if their EEG channels have other names than in most, with the reason."""
    usable = [row.recording for row in rows if row.status == "usable"]
    lines = foreign_channels({name: [c for c, kind in channels[name].items() if kind == "eeg"] for name in usable})
    kept = [replace(row, status="failed") if row.recording in lines else row for row in rows]
    return kept, [(str(recordings[name].eeg_path), line) for name, line in lines.items()]


def _row(
    recording: Recording, data: DataConfig, strict: bool, read: Callable[[Recording], object] | None
) -> tuple[Row, dict[str, str], list[tuple[str, str]]]:
    """Make the row of a recording from the files that can be read; also its channels by type, and its fault."""
    known: dict[str, Any] = {"status": "failed", "space": recording.space}
    names: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    try:
        raw = open_eeg(recording)
        names = dict(zip(raw.channels, raw.types, strict=True))
        known.update(channels=dict(Counter(raw.types)), bad_channels=len(raw.bads), sampling_rate=raw.sampling_rate)
        known.update(eeg_seconds=round(raw.n_samples / raw.sampling_rate, 3))
        problems += [(str(recording.eeg_path), note) for note in raw.notes]
        header = read_bold_header(recording)
        known.update(tr=header.tr, volumes=header.n_volumes, grid=header.grid, orientation=header.orientation)
        known.update(voxel_mm=tuple(round(float(size), 2) for size in voxel_sizes(header.affine)))
        problems += [(str(recording.bold_path), note) for note in header.notes]
        if recording.confounds_path:
            framewise_displacement(recording.confounds_path, header.n_volumes)
        found = align(raw, recording, header.tr, header.n_volumes)
        known.update(alignment=found.source, bold_start=round(found.onset / raw.sampling_rate, 6))
        known.update(markers_found=found.markers_found, markers_missing=found.markers_missing)
        known.update(found_by=found.how, runner_up=found.runner_up)
        problems += [(str(recording.eeg_path), warning) for warning in found.warnings]
        check_recording(raw, found, data)
        Amplitudes(raw, wanted_channels(raw, data.channel_types)).check()
        if read:
            read(recording)
        known.update(status="usable")
        try:
            usable_windows(raw, recording, header, found, data)
        except (ConfigError, DatasetError) as err:
            path, line = _split(err, recording)
            problems.append((path, line if strict else f"with the default settings, {line}"))
            known.update(status="failed" if strict else "usable")
    except (ConfigError, DatasetError) as err:
        problems.append(_split(err, recording))
    return Row(recording.name, **known), names, problems


def _differ(rows: list[Row], channels: list[tuple[str, dict[str, str]]]) -> Iterable[str]:
    """Write lines on properties that a store cannot mix, and on channels that some recordings lack."""
    usable = [row for row in rows if row.status == "usable"]
    for name, unit in (("tr", " s"), ("sampling_rate", " Hz"), ("grid", ""), ("voxel_mm", " mm"), ("space", "")):
        counts = Counter(_shown(getattr(row, name)) + unit for row in usable)
        if len(counts) > 1:
            yield f"{name}: " + ", ".join(f"{value} in {count}" for value, count in counts.most_common())
    if len(channels) > 1:
        try:
            common, differences = common_channels([(name, tuple(names)) for name, names in channels])
        except DatasetError as err:
            yield f"channels: {err}"
            return
        for recording, names in differences.items():
            parts = [f"{what} {', '.join(listed)}" for what, listed in names.items() if listed]
            yield f"channels: {len(common)} common; {recording} {'; '.join(parts)}"


def _shown(value: Any) -> str:
    return (
        "×".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else value
    )


def _split(err: Exception, recording: Recording) -> tuple[str, str]:
    """Split an error's message into the file that it starts with, and the rest."""
    path, colon, rest = str(err).partition(": ")
    return (path, rest) if colon and "/" in path else (str(recording.eeg_path), str(err))
