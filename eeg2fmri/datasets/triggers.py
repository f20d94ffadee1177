"""Trigger channels: where their value or one of their bits rises.

BDF files carry the trigger inputs as the bits of a channel ``Status``, EDF and FIF files as channels of type
stim. A scanner's input may be high while others are, so bits are looked at one by one too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

BITS = 16  # trigger inputs; higher bits of a BDF's Status tell of the amplifier itself
BLOCK = 1_000_000  # samples read at a time


def trigger_changes(raw: Any) -> list[tuple[int, str]]:
    """Rises of every trigger channel of an MNE recording: sample of the file, and the new value or the bit.

    Descriptions are ``Status/128`` for a value and ``Status/bit 7`` for a bit.
    """
    found = []
    for index, kind in enumerate(raw.get_channel_types()):
        if kind == "stim":
            name = raw.ch_names[index]
            found += [(sample, f"{name}/{what}") for sample, what in _rises(_read(raw, index))]
    return found


def _read(raw: Any, index: int) -> np.ndarray:
    """A trigger channel as whole numbers, (n,)."""
    parts = [
        np.rint(raw.get_data([index], start, min(start + BLOCK, raw.n_times), verbose="error")[0]).astype(np.int64)
        for start in range(0, raw.n_times, BLOCK)
    ]
    return np.concatenate(parts)


def _rises(course: np.ndarray) -> Iterator[tuple[int, str]]:
    course = course & ((1 << BITS) - 1)
    places = np.flatnonzero(np.diff(course)) + 1
    before, after = course[places - 1], course[places]
    for place, value in zip(places[after != 0], after[after != 0], strict=True):
        yield int(place), str(value)
    for bit in range(BITS):
        for place in places[((after & ~before) >> bit & 1) == 1]:
            yield int(place), f"bit {bit}"
