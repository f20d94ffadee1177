"""The data of a report: recordings of each part, their signal, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eeg2fmri.reporting.page import Block, Points, Table, Text
from eeg2fmri.reporting.words import counted, listed
from eeg2fmri.store import Store, StoredRecording

Parts = Mapping[str, Sequence[StoredRecording] | None]  # by their use; ``None`` where a store does not hold them
MOST_WARNINGS = 12  # a store of hundreds of recordings has hundreds


def data_blocks(store: Store, parts: Parts) -> list[Block]:
    """Describe a store, and the recordings of it by what they were used for."""
    return [
        Table((), [["data set", store.name or "not named"], *signal_rows(store)], words=True),
        parts_table(parts, store.context),
        *_left_out(store, parts),
    ]


def parts_table(parts: Parts, context: int) -> Table:
    """Count subjects, recordings and windows of each part."""
    rows = []
    for name, recordings in parts.items():
        if recordings is None:
            rows.append([name, "not in this store", "", "", ""])
            continue
        people = sorted({recording.subject for recording in recordings})
        names = {recording.name for recording in recordings}
        windows = sum(len(part.volumes) - context for each in recordings for part in each.stretches(context))
        rows.append([name, str(len(people)), str(len(names)), f"{windows:,}", _labels(people)])
    return Table(("part", "subjects", "recordings", "windows", "labels"), rows, words=True)


def signal_rows(store: Store) -> list[list[str]]:
    """Return names and values of the signal: clock, grid, channels, context."""
    signal = store.signal
    sizes = np.linalg.norm(np.asarray(signal.affine)[:3, :3], axis=0)
    seconds = store.context * signal.tr
    space = "native: subjects are not registered to each other" if signal.space == "native" else signal.space
    return [
        ["BOLD", f"TR {signal.tr:g} s, grid {_times(signal.grid)}, voxels {_times(np.round(sizes, 3))} mm"],
        ["space", space],
        ["EEG", f"{counted(len(signal.channels), 'channel')}, {counted(len(signal.frequencies), 'bin')} from "
                f"{signal.frequencies[0]:.3g} to {signal.frequencies[-1]:.3g} Hz, {signal.unit}"],
        ["context", f"{counted(store.context, 'window')} of one TR before each volume ({seconds:g} s)"],
        ["store digest", store.digest],
    ]  # fmt: skip


def _left_out(store: Store, parts: Parts) -> list[Block]:
    used = {recording.name for recordings in parts.values() for recording in recordings or ()}
    missing = [recording.name for recording in store.recordings if recording.name not in used]
    points = [f"Channel {channel}, which {listed(names)} lacks." for channel, names in store.missing_channels.items()]
    if dropped := int(store.settings.get("dropped_volumes", 0)):
        points.append(f"The first {counted(dropped, 'volume')} of each recording.")
    points += [f"Recordings of the store that are in no part: {listed(missing)}."] if missing else []
    for recording in store.recordings:
        if recording.name in used and (gaps := len(recording.attributes.get("gap_windows") or ())):
            points.append(f"{recording.name}: {counted(gaps, 'window')} without EEG, and the volumes after them.")
    warnings = [
        f"{recording.name}: {warning}."
        for recording in store.recordings
        if recording.name in used
        for warning in recording.attributes.get("alignment", {}).get("warnings", ())
    ]
    blocks: list[Block] = [Text("Left out:"), Points(points)] if points else [Text("Nothing was left out.")]
    if warnings:
        rest = len(warnings) - MOST_WARNINGS
        shown = warnings[:MOST_WARNINGS] + ([f"{rest} more, see `eeg2fmri store info`."] if rest > 0 else [])
        blocks += [Text("Remarks on the recordings from preprocessing:"), Points(shown)]
    return blocks


def _labels(people: list[str]) -> str:
    return ", ".join(people) if len(people) <= 20 else f"{people[0]} … {people[-1]}"


def _times(values: object) -> str:
    return " × ".join(f"{value:g}" for value in np.asarray(values).tolist())
