"""Event tables: the markers that they list, and the clock that two of them give.

If a table of the EEG and one of the BOLD run list the same events, each on its own clock, they give the offset of the
two clocks. A table that was copied from one to the other gives nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.files import check_fetched, read_table
from eeg2fmri.datasets.marker_trains import label_of, never_the_scanner
from eeg2fmri.datasets.recording import Alignment, Recording
from eeg2fmri.errors import AlignmentError, DatasetError

COLUMNS = ("trial_type", "value", "type", "marker_code", "description")
TOLERANCE_S = 0.01  # also of copies, whose onsets may have lost decimals
EMPTY = ("", "n/a")


def table_events(path: Path, rate: float | None = None) -> list[tuple[float, str]]:
    """List onset (s) and description of every event of an EEG's table, one for each column that names it.

    Parameters and errors as `event_rows`.
    """
    found = []
    for onset, row in event_rows(path, rate):
        names = [row[column] for column in COLUMNS if row.get(column, "") not in EMPTY]
        if not any(map(never_the_scanner, names)):
            found += [(float(onset), name) for name in dict.fromkeys(names)]
    return found


def event_rows(path: Path, rate: float | None = None) -> list[tuple[float, dict[str, str]]]:
    """Return onset (s) of every event of a table, and its row.

    With the sampling rate (Hz), the column ``sample`` undoes the rounding of ``onset``, also where it counts from 1.

    Raises
    ------
    DatasetError
        If the table cannot be read, an onset is no number, or ``sample`` and ``onset`` contradict each other.
    """
    check_fetched(path)
    state = path.stat()
    rows = _rows_as_of(path, state.st_mtime_ns, state.st_size)
    onsets = np.array([onset for onset, _ in rows])
    samples = np.array([_number(row.get("sample", "")) for _, row in rows], float)
    if not rate or not len(rows) or np.isnan(samples).any():
        return rows
    apart = samples - onsets * rate
    shift = float(np.rint(np.median(apart)))
    if shift not in (0.0, 1.0) or np.abs(apart - shift).max() > max(1.0, TOLERANCE_S * rate):
        worst = int(np.argmax(np.abs(apart)))
        raise DatasetError(
            f"{path}: row {worst + 2} has sample {samples[worst]:.0f} and onset {onsets[worst]:g} s, which are "
            f"{abs(apart[worst]) / rate:.3f} s apart at {rate:g} Hz; correct one of the columns"
        )
    return [(float(sample - shift) / rate, row) for sample, (_, row) in zip(samples, rows, strict=True)]


def by_shared_events(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment | None:
    """Align events that both modalities list on their own clocks: the median difference of the onsets.

    The markers of the EEG file count first. Its table counts only if the file has none of the shared events.
    """
    if recording.bold_events_path is None:
        return None
    bold = _listed(recording.bold_events_path)
    eeg = own = _onsets((onset, text) for onset, text in raw.events)
    notes = []
    if recording.eeg_events_path:
        if fault := table_fault(raw, recording):
            notes.append(fault)
        elif not own.keys() & bold.keys():
            eeg = _listed(recording.eeg_events_path)
    shared = sorted(eeg.keys() & bold.keys())
    if not shared:
        if notes:
            raise AlignmentError(f"{raw.path}: {notes[0]}; add the volume markers, StartTime, or a dataset.alignment")
        return None
    for label in shared:
        if len(eeg[label]) != len(bold[label]):
            raise AlignmentError(
                f"{raw.path}: {len(eeg[label])} events {label!r}, {recording.bold_events_path.name} lists "
                f"{len(bold[label])}; correct the tables or choose another dataset.alignment"
            )
    differences = np.concatenate([np.subtract(eeg[label], bold[label]) for label in shared])
    onset = float(np.median(differences))
    spread = float(np.abs(differences - onset).max())
    if spread > TOLERANCE_S:
        raise AlignmentError(
            f"{raw.path}: events shared with {recording.bold_events_path.name} are {onset:.3f} s apart, "
            f"but one differs by {spread:.3f} s; correct the tables or choose another dataset.alignment"
        )
    if spread * raw.sampling_rate > 1:
        notes.append(f"shared events agree only to {spread * 1000:.1f} ms")
    first = min(eeg[label][0] for label in shared)
    return Alignment(
        onset * raw.sampling_rate,
        tr * raw.sampling_rate,
        "events",
        known_from=first * raw.sampling_rate,
        warnings=tuple(notes),
    )


def table_fault(raw: RawEeg, recording: Recording) -> str:
    """Explain why the event table of the EEG is no clock: a copy of BOLD's, or a contradiction; empty if it is one."""
    path = recording.eeg_events_path
    if path is None:
        return ""
    try:
        table = _listed(path)
        bold = _listed(recording.bold_events_path) if recording.bold_events_path else {}
    except DatasetError:
        return ""  # whoever needs the table gets the error
    if _same(table, bold):
        return f"{path.name} of the EEG lists the same onsets as that of BOLD: a copy is no clock"
    if contradiction := _contradiction(table, _onsets(raw.events)):
        return f"{path.name} {contradiction}; the file's markers are used"
    return ""


def task_events(recording: Recording) -> dict[str, list[float]]:
    """Return sorted onsets (s) of the events of BOLD's table, by label in lower case without blanks."""
    try:
        return _listed(recording.bold_events_path) if recording.bold_events_path else {}
    except DatasetError:
        return {}


def _listed(path: Path) -> dict[str, list[float]]:
    return _onsets((onset, _label(row)) for onset, row in event_rows(path))


@lru_cache(8)  # several rules read the same table
def _rows_as_of(path: Path, _written: int, _size: int) -> list[tuple[float, dict[str, str]]]:
    rows = []
    for number, row in enumerate(read_table(path, ("onset",)), 2):
        onset = _number(row["onset"])
        if onset is None:
            hint = "; write a decimal point" if _number(row["onset"].replace(",", ".")) is not None else "; correct it"
            raise DatasetError(f"{path}: row {number} has the onset {row['onset']!r}, seconds are expected{hint}")
        rows.append((onset, row))
    return rows


def _label(row: Mapping[str, str]) -> str:
    return next((row[column] for column in COLUMNS if row.get(column, "") not in EMPTY), "")


def _onsets(events: Iterable[tuple[float, str]]) -> dict[str, list[float]]:
    """Return sorted onsets by label; labels are compared without blanks and case."""
    onsets: dict[str, list[float]] = {}
    for onset, text in sorted(events):
        if label := label_of(text).casefold():
            onsets.setdefault(label, []).append(onset)
    return onsets


def _same(one: Mapping[str, list[float]], other: Mapping[str, list[float]]) -> bool:
    """Return whether two tables list the same onsets of their common events, to the precision of rounding."""
    shared = one.keys() & other.keys()
    return bool(shared) and all(_within(one[label], other[label]) for label in shared)


def _within(one: list[float], other: list[float]) -> bool:
    """Return whether the shorter list of onsets is part of the longer one."""
    few, many = (np.array(times) for times in sorted((one, other), key=len))
    return bool((np.abs(few[:, None] - many).min(axis=1) <= TOLERANCE_S).all())


def _contradiction(table: Mapping[str, list[float]], own: Mapping[str, list[float]]) -> str:
    """Find an event that a table of the EEG lists at another time than the EEG file."""
    for label in sorted(table.keys() & own.keys()):
        if len(table[label]) == len(own[label]):
            apart = float(np.abs(np.subtract(table[label], own[label])).max())
            if apart > TOLERANCE_S:
                return f"lists {label!r} up to {apart:.3f} s away from the EEG file's markers"
    return ""


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
