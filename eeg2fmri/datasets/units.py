"""Units of channels: from the file or its table; a channel without a unit is refused.

MNE 1.13 converts the numbers of a file to volts if it knows their unit. Numbers of every other unit it returns
unchanged (BrainVision makes such channels ``misc``). So the headers of BrainVision, EDF and BDF are read again here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.datasets.channels import few

MICROVOLTS = {"V": 1e6, "mV": 1e3, "µV": 1.0, "nV": 1e-3}
ELECTRIC = ("eeg", "ecg", "eog", "emg")
# Characters that are not ASCII, or ``?``, before the V are a micro sign with a lost code page: no
# other prefix of a unit is written so.
_VOLTAGES = {
    "µV": r"(?i:u|µ|μ|micro)[ -]?(?i:v|volts?)|[^\x00-\x7f]{1,4}[vV]|\?V",
    "mV": r"m[vV]|(?i:milli[ -]?(v|volts?))",
    "nV": r"(?i:nv|nano[ -]?(v|volts?))",
    "V": r"(?i:v|volts?)",
}
_USUAL = ("µV", "μV", "uV", "mV", "nV", "V")
_UNSTATED = ("", "n/a", "na", "unknown", "none", "-", "?")
# Other quantities that amplifiers write: temperature, conductance, breathing, force, acceleration, pulse, pressure.
_OTHERS = (
    "c",
    "°c",
    "degc",
    "k",
    "s",
    "µs",
    "us",
    "ms",
    "aru",
    "n",
    "g",
    "m/s",
    "bpm",
    "hz",
    "%",
    "mmhg",
    "kpa",
    "boolean",
)


@dataclass(frozen=True)
class ChannelUnit:
    """The unit of one channel, by its file.

    stated: as the file writes it, or empty.  reader: the factor by which the reader multiplies the file's numbers.
    default: unit that the format's documentation gives to a channel without one, or empty.
    fixed: the format knows no other unit, so a table with another unit is not about this file's numbers.
    fault: the reason why no unit helps, or empty.
    """

    stated: str
    reader: float
    default: str = ""
    fault: str = ""
    fixed: bool = False


@dataclass(frozen=True)
class Scales:
    """Scales of the channels: µV per number of the reader; the fault of each channel, or empty. notes: lines.

    A channel that is not judged is read in the numbers of its file.
    """

    factors: np.ndarray
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def voltage(text: str) -> str:
    """Return the key of `MICROVOLTS` that a written unit means, or empty."""
    text = text.strip(" \0")
    return next((unit for unit, pattern in _VOLTAGES.items() if re.fullmatch(pattern, text)), "")


def microvolts(text: str) -> float | None:
    """Return the µV of one unit as it is written; ``None`` for a text that is no voltage."""
    return MICROVOLTS.get(voltage(text))


def _is_unstated(text: str) -> bool:
    return text.strip().lower() in _UNSTATED


def is_other(text: str) -> bool:
    """Return whether a unit is that of another quantity than a voltage."""
    return text.strip().lower() in _OTHERS


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[\d.eE+-]*\d", text))


def file_units(path: Path, raw: Any) -> tuple[ChannelUnit, ...]:
    """Return the units of the channels of an MNE recording.

    BrainVision's format gives µV to a channel without unit and EEGLAB's documentation to every channel; FIF holds
    volts; EDF and BDF have no default.
    """
    suffix = path.suffix.lower()
    if suffix == ".vhdr":
        texts = _brainvision_units(path)
        return tuple(
            ChannelUnit(
                text := texts.get(row, ""),
                float(channel["range"]),
                "µV",
                f"its resolution in the header has a decimal comma (…,{text},…); write a point"
                if _is_number(text)
                else "",
            )
            for row, channel in enumerate(raw.info["chs"])
        )
    if suffix in (".edf", ".bdf"):
        fields, kept = _edf_units(path), raw._raw_extras[0]  # of all channels; MNE keeps some, in other units
        gains = zip(kept["sel"], kept["units"], strict=True)
        return tuple(ChannelUnit(fields[row][0], float(gain), "", fields[row][1]) for row, gain in gains)
    if suffix == ".set":
        return (ChannelUnit("", 1e-6, "µV"),) * len(raw.ch_names)
    return tuple(ChannelUnit("V" if kind in ELECTRIC else "", 1.0, fixed=True) for kind in raw.get_channel_types())


def type_by_unit(kind: str, unit: ChannelUnit) -> str:
    """Return the type of a channel if its format has no types: MNE's `kind` depends on the units that it knows."""
    if kind == "eeg" and is_other(unit.stated):
        return "misc"
    return "eeg" if kind == "misc" and not (is_other(unit.stated) or _is_unstated(unit.stated)) else kind


