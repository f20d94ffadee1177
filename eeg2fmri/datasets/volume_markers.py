"""The clock of the scanner's volume markers: the choice of the markers, and the marker of volume 0."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.events import table_events, table_fault, task_events
from eeg2fmri.datasets.marker_trains import (
    FEWEST,
    Train,
    alike,
    by_label,
    find_train,
    is_known,
    is_label,
    label_of,
    left_over,
    name_of,
    rank,
    ranked,
)
from eeg2fmri.datasets.recording import AUTO, Alignment, Recording
from eeg2fmri.datasets.volume_zero import Found, expected_volumes, volume_zero
from eeg2fmri.errors import AlignmentError, DatasetError, nearest

TABLE_TOLERANCE_S = 0.01  # onsets in tables are rounded to milliseconds
Events = Iterable[tuple[float, str]]


def by_markers(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment | None:
    """Start BOLD with the scanner's first volume marker; `markers` explains how to find it.

    Returns
    -------
    ``None`` if no marker is known to be the scanner's, and not exactly one fits the BOLD file.

    Raises
    ------
    AlignmentError
        If the markers contradict the BOLD file, or two kinds of markers fit it.
    """
    marker = recording.volume_marker
    expected = expected_volumes(recording, n_volumes)
    found, notes = _candidates(raw, recording, tr, n_volumes)
    if not found:
        if marker != AUTO:
            raise AlignmentError(f"{raw.path}: {_absent(raw, marker, tr)}")
        return None
    best, others = found[0], found[1:]
    trusted = marker != AUTO or is_known(best.train.label)
    _check_parts(raw, best, others, expected)
    _check_rivals(raw.path, best, others, expected)
    try:
        start, remarks = volume_zero(raw, recording, best, tr, n_volumes)
    except AlignmentError:
        if trusted:
            raise
        return None  # it may be a stimulus
    return _alignment(raw, best, others, start, n_volumes, marker, (*notes, *remarks))


def unsure(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> str:
    """Name the marker that has the rhythm of the volumes but may be a stimulus; empty if there is none."""
    found, _ = _rhythms(raw, recording, tr, n_volumes)
    if not found:
        return ""
    name, where, train = found[0].name, found[0].where, found[0].train
    task = ", and BOLD's own table lists it as an event" if _is_of_task(train, task_events(recording)) else ""
    return (
        f"{name}{where} has the rhythm of the volumes ({train.pattern}) and spans {train.spanned}, the BOLD file has "
        f"{n_volumes}{task}; if it is the scanner's, set dataset.volume_marker='{name}'"
    )


def _candidates(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> tuple[list[Found], list[str]]:
    """Find trains of a recording's markers that may be the scanner's, the best first, and notes on its event table."""
    found, notes = _rhythms(raw, recording, tr, n_volumes)
    if recording.volume_marker == AUTO:
        tasks = task_events(recording)
        found = [one for one in found if is_known(one.train.label) or not _is_of_task(one.train, tasks)]
    return found, notes


def _rhythms(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> tuple[list[Found], list[str]]:
    """Do as `_candidates`, but keep events of the task."""
    fault = table_fault(raw, recording)
    table = None if fault else recording.eeg_events_path
    expected = expected_volumes(recording, n_volumes)
    found, notes = find_scanner(raw, table, recording.volume_marker, tr, n_volumes, expected)
    return found, [*notes, fault] if fault else notes


def _is_of_task(train: Train, tasks: Mapping[str, list[float]]) -> bool:
    """Return whether BOLD's own table lists a marker, by its name, or by the same intervals under another name."""
    intervals = np.diff(train.observed)
    return train.label.casefold() in tasks or any(
        len(onsets) == len(train.observed) and np.abs(np.diff(onsets) - intervals).max() <= TABLE_TOLERANCE_S
        for onsets in tasks.values()
    )


def first_volume_marker(raw: RawEeg, events_path: Path | None, marker: str, tr: float) -> Alignment | None:
    """Find the scanner's markers if no BOLD file gives the number of volumes: the first is time zero.

    Raises
    ------
    AlignmentError
        If two kinds of markers have the rhythm of the volumes, or the given one does not have it, or it changes.
    """
    found, notes = find_scanner(raw, events_path, marker, tr, None, ())
    if not found:
        if marker != AUTO:
            raise AlignmentError(f"{raw.path}: {_absent(raw, marker, tr)}")
        return None
    best, others = found[0], found[1:]
    _check_parts(raw, best, [other for other in others if len(other.train.slots) >= FEWEST], ())
    _check_rivals(raw.path, best, others, ())
    return _alignment(raw, best, others, 0, best.train.spanned, marker, tuple(notes))


