"""Types and states of channels, and the channels that recordings share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from eeg2fmri.datasets.files import read_table
from eeg2fmri.errors import DatasetError

QUOTES = "'\"‘’`´"
# Formats without a channel type (BrainVision, EDF) tell it by the name, if at all.
NAMED_TYPES = {"ecg": r"ecg|ekg", "eog": r".?eog", "emg": r"emg"}


def common_channels(
    sets: Sequence[tuple[str, Sequence[str]]],
) -> tuple[tuple[str, ...], dict[str, dict[str, tuple[str, ...]]]]:
    """Channels that every recording has, by name.

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
        raise DatasetError(f"{first_name}: no channel of it is in all of {len(sets)} recordings; name channels alike")
    differences = {}
    for name, names in sets:
        lacks = tuple(channel for channel in first if channel not in names)
        extra = tuple(c for c in names if c not in shared and (name == first_name or c not in first))
        if lacks or extra:
            differences[name] = {"lacks": lacks, "extra": extra}
    return common, differences


def named_type(name: str, kind: str) -> str:
    """Type of a channel by its name, where its format gives no better one than `kind`."""
    if kind in ("eeg", "misc"):
        for named, pattern in NAMED_TYPES.items():
            if re.match(rf"(?:{pattern})", name, re.IGNORECASE):
                return named
    return kind


def described_channels(
    names: tuple[str, ...], path: Path, *, strict: bool
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Types and bad channels by a BIDS channel table, whose names may be quoted or in another case.

    A channel that the table does not describe is of type ``n/a``; a note, the third part, says so.
    """
    spelled = {name.casefold(): name for name in names}
    rows = {}
    for row in read_table(path, ("name", "type")):
        name = row["name"] if row["name"] in names else row["name"].strip(QUOTES)
        rows[name if name in names else spelled.get(name.casefold(), name)] = row
    if strict and (unknown := rows.keys() - set(names)):
        raise DatasetError(f"{path}: channels {sorted(unknown)[:4]} are not in the EEG file")
    eeg = [name for name, row in rows.items() if row["type"].lower() == "eeg"]
    if not set(eeg or rows) & set(names):
        raise DatasetError(
            f"{path}: none of its {'EEG ' if eeg else ''}channels ({_few(eeg or [*rows])}) is in the EEG file, which "
            f"has {_few(names)}; rename"
        )
    types = tuple(rows[name]["type"].lower() if name in rows else "n/a" for name in names)
    bads = tuple(name for name in names if rows.get(name, {}).get("status", "").lower() == "bad")
    missing = [name for name in names if name not in rows]
    notes = (f"{path.name} does not describe {_few(missing)}: type n/a",) if missing else ()
    return types, bads, notes


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", … ({len(names)})" if len(names) > 4 else "")
