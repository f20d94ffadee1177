"""The common clock of a recording: the sample of the EEG at which its BOLD run starts.

Times of acquisition (``scans.tsv``, ``AcquisitionTime``) are no clock: EEG and scanner have separate clocks, and in
published datasets the two disagree by minutes for the same BOLD run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from eeg2fmri.datasets.companion import by_wall_clock, by_xp_blocks
from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.events import by_shared_events, table_events, table_fault
from eeg2fmri.datasets.files import read_merged
from eeg2fmri.datasets.recording import Alignment, Recording
from eeg2fmri.datasets.volume_markers import by_markers, unsure
from eeg2fmri.errors import AlignmentError, DatasetError

RATE_TOLERANCE = 1e-3  # relative; of rates that are rounded
NAMED = 4  # markers listed in the message that there is no clock


def align(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """Put the EEG and the BOLD run of a recording on one clock.

    The rule ``auto`` takes the first of: the scanner's volume markers; ``StartTime`` of the EEG sidecar;
    events that EEG and BOLD share.

    Parameters
    ----------
    raw : the EEG, opened.
    recording : its files and its rule.
    tr : seconds between volumes.
    n_volumes : of the BOLD file.

    Raises
    ------
    AlignmentError
        If there is no clock, markers or events contradict the BOLD file, or the EEG is interrupted within
        the run for an unknown time.
    """
    if recording.alignment != "auto":
        found = RULES[recording.alignment](raw, recording, tr, n_volumes)
        if found is None:
            raise AlignmentError(f"{raw.path}: {_NEEDS[recording.alignment]}")
    else:
        rules = (by_markers, _start_time, by_shared_events)
        found = next((result for rule in rules if (result := rule(raw, recording, tr, n_volumes))), None)
        if found is None:
            raise AlignmentError(f"{raw.path}: {_no_clock(raw, recording, tr, n_volumes)}")
        if found.source == "StartTime":
            _check_events(raw, recording, found, tr, n_volumes)
    check_breaks(raw, found, n_volumes)
    remarks = (
        *_drift(raw, found, tr, n_volumes),
        *_other_clock(raw, recording, found),
        *_uncovered(raw, found, n_volumes),
    )
    return replace(found, warnings=(*found.warnings, *remarks))


def covered(raw: RawEeg, found: Alignment, n_volumes: int) -> np.ndarray:
    """Return whether each window of one TR has EEG from start to end and touches no gap, (n_volumes,) bool."""
    starts = np.rint(found.onset + np.arange(n_volumes) * found.period).astype(int)
    stops = starts + int(np.ceil(found.period))
    good = (starts >= 0) & (stops - 1 <= raw.n_samples)
    for start, stop in raw.gaps:
        good &= (stops <= start) | (starts >= stop)
    return good


def _start_time(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment | None:
    """Use BIDS ``StartTime`` of the EEG: the time of its first sample, in seconds after the start of the BOLD run."""
    sidecar = read_merged(recording.eeg_sidecars)
    start, rate = sidecar.get("StartTime"), sidecar.get("SamplingFrequency")
    if start is None:
        return None
    if isinstance(start, bool) or not isinstance(start, (int, float)) or not np.isfinite(start):
        raise AlignmentError(f"{raw.path}: StartTime is {start!r} in its sidecar, seconds are expected; correct it")
    if isinstance(rate, (int, float)) and abs(rate - raw.sampling_rate) > RATE_TOLERANCE * raw.sampling_rate:
        raise AlignmentError(
            f"{raw.path}: the file says {raw.sampling_rate:g} Hz and its sidecar {rate:g} Hz, and no "
            f"volume marker shows which is right; correct the wrong one"
        )
    return Alignment(-start * raw.sampling_rate, tr * raw.sampling_rate, "StartTime")


def _scanner(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """Let both begin together, because the scanner starts the EEG."""
    return Alignment(0.0, tr * raw.sampling_rate, "scanner start")


def _file_start(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> Alignment:
    """Let both begin together, because the user says so."""
    return Alignment(0.0, tr * raw.sampling_rate, "file start")


def _check_events(raw: RawEeg, recording: Recording, found: Alignment, tr: float, n_volumes: int) -> None:
    """Refuse a ``StartTime`` that contradicts events that both modalities list."""
    try:
        other = by_shared_events(raw, recording, tr, n_volumes)
    except DatasetError:
        return
    if other and abs(apart := (found.onset - other.onset) / raw.sampling_rate) > 0.05:
        raise AlignmentError(
            f"{raw.path}: StartTime of its sidecar and the events that both list differ by "
            f"{abs(apart):.3f} s; correct one, or choose dataset.alignment=start-time or dataset.alignment=events"
        )


def _no_clock(raw: RawEeg, recording: Recording, tr: float, n_volumes: int) -> str:
    """Write the message for a recording without a clock: its markers, and the fault of its event table."""
    fault, table = table_fault(raw, recording), recording.eeg_events_path
    why = f" ({fault})" if fault else ""
    counts = Counter(text.strip("/ ") for _, text in raw.events)
    if table and not fault:
        counts.update(f"{text} in events.tsv" for _, text in table_events(table))
    if not_taken := unsure(raw, recording, tr, n_volumes):
        return f"EEG and BOLD share no certain clock: {not_taken}; see also dataset.alignment"
    listed = ", ".join(f"{text} ({number})" for text, number in counts.most_common(NAMED)) or "none at all"
    return (
        f"EEG and BOLD share no clock: no marker has the rhythm of the volumes ({tr:g} s; the markers are {listed}), "
        f"no StartTime, and no event in both{why}; export the scanner's markers, or name "
        f"them (dataset.volume_marker), or say that both start together (dataset.alignment=file-start)"
    )


def check_breaks(raw: RawEeg, found: Alignment, n_volumes: int) -> None:
    """Refuse EEG with an unknown time missing between the source of its clock and the end of the run."""
    first, last = min(found.known_from, found.onset), found.onset + n_volumes * found.period
    for place, name in raw.breaks:
        if first < place < last:
            raise AlignmentError(
                f"{raw.path}: a {name} at {place / raw.sampling_rate:.3f} s interrupts the EEG within the run "
                f"for an unknown time; export it in one piece or with the length of the break, or leave it out"
            )


def _drift(raw: RawEeg, found: Alignment, tr: float, n_volumes: int) -> list[str]:
    drift = (found.period / raw.sampling_rate - tr) * n_volumes
    if abs(drift) * raw.sampling_rate < 1:
        return []
    return [f"the clocks of EEG and scanner drift by {drift * 1000:.1f} ms over the run; windows follow the markers"]


def _other_clock(raw: RawEeg, recording: Recording, found: Alignment) -> list[str]:
    """Note a ``StartTime`` that contradicts the markers."""
    if not found.markers_found or recording.alignment != "auto":
        return []
    start = read_merged(recording.eeg_sidecars).get("StartTime")
    if isinstance(start, bool) or not isinstance(start, (int, float)):
        return []
    apart = found.onset / raw.sampling_rate + start
    if abs(apart) <= max(0.01, 1 / raw.sampling_rate):
        return []
    return [f"StartTime of its sidecar and the volume markers differ by {abs(apart):.3f} s; the markers are used"]


def _uncovered(raw: RawEeg, found: Alignment, n_volumes: int) -> list[str]:
    """Warn of volumes without a whole window of EEG."""
    good = covered(raw, found, n_volumes)
    kept = np.flatnonzero(good)
    if not len(kept):
        raise AlignmentError(
            f"{raw.path}: none of the {n_volumes} volumes has EEG; it has samples 0 to {raw.n_samples}, the run starts "
            f"at {found.onset:.0f}; check the clock (dataset.alignment)"
        )
    before, after = int(kept[0]), n_volumes - 1 - int(kept[-1])
    ends = [f"the {end} {count} of {n_volumes} volumes" for end, count in (("first", before), ("last", after)) if count]
    inside = int((~good).sum()) - before - after
    remarks = [f"no EEG for {' and '.join(ends)}"] if ends else []
    if inside:
        missing = sum(stop - start for start, stop in raw.gaps) / raw.sampling_rate
        remarks.append(f"{missing:.3f} s of EEG are missing within the run: {inside} windows are left out")
    return remarks


Rule = Callable[[RawEeg, Recording, float, int], Alignment | None]
RULES: dict[str, Rule] = {
    "markers": by_markers,
    "start-time": _start_time,
    "events": by_shared_events,
    "xp": by_xp_blocks,
    "wall-clock": by_wall_clock,
    "scanner": _scanner,
    "file-start": _file_start,
}
_NEEDS = {
    "markers": "no marker has the rhythm of the volumes, so EEG and BOLD share no clock; export the recording with its "
    "markers, or name the scanner's (dataset.volume_marker)",
    "start-time": "no StartTime in the sidecars of the EEG; add it (seconds) to the _eeg.json",
    "events": "EEG and BOLD share no event; give both an _events.tsv or choose another dataset.alignment",
}
