"""``eeg2fmri inspect``: the table of a dataset's recordings."""

from __future__ import annotations

import json
from pathlib import Path

from eeg2fmri.config import DatasetConfig
from eeg2fmri.errors import DatasetError

COLUMNS = ("recording", "status", "channels", "Hz", "EEG s", "TR s", "volumes", "grid", "alignment", "BOLD starts")


def inspect(root: Path, config: DatasetConfig, *, as_json: bool) -> None:
    """Print what a dataset holds.

    Raises
    ------
    DatasetError
        If nothing of it is usable (after printing), or `survey` refuses it.
    """
    from eeg2fmri.datasets import survey

    overview = survey(root, config)
    if as_json:
        print(json.dumps(overview.to_dict(), indent=2))
    else:
        rows = [_cells(row) for row in overview.to_dict()["recordings"]]
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        for cells in (COLUMNS, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        print(f"{overview.usable} of {len(rows)} recordings usable")
        for line in overview.differences:
            print(f"not alike: {line}")
        for path, problem in overview.problems:
            print(f"{path}: {problem}")
    if not overview.usable:
        raise DatasetError(f"{root}: nothing usable; the lines above say why for each file")


def _cells(row: dict) -> list[str]:
    kinds = row["channels"] or {}
    start = row["bold_start"]
    grid = "×".join(map(str, row["grid"])) if row["grid"] else ""
    numbers = [_number(row[key]) for key in ("sampling_rate", "eeg_seconds", "tr", "volumes")]
    channels = " ".join(f"{count} {kind}" for kind, count in kinds.items())
    clock = "" if start is None else f"{start:g} s"
    return [row["recording"], row["status"], channels, *numbers, grid, row["alignment"] or "", clock]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
