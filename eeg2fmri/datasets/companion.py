"""Clocks from another EEG file of the same recording: its export, or its raw file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eeg2fmri.datasets.eeg import RawEeg, open_eeg_file
from eeg2fmri.datasets.events import table_events
from eeg2fmri.datasets.marker_trains import is_label
from eeg2fmri.datasets.recording import AUTO, Alignment, Recording
from eeg2fmri.datasets.volume_markers import by_markers
from eeg2fmri.errors import AlignmentError, DatasetError

XP_REST, XP_TASK = "S 99", "S  2"
XP_BLOCK_S = 20.0  # rest and task alternate, rest first
TABLE_RATE_HZ = 1000.0  # a table gives onsets to the millisecond
XP_LEAD_S = 2.0  # nominally the scanner starts this long before the first rest block


def by_wall_clock(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """Time a file without volume markers by its time of day and that of its export, which has them.

    A file that has volume markers needs no export.

    Raises
    ------
    AlignmentError
        If there is no such export, it has no volume markers, or either has no time of day.
    """
    if own := by_markers(raw, replace(recording, volume_marker=AUTO), tr, n_volumes):
        return own
    path = recording.clock_path
    if path is None:
        raise AlignmentError(
            f"{raw.path}: it has no volume markers, and its export is missing; fetch the export, "
            f"or choose it (dataset.eeg)"
        )
    other = open_eeg_file(path)
    found = by_markers(other, recording, tr, n_volumes)
    if found is None:
        raise AlignmentError(f"{path}: none of its markers has the rhythm of the volumes; fetch it again")
    for file in (raw, other):
        if file.began is None:
            raise AlignmentError(f"{file.path}: its first New Segment has no time of day; export it again")
    assert raw.began
    assert other.began
    scale = raw.sampling_rate / other.sampling_rate
    shift = (other.began - raw.began).total_seconds() * raw.sampling_rate
    return Alignment(
        found.onset * scale + shift,
        found.period * scale,
        f"{found.source} of {path.name}",
        how="time of day",
        onsets=found.onsets * scale + shift,
        known_from=found.known_from * scale + shift,
        warnings=found.warnings,
    )


def by_xp_blocks(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """Start preprocessed EEG of XP1 and XP2 with the first rest block (``S 99``); the scanner starts before it.

    The markers of the run's raw EEG give the lead; without them it is nominally 2 s. If the marker of the first rest
    block is missing, the block starts 20 s before the first ``S  2``.
    """
    rest, task = ([time for time, text in raw.events if is_label(text, name)] for name in (XP_REST, XP_TASK))
    start, source, warnings = 0.0, "xp offset", []
    if rest and (not task or rest[0] < task[0]):
        start = rest[0]
    elif task:
        start, source = task[0] - XP_BLOCK_S, f"xp offset, {XP_REST} from {XP_TASK}"
    else:
        warnings.append(f"no {XP_REST} or {XP_TASK} marker: the EEG is assumed to start with the first rest block")
    if abs(start) * raw.sampling_rate > 1:
        warnings.append(f"the first rest block starts at {start:.3f} s of the EEG, not with the file")
    if task and rest and rest[0] < task[0] and abs(task[0] - rest[0] - XP_BLOCK_S) > 1:
        raise AlignmentError(
            f"{raw.path}: the first {XP_TASK} is {task[0] - rest[0]:.3f} s after the first {XP_REST}, expected "
            f"{XP_BLOCK_S:g} s; correct the markers or choose another dataset.alignment"
        )
    lead = _lead(recording, tr, n_volumes)
    if lead is None:
        lead = XP_LEAD_S
        warnings.append(
            f"the scanner is assumed to start {lead:g} s before the first rest block, uncertain by one TR ({tr:g} s): "
            f"the markers of the raw EEG are missing"
        )
    else:
        source = f"{source}, {lead:.3f} s by the raw EEG"
    return Alignment(
        (start - lead) * raw.sampling_rate,
        tr * raw.sampling_rate,
        source,
        known_from=start * raw.sampling_rate,
        warnings=tuple(warnings),
    )


def _lead(recording: Recording, tr: float, n_volumes: int) -> float | None:
    """Return the seconds from the first volume to the first rest block by the raw EEG; ``None`` without it."""
    table = recording.clock_events_path
    raw = _raw_markers(recording.clock_path, table)
    if raw is None:
        return None
    found = by_markers(raw, replace(recording, eeg_events_path=table), tr, n_volumes)
    if found is None:
        return None
    events = raw.events or (table_events(table) if table else ())
    for name, after in ((XP_REST, 0.0), (XP_TASK, XP_BLOCK_S)):
        if times := [time for time, text in events if is_label(text, name)]:
            lead = min(times) - after - found.onset / raw.sampling_rate
            if abs(lead - XP_LEAD_S) <= max(tr, XP_LEAD_S):
                return lead
            raise AlignmentError(
                f"{raw.path}: the first rest block is {lead:.3f} s after volume 0, {XP_LEAD_S:g} s ± one TR "
                f"expected; say where markers are surplus (dataset.surplus_markers.{recording.name}=start or end)"
            )
    return None


def _raw_markers(path: Path | None, table: Path | None) -> RawEeg | None:
    """Open the raw EEG of a run; if its file is missing, use its event table."""
    if path is not None:
        try:
            return open_eeg_file(path)
        except DatasetError:  # never fetched, for instance
            pass
    return _listed(table) if table else None


def _listed(table: Path) -> RawEeg:
    """Make an EEG of which only the event table is known."""
    events = table_events(table)
    end = max((time for time, _ in events), default=0.0)
    return RawEeg(table, TABLE_RATE_HZ, int(end * TABLE_RATE_HZ) + 1, (), (), (), tuple(events))
