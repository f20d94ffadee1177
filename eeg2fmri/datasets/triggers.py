"""Trigger channels: the rises of their value or of one of their bits.

BDF files carry the trigger inputs as the bits of a channel ``Status``, EDF and FIF files as channels of type
stim. A scanner's input may be high while others are, so single bits are read too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

BITS = 16  # trigger inputs; higher bits of a BDF's Status are states of the amplifier
BLOCK = 1_000_000  # samples read at a time


def trigger_changes(raw: Any, voltages: Collection[str] = ()) -> list[tuple[int, str]]:
    """Find the rises of every trigger channel of an MNE recording: sample of the file, and what rises.

    Parameters
    ----------
    raw : the recording.
    voltages : names of channels that record a trigger input as a voltage.

    Returns
    -------
    Descriptions are ``Status/128`` for a value, ``Status/bit 7`` for a bit, ``AUX/AUX high`` for a voltage, and
    ``Status/any value`` for each value of a channel that has several, as one that counts the volumes.
    """
    found = []
    for index, (name, kind) in enumerate(zip(raw.ch_names, raw.get_channel_types(), strict=True)):
        if kind == "stim":
            rises = _rises(np.rint(_read(raw, index)).astype(np.int64))
        elif name in voltages:
            course = _read(raw, index)
            high = course > (course.min() + course.max()) / 2
            rises = ((int(place) + 1, f"{name} high") for place in np.flatnonzero(high[1:] & ~high[:-1]))
        else:
            continue
        found += [(sample, f"{name}/{what}") for sample, what in rises]
    return found


def _read(raw: Any, index: int) -> np.ndarray:
    """Read a channel as the file has it, (n,)."""
    parts = [
        raw.get_data([index], start, min(start + BLOCK, raw.n_times), verbose="error")[0]
        for start in range(0, raw.n_times, BLOCK)
    ]
    return np.concatenate(parts)


def _rises(course: np.ndarray) -> Iterator[tuple[int, str]]:
    course = course & ((1 << BITS) - 1)
    places = np.flatnonzero(np.diff(course)) + 1
    before, after = course[places - 1], course[places]
    for place, value in zip(places[after != 0], after[after != 0], strict=True):
        yield int(place), str(value)
    if len(np.unique(after[after != 0])) > 1:
        for place in places[after != 0]:
            yield int(place), "any value"
    for bit in range(BITS):
        for place in places[((after & ~before) >> bit & 1) == 1]:
            yield int(place), f"bit {bit}"
