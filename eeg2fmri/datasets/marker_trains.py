"""The scanner's volume markers among all markers of a recording, found by their rhythm.

A scanner writes one marker per volume, so its markers are one TR apart over the whole BOLD run. All other markers
(stimuli, heart beats, the amplifier's clock) have another rhythm. Times are seconds on the EEG's clock. A label is a
marker's description without blanks and without its type: ``Response/R128`` is ``R128``.

A train is the markers of one label; slot k is the place of a volume, ``first + k * period``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

# Labels that scanners' markers have in public datasets, the most common first.
KNOWN = ("R128", "ScanStart", "R149", "S128", "T1", "V1", "Volume", "TREV")
# The amplifier's clock, R peaks, joins of the file, remarks: never the scanner, in any rhythm.
NEVER = re.compile(r"sync.*|lostsamples.*|newsegment|.*boundary|edge.*|bad.*|pulseartifact|r|comment")
JITTER_S = 0.005  # a marker this close to a slot belongs to it
DOUBLED = 0.05  # of the period: a second marker this close to a slot is a double of the first
DRIFT = 2e-3  # relative; the clocks of amplifier and scanner differ much less, a wrong TR more
SHARE = 0.5  # of the volumes: fewer markers in the TR's rhythm may be a stimulus
FEWEST = 3
ALONE = 10  # markers in a row that are no accident, if no BOLD file gives their number
LONGEST_STEP = 4  # volumes per marker
PAUSE = 4  # markers absent in a row if the scanner paused; if fewer are absent, the EEG lost them


@dataclass(frozen=True)
class Train:
    """Markers of one label on slots.

    first, period: s; slot 0 is the first with a marker.  slots: (M,) int, those with a marker.
    observed: (M,) s, their markers.  n_markers: of the label, in all.  per_volume: markers in every
    volume, of slices or pairs; torn: the first or the last volume lacks some of them.
    step: volumes from marker to marker.  doubled, astray: extra markers near a slot, and markers on no slot;
    inside: markers astray between the first and the last slot.
    """

    label: str
    first: float
    period: float
    slots: np.ndarray
    observed: np.ndarray
    n_markers: int
    per_volume: int = 1
    torn: bool = False
    step: int = 1
    doubled: int = 0
    astray: int = 0
    inside: int = 0

    @property
    def spanned(self) -> int:
        """Return the volumes from the first marker to the last, with those that the last one stands for."""
        return int(self.slots[-1]) + self.step

    @property
    def absent(self) -> int:
        """Count the slots between the first and the last marker that have none."""
        return int(self.slots[-1]) // self.step + 1 - len(self.slots)

    @property
    def pattern(self) -> str:
        """Describe the pattern of the markers in words."""
        parts = (
            (self.per_volume > 1, f"{self.per_volume} in every volume"),
            (self.step > 1, f"one per {self.step} volumes"),
            (self.doubled, f"{self.doubled} doubled"),
            (self.astray, f"{self.astray} off the volumes' rhythm"),
            (self.absent, f"{self.absent} absent between the first and the last"),
        )
        return ", ".join(
            [f"{self.n_markers} marker{'s' if self.n_markers > 1 else ''}", *(text for holds, text in parts if holds)]
        )

    def blocks(self) -> list[tuple[int, int]]:
        """Return first slot and number of volumes of every part of the train, between pauses of the scanner."""
        ends = np.flatnonzero(np.diff(self.slots) > self.step * PAUSE)
        starts = self.slots[np.concatenate([[0], ends + 1])]
        stops = self.slots[np.concatenate([ends, [len(self.slots) - 1]])] + self.step
        return [(int(start), int(stop - start)) for start, stop in zip(starts, stops, strict=True)]


@lru_cache  # a run has thousands of markers of a few descriptions
def label_of(description: str) -> str:
    """Return a description without blanks and type; the type if there is nothing else (``Volume/``)."""
    return _plain(description).rpartition("/")[2]


def name_of(description: str) -> str:
    """Do as `label_of`, but keep upper and lower case and blanks."""
    return description.strip("/ ").rpartition("/")[2].strip()


def is_label(description: str, wanted: str) -> bool:
    """Return whether a description is `wanted`, with or without its type; blanks and case do not count."""
    text, asked = (_plain(part).casefold() for part in (description, wanted))
    return asked in (text, text.rpartition("/")[2])


@lru_cache
def is_known(label: str) -> bool:
    """Return whether scanners' markers are known by this label."""
    return any(is_label(label, name) for name in KNOWN)


@lru_cache
def never_the_scanner(description: str) -> bool:
    """Return whether a marker is the amplifier's own, an R peak, or a join of the file."""
    kind, _, label = _plain(description).casefold().rpartition("/")
    return not label or any(NEVER.fullmatch(part) for part in (kind, label) if part)


