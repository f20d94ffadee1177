"""The common clock of a recording: the sample of the EEG at which its BOLD run starts.

onset: sample (fractional, negative where the EEG starts later) of BOLD time zero, the onset of volume 0.
Times of acquisition (``scans.tsv``, ``AcquisitionTime``) are no clock: EEG and scanner keep time apart, and
in published datasets the two disagree by minutes for one and the same BOLD run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.files import read_merged, read_table
from eeg2fmri.datasets.recording import Recording, is_marker
from eeg2fmri.errors import AlignmentError
from eeg2fmri.signals import continued

MARKER_TOLERANCE = 2 + 1e-6  # samples
EVENT_TOLERANCE_S = 0.01
XP_REST, XP_TASK = "S 99", "S  2"
XP_BLOCK_S = 20.0  # rest and task alternate, rest first
XP_LEAD_S = 2.0  # the scanner starts before the first rest block


@dataclass(frozen=True)
class Alignment:
    """Where BOLD starts in the EEG, and how that is known.

    onset: sample (fractional) of the EEG at BOLD time zero.  source: e.g. ``R128``, ``file start``.
    markers_found, markers_missing: volume markers, and volumes of the run that have none.
    warnings: what a person should look at.
    """

    onset: float
    source: str
    markers_found: int = 0
    markers_missing: int = 0
    warnings: tuple[str, ...] = ()


def align(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """Put the EEG and the BOLD run of a recording on one clock.

    The rule ``auto`` takes the first of: volume markers in the EEG file, or in its event table; ``StartTime``
    of the EEG sidecar; events that EEG and BOLD share; the start of the file, with a warning.

    Parameters
    ----------
    raw : the EEG, opened.
    recording : its files and its rule.
    tr : seconds between volumes.
    n_volumes : volumes of the BOLD file.

    Raises
    ------
    AlignmentError
        If what the rule needs is missing, or markers or events contradict the BOLD file.
    """
    if recording.alignment != "auto":
        found = RULES[recording.alignment](raw, recording, tr, n_volumes)
        if found is None:
            raise AlignmentError(f"{raw.path}: {_NEEDS[recording.alignment].format(marker=recording.volume_marker)}")
    else:
        rules = (_markers, _start_time, _events)
        results = (rule(raw, recording, tr, n_volumes) for rule in rules)
        found = next((result for result in results if result), None) or Alignment(
            0.0,
            "file start",
            warnings=(
                f"no {recording.volume_marker} marker, StartTime or shared event: "
                f"EEG and BOLD are taken to start together",
            ),
        )
    missing = n_volumes - found.markers_found if found.markers_found else 0
    lead = XP_LEAD_S * raw.sampling_rate if recording.alignment == "xp" else 0.0  # known, no news
    warnings = (*found.warnings, *_uncovered(raw, found.onset, tr, n_volumes, lead))
    return Alignment(found.onset, found.source, found.markers_found, missing, warnings)


def volume_onsets(raw: RawEeg, recording: Recording, found: Alignment, tr: float, n_volumes: int) -> np.ndarray:
    """Samples at which the scanner excites a volume: its markers, continued where the run begins before or goes on.

    Without markers there are none: another clock is not exact enough for the gradient artefact.
    """
    markers = volume_markers(raw, recording.eeg_events_path, recording.volume_marker)
    if not len(markers):
        return markers
    length = tr * raw.sampling_rate
    before = round((markers[0] - found.onset) / length)
    after = round((found.onset - markers[-1]) / length) + n_volumes - 1
    onsets = continued(markers, length, max(before, 0), max(after, 0))
    return onsets[onsets >= 0]


def volume_markers(raw: RawEeg, events_path: Path | None, volume_marker: str) -> np.ndarray:
    """Samples of the scanner's volume markers: those of the EEG file or, where it has none, of its event table.

    Parameters
    ----------
    raw : the EEG, opened with the same `volume_marker`.
    events_path : event table on the EEG's clock, or ``None``.
    volume_marker : description of the scanner's marker.
    """
    return raw.markers if len(raw.markers) else _table_markers(raw, events_path, volume_marker)


def _markers(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment | None:
    """The scanner's volume markers: the first is BOLD time zero, gaps are whole TRs."""
    source, markers = recording.volume_marker, raw.markers
    if not len(markers):
        source = f"{source} in events.tsv"
        markers = _table_markers(raw, recording.eeg_events_path, recording.volume_marker)
    if not len(markers):
        return None
    length = tr * raw.sampling_rate
    steps = np.diff(markers) / length
    whole = np.rint(steps)
    off = np.abs(steps - whole) * length
    if ((off > MARKER_TOLERANCE) | (steps < 0.5)).any():
        worst = int(np.argmax(np.where(steps < 0.5, np.inf, off)))
        raise AlignmentError(
            f"{raw.path}: {recording.volume_marker} markers {worst + 1} and {worst + 2} are "
            f"{steps[worst] * tr:.3f} s apart, expected a multiple of the TR {tr:g} s; check the TR and markers"
        )
    spanned = int(whole.sum()) + 1
    if spanned > n_volumes:
        raise AlignmentError(
            f"{raw.path}: its {recording.volume_marker} markers span {spanned} volumes, the BOLD file has {n_volumes}; "
            f"remove the markers of the volumes that were dropped"
        )
    if spanned < n_volumes and recording.missing_markers == "refuse":
        if raw.n_samples <= markers[-1] + length:
            raise AlignmentError(
                f"{raw.path}: the EEG has samples 0 to {raw.n_samples}, but {n_volumes} volumes after its first "
                f"{recording.volume_marker} need {markers[0] + n_volumes * length:.0f}; it is cut short, or its first "
                f"markers are missing (dataset.missing_markers.{recording.name}=start)"
            )
        raise AlignmentError(
            f"{raw.path}: its volume markers span {spanned} volumes, the BOLD file has {n_volumes}; say which end "
            f"misses them: dataset.missing_markers.{recording.name}=end (the first are there) or start (the last are)"
        )
    before = n_volumes - spanned if recording.missing_markers == "start" else 0
    warnings = []
    if spanned < n_volumes:
        warnings.append(
            f"{n_volumes - spanned} volume markers are taken to be missing at the {recording.missing_markers} "
            f"(dataset.missing_markers); if it is the other end, EEG and BOLD are that far apart"
        )
    drift = markers[-1] - markers[0] - (spanned - 1) * length
    if abs(drift) > MARKER_TOLERANCE:
        warnings.append(f"the clocks of EEG and scanner drift by {drift:.1f} samples")
    return Alignment(float(markers[0] - before * length), source, len(markers), warnings=tuple(warnings))


