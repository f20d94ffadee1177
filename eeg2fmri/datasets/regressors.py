"""Courses beside the EEG that BOLD may follow: motion, the heart and the task, of one recording.

A recording that has none of a kind is used without it; the reason is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets.cleaned import read_ecg
from eeg2fmri.datasets.confounds import motion_parameters
from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.events import COLUMNS, EMPTY, event_rows, table_fault
from eeg2fmri.datasets.marker_trains import is_known, is_label, label_of, name_of, never_the_scanner
from eeg2fmri.datasets.recording import Alignment, Recording
from eeg2fmri.errors import DatasetError, Eeg2FmriError, one_line
from eeg2fmri.signals import beat_amplitudes, event_response, pulse_courses, volume_locked_share

# Answers of the subject and states of the scanner are no task that was set.
NO_TASK = re.compile(r"response|button|key.?press|answer|scan|volume|trigger|dummy")
ARTEFACT_SHARE = 0.5  # of the ECG's variance that repeats with every volume: no heart beats are found in it


@dataclass(frozen=True)
class Regressors:
    """Courses by kind (``motion``, ``pulse``, ``task``) and name, each (volumes,) of all volumes of the BOLD file.

    absent: why there are none of a kind.
    """

    courses: Mapping[str, Mapping[str, np.ndarray]]
    absent: Mapping[str, str]


def read_regressors(
    raw: RawEeg, recording: Recording, found: Alignment, tr: float, n_volumes: int, config: CleaningConfig
) -> Regressors:
    """Read what the recording has of each kind; what cannot be read is absent, with the reason.

    Parameters
    ----------
    raw, recording : the EEG, opened; its files.
    found : where BOLD lies in the EEG.
    tr, n_volumes : of the BOLD file.
    config : how the EEG is cleaned; the ECG is cleaned in the same way before beats are looked for.
    """
    times = tr * np.arange(n_volumes)
    kinds: dict[str, Callable[[], dict[str, np.ndarray]]] = {
        "motion": lambda: _motion(recording, n_volumes),
        "pulse": lambda: _pulse(raw, found, tr, times, config),
        "task": lambda: _task(raw, recording, found, tr, times),
    }
    courses, absent = {}, {}
    for kind, read in kinds.items():
        try:
            courses[kind] = read()
        except Eeg2FmriError as err:
            absent[kind] = _without_folders(one_line(err), recording)
    return Regressors(courses, absent)


def _without_folders(text: str, recording: Recording) -> str:
    """Return a text that goes into the store, which is the same wherever the dataset lies."""
    for path in recording.files:
        text = text.replace(str(path), path.name)
    return text


def _motion(recording: Recording, n_volumes: int) -> dict[str, np.ndarray]:
    """Return the six parameters and their changes since the volume before (Friston et al. 1996, Magn. Reson. Med.
    35:346).
    """
    if recording.confounds_path is None:
        raise DatasetError("no table of confounds beside the BOLD file")
    found = motion_parameters(recording.confounds_path, n_volumes)
    changes = {f"{name}_change": np.diff(course, prepend=course[:1]) for name, course in found.items()}
    return found | changes


def _pulse(
    raw: RawEeg, found: Alignment, tr: float, times: np.ndarray, config: CleaningConfig
) -> dict[str, np.ndarray]:
    ecg = read_ecg(raw, found.onsets, config)
    rate, (course, *_) = ecg.sampling_rate, ecg.data
    onsets = found.onsets / ecg.factor
    if not config.gradient and len(onsets) > 1 and volume_locked_share(course, onsets, tr, rate) > ARTEFACT_SHARE:
        raise DatasetError(f"{raw.path}: the gradient artefact is still in its ECG")
    beats = (ecg.r_peaks * ecg.factor - found.onset) / found.period * tr
    courses = pulse_courses(beats, times, beat_amplitudes(course, rate, ecg.r_peaks))
    if not courses:
        raise DatasetError(f"{raw.path}: no two heart beats in its ECG follow each other as a heart's do")
    return courses


def _task(raw: RawEeg, recording: Recording, found: Alignment, tr: float, times: np.ndarray) -> dict[str, np.ndarray]:
    """Return one course for each trial type, of BOLD's table or, on the EEG's clock, of the EEG's."""
    if recording.bold_events_path:
        path = recording.bold_events_path
        rows = event_rows(path)
    elif recording.eeg_events_path:
        path = recording.eeg_events_path
        if fault := table_fault(raw, recording):
            raise DatasetError(f"{path}: {fault}")
        volume_s, rate = tr / found.period, raw.sampling_rate
        rows = [((raw.place(time) * rate - found.onset) * volume_s, row) for time, row in event_rows(path, rate)]
    else:
        raise DatasetError("no table of events")
    trials: dict[str, list[tuple[float, float]]] = {}
    for onset, row in rows:
        if _is_trial(row, found):
            trials.setdefault(row["trial_type"], []).append((onset, _duration(row.get("duration", ""))))
    courses = {}
    for name, events in sorted(trials.items()):
        onsets, durations = np.array(events).T
        courses[name] = event_response(onsets, durations, times)
    courses = {name: course for name, course in courses.items() if np.ptp(course) > 0}
    if not courses:
        raise DatasetError(f"{path}: it lists no trial of a task within the run")
    return courses


def _is_trial(row: Mapping[str, str], found: Alignment) -> bool:
    """Say whether a row is of something that was shown or done, not of the scanner, the amplifier or an answer."""
    names = [row[column] for column in COLUMNS if row.get(column, "") not in EMPTY]
    scanner = name_of(found.source.partition(" in ")[0])
    return row.get("trial_type", "") not in EMPTY and not any(
        is_known(label_of(name)) or is_label(name, scanner) or never_the_scanner(name) or NO_TASK.match(name.casefold())
        for name in names
    )


def _duration(text: str) -> float:
    """Return seconds that a trial lasts; one without a duration is an impulse."""
    try:
        return max(float(text), 0.0) if text not in EMPTY else 0.0
    except ValueError as err:
        raise DatasetError(f"a trial has the duration {text!r}, seconds are expected") from err