def by_label(events: Iterable[tuple[float, str]]) -> dict[str, np.ndarray]:
    """Return sorted times of every label that may be the scanner's."""
    times: dict[str, list[float]] = {}
    for time, description in events:
        if not never_the_scanner(description):
            times.setdefault(label_of(description), []).append(time)
    return {label: np.sort(np.asarray(values, float)) for label, values in times.items()}


def find_train(
    label: str, times: np.ndarray, tr: float, n_volumes: int | None, rounding: float, *, trusted: bool = False
) -> Train | None:
    """Look for the rhythm of the volumes in the markers of one label.

    Parameters
    ----------
    label : of the markers.
    times : (n,) s, sorted.
    tr : nominal seconds between volumes; the clocks may differ by 0.2 %.
    n_volumes : of the BOLD file; ``None`` if there is none.
    rounding : s by which a marker may be off because times are rounded, half a sample.
    trusted : the label is the scanner's; so few markers, or one per several volumes, are a train too.

    Returns
    -------
    The train, or ``None`` if fewer than half of the volumes have a marker, or fewer than 10 without a BOLD file.
    """
    if len(times) < (1 if trusted else FEWEST):
        return None
    period, phase = _densest(times, tr, JITTER_S + rounding)
    train = _fitted(label, times, tr, period, phase, rounding)
    if train is None:
        return None
    groups = _groups(times, train, rounding)
    if len(groups) > 1:
        own = groups[_first_group(groups, train.period)]
        late = [_lateness(group, own, train.period) for group in groups]
        doubles = max(map(abs, late)) <= DOUBLED * train.period
        if doubles:  # each shows its volume, even if its twin was lost
            own = np.sort(np.concatenate([group - by for group, by in zip(groups, late, strict=True)]))
        found = _fitted(label, own, tr, train.period, float(own[0]), rounding)
        if found is None:
            return None
        whole = all(0 <= group[end] - own[end] < train.period for group in groups for end in (0, -1))
        per_volume = 1 if doubles else len(groups)
        train = replace(found, n_markers=len(times), per_volume=per_volume, torn=not (doubles or whole), inside=0)
    on_slots = train.per_volume * len(train.slots) + train.doubled
    if on_slots < SHARE * len(times) or train.step > (LONGEST_STEP if trusted and train.per_volume == 1 else 1):
        return None
    enough = max(ALONE, SHARE * train.spanned) if n_volumes is None else max(FEWEST, SHARE * n_volumes)
    return train if trusted or len(train.slots) >= enough else None


def ranked(trains: Iterable[Train], expected: Collection[int]) -> list[Train]:
    """Sort trains, the scanner's first: known labels in their order, then trains of the expected number of volumes."""
    return sorted(trains, key=lambda train: (*rank(train, expected), -len(train.slots), train.astray))


def rank(train: Train, expected: Collection[int]) -> tuple[int, bool, int, int]:
    """Rank a train among others; two of equal rank fit equally well.

    Parameters
    ----------
    train : markers of one label.
    expected : numbers of volumes that they may span, the BOLD file's and with discarded ones; empty if there is no BOLD
        file. A known label with fewer than half of them (10) comes after the other known ones.
    """
    weak = len(train.slots) * train.step < (SHARE * min(expected) if expected else ALONE)
    place = _known_place(train.label) + len(KNOWN) * weak if is_known(train.label) else 2 * len(KNOWN)
    return place, bool(expected) and train.spanned not in expected, train.per_volume, train.step


def alike(one: Train, other: Train) -> bool:
    """Return whether two trains put the volumes at the same times."""
    return one.spanned == other.spanned and abs(one.first - other.first) <= JITTER_S


def _plain(description: str) -> str:
    return re.sub(r"\s+", "", description).strip("/")


def _known_place(label: str) -> int:
    return next((place for place, name in enumerate(KNOWN) if is_label(label, name)), len(KNOWN))


