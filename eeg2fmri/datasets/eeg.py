"""EEG of a recording: opened by its header, read channel by channel, in µV."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.datasets.brainvision import as_mne_reads, companions, header_text
from eeg2fmri.datasets.channels import described_channels, few, named_type
from eeg2fmri.datasets.continuity import Reader, began, boundaries, discontinuous, segments, timeline
from eeg2fmri.datasets.eeglab import data_file
from eeg2fmri.datasets.files import check_fetched
from eeg2fmri.datasets.matlab import SAMPLING_RATE_HZ, open_matlab
from eeg2fmri.datasets.recording import Recording
from eeg2fmri.datasets.triggers import trigger_changes
from eeg2fmri.datasets.units import ChannelUnit, Scales, file_units, is_other, scales, type_by_unit
from eeg2fmri.errors import DatasetError, one_line

TRIGGER_TYPES = ("trig", "stim")  # as channel tables call them
BLOCK_VALUES = 500_000  # float64 values that MNE holds at a time: 4 MB, which stay in the processor's cache
SCALE_WARNINGS = r"(?i)\bunits?\b|scaling|physical|resolution"  # of MNE, which mentions the units of montages too


@dataclass(frozen=True)
class RawEeg:
    """EEG of one recording, opened and not read. Samples and times count on its time axis, pauses included.

    sampling_rate: Hz.  types: lower case, one per channel; ``n/a`` if a table leaves it out.
    bads: channels that the dataset marks as bad.
    events: onset (s from the first sample) and description of every marker.
    gaps: (start, stop) samples within which there is no EEG.  breaks: samples at which an unknown time is
    missing, with the marker that says so.  began: time of day of the first sample, if the file has it.
    notes: corrections of the header, e.g. names of renamed files, channels without description, and how units
    were found.
    place: the time (s) on the axis of a time of the file; the file does not count pauses.
    triggers: reads the rises of the trigger channels, as `events`; its argument: the channels that a table calls
    triggers.
    units: by the file.  scales: by the file and its channel table.
    """

    path: Path
    sampling_rate: float
    n_samples: int
    channels: tuple[str, ...]
    types: tuple[str, ...]
    bads: tuple[str, ...]
    events: tuple[tuple[float, str], ...]
    gaps: tuple[tuple[int, int], ...] = ()
    breaks: tuple[tuple[int, str], ...] = ()
    began: datetime | None = None
    notes: tuple[str, ...] = ()
    triggers: Callable[[Sequence[str]], tuple[tuple[float, str], ...]] = field(default=lambda _: (), repr=False)
    units: tuple[ChannelUnit, ...] = ()
    scales: Scales = field(default_factory=lambda: Scales(np.empty(0), (), ()))
    place: Callable[[float], float] = field(default=float, repr=False)
    _reader: Reader = field(default=lambda *_: np.empty(0), repr=False)

    def trigger_events(self) -> tuple[tuple[float, str], ...]:
        """Return onset (s) and description of every rise of a trigger channel; read these channels whole."""
        named = [name for name, kind in zip(self.channels, self.types, strict=True) if kind in TRIGGER_TYPES]
        return self.triggers(named)

    def read(self, picks: Sequence[int], start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read samples `start` to `stop` of the channels `picks` (indices), in blocks; straight lines across gaps.

        Returns
        -------
        (len(picks), samples) float32 in µV.

        Raises
        ------
        DatasetError
            If the file cannot be read to its end.
        """
        stop = self.n_samples if stop is None else min(stop, self.n_samples)
        values = np.empty((len(picks), max(stop - start, 0)), np.float32)
        factors = self.scales.factors[list(picks), None]
        block = max(1, BLOCK_VALUES // max(len(self.channels), 1))
        for first in range(start, stop, block):
            last = min(first + block, stop)
            values[:, first - start : last - start] = self._reader(list(picks), first, last) * factors
        return values


def open_eeg(recording: Recording) -> RawEeg:
    """Open the EEG of a recording: header, channel table and markers, no samples.

    Raises
    ------
    DatasetError
        If a file is missing, was never fetched, is damaged, or its channel table does not fit.
    """
    return open_eeg_file(recording.eeg_path, recording.channels_path, recording.channel_types)


def open_eeg_file(
    path: Path, channels_path: Path | None = None, known_types: tuple[tuple[int, str], ...] = ()
) -> RawEeg:
    """Open one EEG file: BrainVision, EDF, BDF, EEGLAB, FIF, or MATLAB (see `matlab`).

    Parameters
    ----------
    path : header, or the file itself if there is only one.
    channels_path : BIDS ``_channels.tsv`` with the columns name and type, and status if there is one.
        One that is beside `path` must name only channels of the file. Without it the types are
        those of `known_types`, of the channel's name (ECG, EOG, EMG), or of the file, in this order.
    known_types : (index, type) of channels.
    """
    check_fetched(path)
    if path.suffix.lower() == ".mat":
        names, types, n_samples, reader = open_matlab(path)
        units = (ChannelUnit("", 1.0, "µV"),) * len(names)
        opened = RawEeg(path, SAMPLING_RATE_HZ, n_samples, names, types, (), (), units=units, _reader=reader)
    else:
        opened = _open_mne(path, dict(known_types))
    if channels_path is None:
        found = scales(opened.channels, opened.types, opened.units, ("",) * len(opened.channels), "")
        return replace(opened, scales=found, notes=(*opened.notes, *found.notes))
    table = described_channels(opened.channels, channels_path, strict=channels_path.parent == path.parent)
    found = scales(opened.channels, table.types, opened.units, table.units, channels_path.name)
    notes = (*opened.notes, *table.notes, *found.notes)
    return replace(opened, types=table.types, bads=table.bads, scales=found, notes=notes)


def wanted_channels(raw: RawEeg, channel_types: tuple[str, ...]) -> list[int]:
    """Return the indices of the channels of the wanted types; each needs a unit.

    Raises
    ------
    DatasetError
        If there is none, or the unit of one is not known.
    """
    kept = [index for index, kind in enumerate(raw.types) if kind in channel_types]
    if not kept:
        raise DatasetError(
            f"{raw.path}: no channel of type {' or '.join(channel_types)} among {sorted(set(raw.types))}; "
            f"set data.channel_types, or fill in the column type of its channels.tsv"
        )
    _check_units(raw, kept)
    return kept


def _check_units(raw: RawEeg, picks: Sequence[int]) -> None:
    """Refuse channels without a usable unit.

    Raises
    ------
    DatasetError
        If one of `picks` has none; its line names the channels with the same fault.
    """
    for pick in picks:
        if fault := raw.scales.faults[pick]:
            alike = [raw.channels[row] for row in picks if raw.scales.faults[row] == fault]
            raise DatasetError(f"{raw.path}: {few(alike)}: {fault}")


def _open_mne(path: Path, known_types: dict[int, str]) -> RawEeg:
    raw, notes, markers = _mne_raw(path)
    if not raw.n_times:
        raise DatasetError(f"{path}: not a readable EEG recording (it has no samples); fetch or export it again")
    rate = float(raw.info["sfreq"])
    origin = raw.first_time  # of a cropped file, which starts later
    annotated = [(float(a["onset"]) - origin, float(a["duration"]), str(a["description"])) for a in raw.annotations]
    cuts, skipped = boundaries(annotated, rate)
    cuts += segments(markers, rate)
    in_time = path.suffix.lower() in (".edf", ".bdf")  # its annotations are in time, the others' in samples
    if in_time:  # of a discontinuous file MNE keeps only the annotations of its first part
        pauses, texts = discontinuous(path, rate)
        cuts, annotated = [*cuts, *pauses], (texts if pauses else annotated)
    axis = timeline(path, int(raw.n_times), rate, cuts, skipped)

    def placed(sample: float) -> float:
        return axis.place(sample) / rate

    units = file_units(path, raw)
    if other := [name for name, unit in zip(raw.ch_names, units, strict=True) if is_other(unit.stated)]:
        notes = (*notes, f"the unit of {few(other)} is no voltage: not used as EEG without a channel table")
    kinds = [type_by_unit(kind, unit) for kind, unit in zip(raw.get_channel_types(), units, strict=True)]
    types = tuple(
        known_types.get(index) or named_type(name, kind)
        for index, (name, kind) in enumerate(zip(raw.ch_names, kinds, strict=True))
    )

    def reader(picks: list[int], start: int, stop: int) -> np.ndarray:
        try:
            return np.asarray(raw.get_data(picks, start, stop, verbose="error"))
        except Exception as err:
            raise _unreadable(path, err) from err

    return RawEeg(
        path=path,
        sampling_rate=rate,
        n_samples=axis.n_samples,
        channels=tuple(raw.ch_names),
        types=types,
        bads=tuple(raw.info["bads"]),
        events=tuple((onset if in_time else placed(onset * rate), text) for onset, _, text in annotated),
        place=lambda time: placed(time * rate),
        gaps=axis.gaps,
        breaks=axis.breaks,
        began=began(markers),
        notes=notes,
        triggers=lambda names: tuple((placed(sample), text) for sample, text in trigger_changes(raw, names)),
        units=units,
        _reader=axis.filled(reader),
    )


def _mne_raw(path: Path) -> tuple[Any, tuple[str, ...], str]:
    """Open a recording with MNE, without samples; also return corrections of its header and its marker text."""
    import mne

    notes: tuple[str, ...] = ()
    markers, data = "", path
    source: AbstractContextManager[tuple[Path, dict[str, Any]]] = nullcontext((path, {}))
    if path.suffix.lower() == ".vhdr":
        found = companions(path)
        for companion in (found.data, found.markers):
            if companion is not None:
                check_fetched(companion)
        source = as_mne_reads(path, found)
        markers = header_text(found.markers) if found.markers else ""
        if found.stale:
            notes = (f"its header names {' and '.join(found.stale)}, renamed since; {found.data.name} is read",)
        data = found.data
    elif path.suffix.lower() == ".set":
        inside, stale = data_file(path)
        data = inside or path
        check_fetched(data)
        if stale:
            notes = (f"it names {stale}, renamed since; {data.name} is read",)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with source as (file, options):
                raw = mne.io.read_raw(file, preload=False, verbose="warning", **options)
    except Exception as err:  # MNE raises many kinds of error for a damaged file; all mean the same here
        raise _unreadable(path, err) from err
    if others := [name for name in raw.filenames if name and Path(name).resolve() != data.resolve()]:
        raise DatasetError(
            f"{path}: its samples are in {others[0]}, which is no file of this recording; export it again"
        )
    texts = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    notes += tuple(text for text in texts if re.search(SCALE_WARNINGS, text) and "montage" not in text)
    return raw, notes, markers


def _unreadable(path: Path, err: Exception) -> DatasetError:
    return DatasetError(f"{path}: not a readable EEG recording ({one_line(err)}); fetch or export it again")