def _table_markers(raw: RawEeg, path: Path | None, volume_marker: str) -> np.ndarray:
    """Volume markers of the EEG's event table; its column ``sample`` undoes the rounding of ``onset``."""
    if path is None:
        return np.empty(0)
    rows = read_table(path, ("onset",))
    marks = [row for row in rows if any(is_marker(row.get(key, ""), volume_marker) for key in _LABELS)]
    onsets = [number * raw.sampling_rate for row in marks if (number := _number(row["onset"])) is not None]
    samples = [number for row in marks if (number := _number(row.get("sample", ""))) is not None]
    agree = len(samples) == len(onsets) and np.allclose(samples, onsets, rtol=0, atol=1)
    return np.array(sorted(samples if agree else onsets), float)


def _start_time(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment | None:
    """BIDS ``StartTime`` of the EEG: its first sample, in seconds after the start of the BOLD run."""
    start = read_merged(recording.eeg_sidecars).get("StartTime")
    if start is None:
        return None
    if isinstance(start, bool) or not isinstance(start, (int, float)) or not np.isfinite(start):
        raise AlignmentError(f"{raw.path}: StartTime is {start!r} in its sidecar, seconds are expected; correct it")
    return Alignment(-start * raw.sampling_rate, "StartTime")


def _events(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment | None:
    """Events that both modalities list, each on its own clock: the median difference of their onsets."""
    if recording.bold_events_path is None:
        return None
    bold = _onsets(_rows(recording.bold_events_path))
    eeg = _onsets(_rows(recording.eeg_events_path)) if recording.eeg_events_path else {}
    if not eeg.keys() & bold.keys():
        eeg = _onsets([(onset, text.split("/")[-1]) for onset, text in raw.events])
    shared = sorted(eeg.keys() & bold.keys())
    if not shared:
        return None
    for label in shared:
        if len(eeg[label]) != len(bold[label]):
            raise AlignmentError(
                f"{raw.path}: {len(eeg[label])} events {label!r}, {recording.bold_events_path.name} has "
                f"{len(bold[label])}; correct the tables or choose another dataset.alignment"
            )
    differences = np.concatenate([np.subtract(eeg[label], bold[label]) for label in shared])
    onset = float(np.median(differences))
    spread = float(np.abs(differences - onset).max())
    if spread > EVENT_TOLERANCE_S:
        raise AlignmentError(
            f"{raw.path}: events shared with {recording.bold_events_path.name} are {onset:.3f} s apart, "
            f"but one differs by {spread:.3f} s; correct the tables or choose another dataset.alignment"
        )
    loose = spread * raw.sampling_rate > 1
    warnings = (f"shared events agree to {spread * 1000:.1f} ms only",) if loose else ()
    return Alignment(onset * raw.sampling_rate, "events", warnings=warnings)


def _xp(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """XP1, XP2: the EEG starts with the first rest block (``S 99``), 2 s after the scanner.

    Where the marker of the first rest block is missing, it lies 20 s before the first ``S  2``.
    """
    rest = [onset for onset, text in raw.events if is_marker(text, XP_REST)]
    task = [onset for onset, text in raw.events if is_marker(text, XP_TASK)]
    onset, source, warnings = 0.0, "xp offset", []
    if rest and (not task or rest[0] < task[0]):
        onset = rest[0]
    elif task:
        onset, source = task[0] - XP_BLOCK_S, f"xp offset, {XP_REST} from {XP_TASK}"
    else:
        warnings.append(f"no {XP_REST} or {XP_TASK} marker: the EEG is taken to start with the first rest block")
    if abs(onset) * raw.sampling_rate > 1:
        warnings.append(f"the first rest block starts at {onset:.3f} s of the EEG, not with the file")
    if task and rest and rest[0] < task[0] and abs(task[0] - rest[0] - XP_BLOCK_S) > 1:
        raise AlignmentError(
            f"{raw.path}: the first {XP_TASK} is {task[0] - rest[0]:.3f} s after the first {XP_REST}, expected "
            f"{XP_BLOCK_S:g} s; correct the markers or choose another dataset.alignment"
        )
    return Alignment((onset - XP_LEAD_S) * raw.sampling_rate, source, warnings=tuple(warnings))


def _scanner(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """The scanner starts the EEG: both begin together."""
    return Alignment(0.0, "scanner start")


def _file_start(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """Both begin together because the user says so."""
    return Alignment(0.0, "file start")


def _uncovered(raw: RawEeg, onset: float, tr: float, n_volumes: int, lead: float) -> tuple[str, ...]:
    """A warning where the EEG leaves volumes without a whole window; it may start `lead` samples late."""
    length = tr * raw.sampling_rate
    before = int(np.ceil(max(0.0, -onset - lead - 1) / length))
    after = int(np.ceil(max(0.0, onset + n_volumes * length - raw.n_samples - 1) / length))
    ends = [f"the {end} {count} of {n_volumes} volumes" for end, count in (("first", before), ("last", after)) if count]
    return (f"no EEG for {' and '.join(ends)}",) if ends else ()


def _rows(path: Path) -> list[tuple[float, str]]:
    """Onset and label of the events of a table."""
    rows = []
    for row in read_table(path, ("onset",)):
        onset = _number(row["onset"])
        label = next((row[key] for key in _LABELS if row.get(key, "n/a") not in ("n/a", "")), None)
        if onset is not None and label is not None:
            rows.append((onset, label))
    return rows


def _onsets(rows: Iterable[tuple[float, str]]) -> dict[str, list[float]]:
    """Sorted onsets by label; labels are compared without blanks and case."""
    onsets: dict[str, list[float]] = {}
    for onset, label in sorted(rows):
        onsets.setdefault("".join(label.split()).lower(), []).append(onset)
    return onsets


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


_LABELS = ("trial_type", "value")
Rule = Callable[[RawEeg, Recording, float, int], Alignment | None]
RULES: dict[str, Rule] = {
    "markers": _markers,
    "start-time": _start_time,
    "events": _events,
    "xp": _xp,
    "scanner": _scanner,
    "file-start": _file_start,
}
_NEEDS = {
    "markers": "no {marker} volume marker, so EEG and BOLD share no clock; export the recording with its markers",
    "start-time": "no StartTime in the sidecars of the EEG; add it (seconds) to the _eeg.json",
    "events": "no event that EEG and BOLD share; give both an _events.tsv or choose another dataset.alignment",
}