def _densest(times: np.ndarray, tr: float, within: float) -> tuple[float, float]:
    """Find the period near `tr` and the phase (s) of the rhythm that most markers keep."""
    around = (times - times[0] + tr / 2) % tr
    if np.ptp(around) <= within:  # the usual case: all in the rhythm of the exact TR
        return tr, float(times[0] - tr / 2 + around.mean())
    reach = max(float(times[-1] - times[0]), tr)
    periods = tr * (1 + np.linspace(-DRIFT, DRIFT, int(np.ceil(2 * DRIFT * reach / within)) | 1))
    best = 0
    found: list[tuple[float, float]] = []
    for period in periods:
        phases = np.sort((times - times[0]) % period)
        circle = np.concatenate([phases, phases + period])
        counts = np.searchsorted(circle, phases + 2 * within, side="right") - np.arange(len(phases))
        place = int(np.argmax(np.minimum(counts, len(phases))))
        count = min(int(counts[place]), len(phases))
        if count > best:
            best, found = count, []
        if count == best:
            found.append((period, float(times[0] + circle[place : place + count].mean())))
    return found[len(found) // 2]  # periods whose difference the markers cannot show


def _fitted(label: str, times: np.ndarray, tr: float, period: float, phase: float, rounding: float) -> Train | None:
    """Fit a train along the line through most markers; of several markers of a slot take the nearest to it."""
    within = JITTER_S + rounding
    for earliest in (True, False, False):
        numbers = np.rint((times - phase) / period).astype(int)
        distance = np.abs(times - phase - period * numbers)
        order = np.lexsort((times if earliest else distance, numbers))
        order = order[distance[order] <= within]
        chosen = np.sort(order[np.unique(numbers[order], return_index=True)[1]])
        if not len(chosen):
            return None
        period, phase = _line(numbers[chosen], times[chosen], tr, rounding)
    slots = numbers[chosen]
    near = np.isin(numbers, slots) & (distance <= DOUBLED * period)
    doubled = int(near.sum()) - len(slots)
    gaps = np.diff(slots)
    within_run = (numbers >= slots[0]) & (numbers <= slots[-1])
    return Train(
        label,
        first=phase + period * int(slots[0]),
        period=period,
        slots=slots - slots[0],
        observed=times[chosen],
        n_markers=len(times),
        step=int(np.gcd.reduce(gaps)) if len(gaps) else 1,
        doubled=doubled,
        astray=len(times) - len(slots) - doubled,
        inside=int((within_run & ~near).sum()),
    )


def _line(numbers: np.ndarray, times: np.ndarray, tr: float, rounding: float) -> tuple[float, float]:
    """Return period and phase of the line through markers; keep the nominal TR if rounding explains the residuals."""
    period, phase = tr, float(np.median(times - tr * numbers))
    for _ in range(3):
        left = np.abs(times - phase - period * numbers)
        if period == tr and np.mean(left <= 2 * rounding + 1e-9) >= 0.9:
            break
        kept = left <= max(2 * rounding, 4.5 * float(np.median(left)))  # 3 robust deviations
        if len(np.unique(numbers[kept])) < FEWEST:
            break
        slope, start = np.polyfit(numbers[kept], times[kept], 1)
        period, phase = float(slope), float(start)
    return period, phase


def _groups(times: np.ndarray, train: Train, rounding: float) -> list[np.ndarray]:
    """Group markers by their place in the volume, if nearly every volume has one at each; in order of place."""
    around = (times - train.first) % train.period
    places = np.sort(around)
    pauses = np.diff(places, prepend=places[-1] - train.period)
    around = (around - places[pauses.argmax()]) % train.period  # no group crosses the end of the circle
    order = np.argsort(around, kind="stable")
    joins = np.flatnonzero(np.diff(around[order]) > JITTER_S / 10 + 2 * rounding) + 1
    groups = [np.sort(times[part]) for part in np.split(order, joins)]

    def everywhere(group: np.ndarray) -> bool:
        volumes = np.floor((group - train.first) / train.period + 0.01)
        return bool(np.isin(train.slots, volumes).mean() >= 0.8)

    full = [group for group in groups if everywhere(group)]
    return full if sum(map(len, full)) >= 0.9 * len(times) else []


def _first_group(groups: list[np.ndarray], period: float) -> int:
    """Mark the markers that start a volume: those after its longest pause or, without a pause, the very first."""
    offsets = [(group - groups[0][0] + period / 2) % period for group in groups]
    places = np.array([np.median(offset) for offset in offsets])
    pauses = (places - np.roll(places, 1)) % period
    if pauses.max() > 1.2 * np.median(np.delete(pauses, pauses.argmax())):
        return int(pauses.argmax())
    return int(np.argmin([group[0] for group in groups]))


def _lateness(group: np.ndarray, first: np.ndarray, period: float) -> float:
    """Return the seconds from the first markers of volumes to others of them."""
    return float(np.median((group - first[0] + period / 2) % period) - period / 2)


def left_over(train: Train, times: np.ndarray) -> np.ndarray:
    """Return markers of a train's label that are outside of its run, and neither on its slots nor beside them."""
    if train.per_volume > 1:
        return np.empty(0)
    numbers = np.rint((times - train.first) / train.period)
    off = np.abs(times - train.first - train.period * numbers)
    return times[~(np.isin(numbers, train.slots) & (off <= DOUBLED * train.period))]
