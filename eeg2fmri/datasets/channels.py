"""Types and states of channels, and the channels that recordings share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eeg2fmri.datasets.files import read_table
from eeg2fmri.errors import DatasetError

QUOTES = "'\"‘’`´"
# Formats without a channel type (BrainVision, EDF) show it in the name, or not at all.
# Part of an ECG's name may be its input: "EEG EKG-Ref", "BIP1_ECG".
NAMED_TYPES = {"ecg": r"(?:.*[^a-z])?e[ck]g|heart", "resp": r"resp", "eog": r".?eog", "emg": r"emg"}


def common_channels(
    sets: Sequence[tuple[str, Sequence[str]]],
) -> tuple[tuple[str, ...], dict[str, dict[str, tuple[str, ...]]]]:
    """Find the channels that every recording has, by name.

    Parameters
    ----------
    sets : (name of the recording, its channels).

    Returns
    -------
    the common channels, in the order of the first recording, and for every recording that differs:
    ``lacks`` (channels of the first that it does not have) and ``extra`` (its channels that are not
    common and not in the first). The first is listed with the channels that others lack, as ``extra``.

    Raises
    ------
    DatasetError
        If no channel is common to all.
    """
    first_name, first = sets[0]
    shared = set(first).intersection(*(names for _, names in sets[1:]))
    common = tuple(name for name in first if name in shared)
    if not common:
        raise DatasetError(f"{first_name}: none of its channels is in all {len(sets)} recordings; rename channels")
    differences = {}
    for name, names in sets:
        lacks = tuple(channel for channel in first if channel not in names)
        extra = tuple(c for c in names if c not in shared and (name == first_name or c not in first))
        if lacks or extra:
            differences[name] = {"lacks": lacks, "extra": extra}
    return common, differences


def foreign_channels(eeg: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Explain by name why recordings are left out: they lack over half of the EEG channels that most have."""
    own = {name: set(channels) for name, channels in eeg.items()}
    counts = Counter(channel for channels in own.values() for channel in channels)
    most = {channel for channel, count in counts.items() if 2 * count > len(own)}
    return {
        name: f"has {len(most & channels)} of the {len(most)} EEG channels that most recordings have "
        f"({', '.join(sorted(channels)[:3])}, …, expected {', '.join(sorted(most)[:3])}, …); rename its channels"
        for name, channels in own.items()
        if 2 * len(most & channels) < len(most)
    }


def named_type(name: str, kind: str) -> str:
    """Return the type of a channel by its name if its format gives no better one than `kind`."""
    if kind in ("eeg", "misc"):
        for named, pattern in NAMED_TYPES.items():
            if re.match(rf"(?:{pattern})", name, re.IGNORECASE):
                return named
    return kind


@dataclass(frozen=True)
class Described:
    """Channels by a channel table: one type (lower case) and unit (as written, or empty) per channel of the file."""

    types: tuple[str, ...]
    units: tuple[str, ...]
    bads: tuple[str, ...]
    notes: tuple[str, ...]


def described_channels(names: tuple[str, ...], path: Path, *, strict: bool) -> Described:
    """Return types, units and bad channels from a BIDS channel table; names may be quoted or in another case.

    A channel is of type ``n/a`` if the table does not describe it or gives no type; a note says so.

    Raises
    ------
    DatasetError
        If the table does not fit the file, contradicts itself, or gives the type EEG to a channel named ECG.
    """
    spelled = {name.casefold(): name for name in names}
    rows: dict[str, dict[str, str]] = {}
    for row in read_table(path, ("name", "type")):
        name = row["name"] if row["name"] in names else row["name"].strip(QUOTES)
        name = name if name in names else spelled.get(name.casefold(), name)
        if rows.setdefault(name, row) != row:
            raise DatasetError(f"{path}: two rows describe {name} differently; keep one of them")
    if strict and (unknown := rows.keys() - set(names)):
        raise DatasetError(f"{path}: channels {sorted(unknown)[:4]} are not in the EEG file; correct their names")
    eeg = [name for name, row in rows.items() if row["type"].lower() == "eeg"]
    if not set(eeg or rows) & set(names):
        raise DatasetError(
            f"{path}: none of its {'EEG ' if eeg else ''}channels ({few(eeg or [*rows])}) is in the EEG file, which "
            f"has {few(names)}; rename them"
        )
    if hearts := [name for name in eeg if named_type(name, "eeg") == "ecg"]:
        raise DatasetError(
            f"{path}: {few(hearts)} has the type EEG, but the name of an ECG; give it the type ECG or rename it"
        )
    types = tuple(rows[name]["type"].lower() if name in rows else "n/a" for name in names)
    units = tuple(rows.get(name, {}).get("units", "") for name in names)
    bads = tuple(name for name in names if rows.get(name, {}).get("status", "").lower() == "bad")
    missing = [name for name in names if name not in rows]
    unnamed = [name for name in names if name in rows and rows[name]["type"].lower() in ("n/a", "")]
    notes = [f"{path.name} does not describe {few(missing)}: type n/a"] if missing else []
    notes += [f"{path.name} gives no type for {few(unnamed)}: not used as EEG"] if unnamed else []
    return Described(types, units, bads, tuple(notes))


def few(names: Sequence[str]) -> str:
    """Join the first names of a list, and say how many there are."""
    return ", ".join(names[:4]) + (f", … ({len(names)})" if len(names) > 4 else "")