def scales(
    names: Sequence[str], types: Sequence[str], units: Sequence[ChannelUnit], table: Sequence[str], table_name: str
) -> Scales:
    """Bring the units of file and table together.

    Parameters
    ----------
    names, types, units : of the channels; types in lower case. Only EEG, ECG, EOG and EMG are judged.
    table : the units by a channel table, empty if it gives none.
    table_name : of that table, for messages.
    """
    factors, faults = np.array([1 / unit.reader for unit in units]), [""] * len(names)
    remarks: dict[str, list[str]] = {}
    for row, (kind, unit, said) in enumerate(zip(types, units, table, strict=True)):
        if kind not in ELECTRIC:
            continue
        found, faults[row] = _one_unit(unit, said, table_name)
        if faults[row]:
            continue
        factors[row] = MICROVOLTS[found] / unit.reader
        if unit.fixed and voltage(said) not in ("", found):
            remarks.setdefault(f"{table_name} says {said}; the format of the file holds {found}", []).append(names[row])
        if remark := _remark(unit, found, table_name):
            remarks.setdefault(remark, []).append(names[row])
    return Scales(factors, tuple(faults), tuple(f"{few(rows)}: {remark}" for remark, rows in remarks.items()))


def _one_unit(unit: ChannelUnit, said: str, table_name: str) -> tuple[str, str]:
    """Return the unit of a channel, or the reason why there is none."""
    stated, told = voltage(unit.stated), voltage(said)
    if unit.fault:
        return "", unit.fault
    if is_other(unit.stated) or is_other(said):
        text, where = (unit.stated, "the file") if is_other(unit.stated) else (said, table_name)
        return "", f"the unit in {where} is {text.strip()}, which is no voltage; give another type in channels.tsv"
    if stated and told and stated != told and not unit.fixed:
        factor = f"{max(MICROVOLTS[stated] / MICROVOLTS[told], MICROVOLTS[told] / MICROVOLTS[stated]):.0e}"
        return "", (
            f"the file gives the unit {stated} and {table_name} gives {told}, a factor of "
            f"{factor.replace('e+0', 'e')}; correct the wrong one"
        )
    if stated or told:
        return stated or told, ""
    if _is_unstated(unit.stated) and _is_unstated(said) and unit.default:
        return unit.default, ""
    text = said if _is_unstated(unit.stated) else unit.stated
    problem = "no unit is stated" if _is_unstated(text) else f"the unit {text.strip()!r} is not known"
    return "", f"{problem}; write it (uV, mV, V or nV) into the column units of channels.tsv"


def _remark(unit: ChannelUnit, found: str, table_name: str) -> str:
    """Note how a unit was found if a user should know; return empty text for the normal case."""
    text = unit.stated.strip()
    if voltage(text):
        return "" if text in _USUAL else f"the unit {text!r} of the file is read as {found}"
    return "" if found == unit.default else f"{table_name} gives the unit {found}"


def _brainvision_units(path: Path) -> dict[int, str]:
    """Read units from the header of a BrainVision recording, by channel index; leave out blank ones."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:  # of an old export
        text = content.decode("latin-1")
    entries = text.lower().find("[channel infos]")
    section = re.split(r"(?m)^\s*\[", text[entries + 1 :])[0]
    units = {}
    for match in re.finditer(r"(?mi)^\s*ch(\d+)\s*=(.*)$", section):
        fields = match[2].split(",")
        if len(fields) > 3 and fields[3].strip():
            units[int(match[1]) - 1] = fields[3].strip()
    return units


def _edf_units(path: Path) -> list[tuple[str, str]]:
    """Read the physical dimension of every signal of an EDF or BDF file, and the fault of its range.

    Kemp et al. 1992, Electroencephalogr. Clin. Neurophysiol. 82:391: the header holds 256 bytes, then field by
    field for all signals: label (16 bytes), transducer (80), dimension, physical and digital limits (8 each).
    """
    with path.open("rb") as file:
        count = int(file.read(256)[252:])
        file.seek(96 * count, 1)
        columns = [[file.read(8).decode("latin-1").strip(" \0") for _ in range(count)] for _ in range(5)]
    found = []
    for unit, *limits in zip(*columns, strict=True):
        empty = limits[0] == limits[1] or limits[2] == limits[3]
        fault = f"its range in the header is empty ({' to '.join(limits[:2])}, digital {' to '.join(limits[2:])})"
        found.append((unit, f"{fault}; export the file again" if empty else ""))
    return found