def find_scanner(
    raw: RawEeg, events_path: Path | None, marker: str, tr: float, n_volumes: int | None, expected: Collection[int]
) -> tuple[list[Found], list[str]]:
    """Find trains of markers that may be the scanner's, the best first; also notes on tables that contradict.

    The EEG file's own markers come first, then those of its event table, then its trigger channels.

    Parameters
    ----------
    raw : the EEG, opened.
    events_path : event table on the EEG's clock, or ``None``.
    marker : description of the scanner's marker, or ``auto``.
    tr, n_volumes : of the BOLD run; the number may be unknown.
    expected : volumes that the markers may span (`expected_volumes`).
    """
    found = _trains(raw, raw.events, "", marker, tr, n_volumes)
    known = [own.train.label for own in found if is_known(own.train.label)]
    notes: list[str] = []
    try:
        listed = table_events(events_path, raw.sampling_rate) if events_path else []
        listed = [(raw.place(time), text) for time, text in listed]
        if known:  # the table can only contradict it
            listed = [(time, text) for time, text in listed if label_of(text) in known]
        in_table = _trains(raw, listed, " in events.tsv", marker, tr, n_volumes)
    except DatasetError as err:
        if not found:
            raise
        in_table = []
        notes.append(f"its event table is not used ({err}); the file's markers are used")
    for other in in_table:
        same = next((own for own in found if own.train.label == other.train.label), None)
        if same is None:
            found.append(other)
        elif abs(apart := same.train.first - other.train.first) > TABLE_TOLERANCE_S:
            notes.append(
                f"its event table has the first {other.name} {abs(apart):.3f} s {'earlier' if apart > 0 else 'later'} "
                f"than the EEG file; the file's markers are used"
            )
    if not found:
        found = _trains(raw, raw.trigger_events(), " in a trigger channel", marker, tr, n_volumes)
    order = ranked([one.train for one in found], expected)
    return sorted(found, key=lambda one: order.index(one.train)), notes


def _trains(raw: RawEeg, events: Events, where: str, marker: str, tr: float, n_volumes: int | None) -> list[Found]:
    """Find trains among the labels of some events, or of the given marker only."""
    events = list(events)
    names = {label_of(text): name_of(text) for _, text in reversed(events)}
    if marker == AUTO:
        times = by_label(events)
    else:
        own = np.sort([time for time, text in events if is_label(text, marker)])
        times = {label_of(marker): own} if len(own) else {}
        names[label_of(marker)] = marker
    edges = [place / raw.sampling_rate for place, _ in raw.breaks]
    found = []
    for label, all_times in times.items():
        trusted = marker != AUTO or is_known(label)
        for part in np.split(all_times, np.searchsorted(all_times, edges)):  # nothing is known across a break
            while len(part) and (
                train := find_train(label, part, tr, n_volumes, 0.5 / raw.sampling_rate, trusted=trusted)
            ):
                found.append(Found(train, where, names[label]))
                part = left_over(train, part)  # of another run, perhaps
    return found


def _check_parts(raw: RawEeg, best: Found, others: list[Found], expected: Collection[int]) -> None:
    """Refuse markers of one label with more than one rhythm, unless exactly one part of them is the run."""
    parts = [best, *(other for other in others if (other.train.label, other.where) == (best.train.label, best.where))]
    fitting = [part for part in parts if part.train.spanned in expected]
    if len(parts) == 1 or len(fitting) == 1:
        return
    first = min(part.train.observed[-1] for part in parts) * raw.sampling_rate
    breaks = [(place / raw.sampling_rate, name) for place, name in raw.breaks if place > first]
    what = f"its {best.name} markers change their rhythm"
    if breaks:
        place, name = breaks[0]
        what = f"a {name} at {place:.3f} s interrupts the EEG within its {best.name} markers for an unknown time"
    spans = " and ".join(str(part.train.spanned) for part in sorted(parts, key=lambda part: part.train.first)[:4])
    wanted = f", one of {min(expected)} is expected" if expected else ""
    raise AlignmentError(
        f"{raw.path}: {what}; the parts span {spans} volumes{wanted}; export the run in "
        f"one piece or with the length of the break, or leave it out"
    )


def _check_rivals(path: Path, best: Found, others: list[Found], expected: Collection[int]) -> None:
    """Refuse two kinds of markers that fit equally well and put the volumes at different times."""
    for other in others:
        if other.train.label == best.train.label or is_known(best.train.label):
            continue  # a part of the same markers, or a less common name
        if rank(other.train, expected) == rank(best.train, expected) and not alike(other.train, best.train):
            raise AlignmentError(
                f"{path}: {best.name}{best.where} ({best.train.pattern}) and {other.name}{other.where} "
                f"({other.train.pattern}) both have the rhythm of the volumes; say which is the scanner's: "
                f"dataset.volume_marker='{best.name}'"
            )


def _alignment(
    raw: RawEeg, best: Found, others: list[Found], start: int, n_volumes: int, marker: str, remarks: tuple[str, ...]
) -> Alignment:
    rate, train = raw.sampling_rate, best.train
    slots = np.arange(min(0, start), max(int(train.slots[-1]), start + n_volumes - 1) + 1)
    within = (train.slots >= start) & (train.slots < start + n_volumes)
    found = int(within.sum())
    return Alignment(
        onset=(train.first + start * train.period) * rate,
        period=train.period * rate,
        source=best.name + best.where,
        how="given" if marker != AUTO else "known name" if is_known(train.label) else "spacing",
        runner_up=f"{others[0].name}{others[0].where}: {others[0].train.pattern}" if others else "",
        markers_found=found,
        markers_missing=max(n_volumes - found * train.step, 0),
        onsets=(train.first + slots * train.period) * rate,
        markers=train.observed[within] * rate,
        known_from=train.first * rate,
        warnings=remarks,
    )


def _absent(raw: RawEeg, marker: str, tr: float) -> str:
    """Explain why a given marker is no clock."""
    times = np.sort([time for time, text in raw.events if is_label(text, marker)])
    if len(times) > 1:
        return (
            f"its {marker} markers ({len(times)}) are {np.median(np.diff(times)):.4f} s apart, expected the TR {tr:g} "
            f"s or one in every volume; check the TR and dataset.volume_marker"
        )
    names = [name_of(text) for _, text in raw.events]
    return (
        f"no {marker} marker (dataset.volume_marker), so EEG and BOLD share no clock{nearest(marker, names)}; export "
        f"the recording with its markers, or give another dataset.volume_marker or dataset.alignment"
    )
