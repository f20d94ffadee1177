"""Time that is missing inside an EEG file: pauses, rejected stretches, gaps between records.

The samples of a file are assumed to be continuous. If they are not, the file says so: a second ``New Segment``
(BrainVision), a ``boundary`` (EEGLAB, MNE), records with onsets of their own (EDF+D, BDF+D). A pause of known length
is put back, so that time continues across it. A pause of unknown length ends the part that can be aligned.

n samples of the file; N samples with the pauses between them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from eeg2fmri.errors import DatasetError

Reader = Callable[[list[int], int, int], np.ndarray]
LONGEST_S = 3600.0  # pauses of a file that are put back, in all
CLOCK_S = 1e-3  # accuracy of times of day
NUMBERED = ("-99", "-99.0")  # a boundary of EEGLAB if event types are numbers
SKIP = "bad_acq_skip"  # samples that MNE's FIF reader fills with zeros
_LOST = re.compile(r"lost ?samples:? *(\d+)")
_ANNOTATION = re.compile(rb"([+-][\d.]+)(?:\x15([\d.]*))?\x14([^\x00]+)\x14\x00")
_SEGMENT = re.compile(
    r"(?m)^\s*Mk\d+\s*=\s*New Segment\s*,[^,\n]*,\s*(\d+)\s*,[^,\n]*,[^,\n]*(?:,\s*(\d+))?", re.IGNORECASE
)


@dataclass(frozen=True)
class Cut:
    """A place before sample `sample` of the file at which `seconds` are missing; ``None`` if unknown."""

    sample: int
    seconds: float | None
    name: str


@dataclass(frozen=True)
class Timeline:
    """The places of a file's samples in time.

    starts, places: sample of the file and of the time axis at which each stretch without a pause begins.
    n_samples: N.  gaps: (start, stop) on the time axis without EEG.  breaks: places at which an unknown time
    is missing, with the name of the marker that says so.
    """

    starts: tuple[int, ...]
    places: tuple[int, ...]
    n_samples: int
    gaps: tuple[tuple[int, int], ...] = ()
    breaks: tuple[tuple[int, str], ...] = ()

    def place(self, sample: float) -> float:
        """Return the place of a sample (fractional) of the file on the time axis."""
        stretch = max(int(np.searchsorted(self.starts, sample + 1e-6, side="right")) - 1, 0)
        return sample + self.places[stretch] - self.starts[stretch]

    def filled(self, reader: Reader) -> Reader:
        """Return a reader of the time axis; it fills a gap with a straight line between the samples beside it."""
        if len(self.starts) == 1:
            return reader
        ends = [*self.starts[1:], self.n_samples - self.places[-1] + self.starts[-1]]
        stretches = [(p, p + e - s, s) for p, s, e in zip(self.places, self.starts, ends, strict=True)]

        def read(picks: list[int], start: int, stop: int) -> np.ndarray:
            values = np.zeros((len(picks), stop - start), np.float32)
            for first, last, origin in stretches:
                low, high = max(start, first), min(stop, last)
                if low < high:
                    values[:, low - start : high - start] = reader(picks, low - first + origin, high - first + origin)
            for (_, first, _), (last, _, origin) in itertools.pairwise(stretches):
                low, high = max(start, first), min(stop, last)
                if low < high:
                    left, right = reader(picks, origin - 1, origin + 1).T
                    share = (np.arange(low, high) - first + 1) / (last - first + 1)
                    values[:, low - start : high - start] = left[:, None] + (right - left)[:, None] * share
            return values

        return read


def timeline(
    path: Path, n_samples: int, rate: float, cuts: Iterable[Cut], skipped: Sequence[tuple[int, int]]
) -> Timeline:
    """Put the known pauses of a file back.

    Parameters
    ----------
    path : of the file, for messages.
    n_samples, rate : n; Hz.
    cuts : pauses.
    skipped : (start, stop) of samples of the file that hold no EEG.

    Raises
    ------
    DatasetError
        If stretches overlap, or pauses last longer than an hour in all.
    """
    starts, places, gaps, breaks, shift, total = [0], [0], [], [], 0, 0.0
    for cut in sorted(cuts, key=lambda cut: cut.sample):
        if not 0 < cut.sample < n_samples:
            continue
        if cut.seconds is None:
            breaks.append((cut.sample + shift, cut.name))
            continue
        missing = round(cut.seconds * rate)
        total += cut.seconds
        if missing < 0:
            raise DatasetError(
                f"{path}: the {cut.name} at {cut.sample / rate:.3f} s begins {-cut.seconds:.3f} s before the end of "
                f"the EEG before it; export the recording again"
            )
        if missing:
            gaps.append((cut.sample + shift, cut.sample + shift + missing))
            shift += missing
            starts.append(cut.sample)
            places.append(cut.sample + shift)
    if total > LONGEST_S:
        raise DatasetError(
            f"{path}: its pauses last {total:.0f} s in all, at most {LONGEST_S:.0f} s are read; export each BOLD run's "
            f"EEG into a file of its own"
        )
    found = Timeline(tuple(starts), tuple(places), n_samples + shift, breaks=tuple(breaks))
    lost = [(round(found.place(start)), round(found.place(stop - 1)) + 1) for start, stop in skipped]
    return Timeline(found.starts, found.places, found.n_samples, tuple(sorted([*gaps, *lost])), found.breaks)


def segments(text: str, rate: float) -> list[Cut]:
    """Find pauses before the second and later ``New Segment`` of a BrainVision marker file, by times of day.

    Times of day that follow each other as the samples do are no pause.
    """
    found = [(int(match[1]) - 1, _when(match[2])) for match in _SEGMENT.finditer(text)]
    if found and found[0][0] > 0:
        found.insert(0, (0, None))  # the first segment may have no marker
    cuts = []
    for (first, began), (sample, begins) in itertools.pairwise(found):
        seconds: float | None = None
        if began and begins:
            seconds = (begins - began).total_seconds() - (sample - first) / rate
            if abs(seconds) <= max(1 / rate, CLOCK_S):
                continue
        cuts.append(Cut(sample, seconds, "New Segment"))
    return cuts


def began(text: str) -> datetime | None:
    """Return the time of day of the first sample by the first ``New Segment`` of a BrainVision marker file."""
    for match in _SEGMENT.finditer(text):
        when = _when(match[2])
        return when if int(match[1]) == 1 else None
    return None


def boundaries(events: Iterable[tuple[float, float, str]], rate: float) -> tuple[list[Cut], list[tuple[int, int]]]:
    """Find pauses and lost samples in annotations (onset s, duration s, description).

    A ``boundary`` of EEGLAB lasts as long as the part that was cut out. A ``boundary`` of MNE, or one without a
    duration, does not give the length.
    """
    cuts: dict[int, Cut] = {}
    skipped = []
    for onset, duration, description in events:
        name = description.casefold().strip()
        sample = int(np.ceil(round(onset * rate, 3)))
        seconds = duration if duration > 0 else None
        if lost := _LOST.search(name):
            seconds = int(lost[1]) / rate
        if name == SKIP:
            skipped.append((round(onset * rate), round((onset + duration) * rate)))
        elif lost or name.endswith("boundary") or name in NUMBERED:
            before = cuts.get(sample)  # two cuts at one place add up
            if before is not None and seconds is not None:
                seconds = None if before.seconds is None else before.seconds + seconds
            cuts[sample] = Cut(sample, seconds, description)
    return list(cuts.values()), skipped


def discontinuous(path: Path, rate: float) -> tuple[list[Cut], list[tuple[float, float, str]]]:
    """Read the pauses between records of EDF+D or BDF+D, and its annotations (onset s, duration s, text).

    Every record's first annotation is its onset (Kemp & Olivan 2003, Clin. Neurophysiol. 114:1755).

    Raises
    ------
    DatasetError
        If a record has no onset.
    """
    with path.open("rb") as file:
        head = file.read(256)
        if head[192:197] not in (b"EDF+D", b"BDF+D"):
            return [], []
        n_records, seconds, n_signals = int(head[236:244]), float(head[244:252]), int(head[252:256])
        width = 3 if head[:1] == b"\xff" else 2
        fields = file.read(256 * n_signals)
        labels = [fields[16 * i : 16 * i + 16].strip() for i in range(n_signals)]
        sizes = [int(fields[216 * n_signals + 8 * i :][:8]) * width for i in range(n_signals)]
        place = next((i for i, label in enumerate(labels) if label.endswith(b"Annotations")), None)
        offset = 0 if place is None else sum(sizes[:place])
        onsets, notes = [], []
        for record in range(max(n_records, 0)):
            file.seek(256 * (n_signals + 1) + record * sum(sizes) + offset)
            content = b"" if place is None else file.read(sizes[place])
            onset = re.match(rb"([+-][\d.]+)\x14", content)
            if onset is None:
                raise DatasetError(
                    f"{path}: record {record + 1} of it has no onset, which EDF+D needs; export it again"
                )
            onsets.append(float(onset[1]))
            notes += _ANNOTATION.findall(content)
    steps = np.diff(onsets) - seconds
    samples = (np.arange(1, n_records) * seconds * rate).round().astype(int)
    pauses = zip(samples, steps, strict=True)
    cuts = [Cut(int(sample), float(step), "EDF+D gap") for sample, step in pauses if abs(step) * rate >= 0.5]
    texts = [(float(o) - onsets[0], float(d or 0), t.decode("utf-8", "replace")) for o, d, parts in notes
             for t in parts.split(b"\x14") if t]  # fmt: skip
    return cuts, texts


def _when(digits: str | None) -> datetime | None:
    """Parse the time of day of a marker, ``YYYYMMDDhhmmssuuuuuu``; ``None`` if it is not filled in."""
    if not digits or len(digits) != 20 or not int(digits):
        return None
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S%f")
    except ValueError:
        return None
