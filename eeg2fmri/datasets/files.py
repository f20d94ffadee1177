"""Small files of a dataset: JSON sidecars, tables, and links to content that is not on this disk."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from eeg2fmri.errors import DatasetError, one_line

ANNEX_POINTER = b"/annex/objects/"  # the pointer that git-annex leaves for an unlocked file


def check_fetched(path: Path) -> None:
    """Refuse a file whose content is not on this disk.

    Raises
    ------
    DatasetError
        If `path` is a git-annex link or pointer without its content, or does not exist.
    """
    missing = not path.exists()
    if missing and not path.is_symlink():
        raise DatasetError(f"{path}: no such file; fetch it again")
    try:
        with path.open("rb") as file:
            pointer = file.read(len(ANNEX_POINTER)) == ANNEX_POINTER
    except OSError as err:
        if not missing:
            raise DatasetError(f"{path}: cannot be read ({err.strerror})") from err
        pointer = "annex" in str(path.readlink())
        if not pointer:
            raise DatasetError(f"{path}: a link to {path.readlink()}, which does not exist; fetch it again") from err
    if pointer:
        raise DatasetError(f"{path}: its content was never fetched (git-annex), run: datalad get {path}")


def read_text(path: Path) -> str:
    """Read text in UTF-8, with or without a byte-order mark, in UTF-16 with one, else in latin-1.

    Raises
    ------
    ValueError
        If it is no text: it contains zeros, as UTF-16 without a byte-order mark does.
    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        text = content.decode("utf-32")
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:  # of an old export
            text = content.decode("latin-1")
    if "\0" in text:
        raise ValueError("it contains zeros, as UTF-16 does without a byte-order mark; save it as UTF-8")
    return text


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON sidecar; a damaged one is a `DatasetError`."""
    check_fetched(path)
    try:
        content = json.loads(read_text(path))
    except (OSError, ValueError) as err:
        raise DatasetError(f"{path}: not a readable JSON sidecar ({one_line(err)})") from err
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: a JSON object is expected, found {type(content).__name__}")
    return content


def read_merged(paths: tuple[Path, ...]) -> dict[str, Any]:
    """Merge sidecars from the least to the most specific; a later one's keys win (BIDS inheritance)."""
    merged: dict[str, Any] = {}
    for path in paths:
        merged.update(read_json(path))
    return merged


def read_table(path: Path, columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read the rows of a BIDS table; column names become lower case.

    Tables of some published datasets are separated by runs of blanks instead of tabs.

    Raises
    ------
    DatasetError
        If the file cannot be read, a row has another number of columns than the header, or one of
        `columns` is missing.
    """
    check_fetched(path)
    try:
        rows = _cells(read_text(path))
    except (OSError, ValueError, csv.Error) as err:
        raise DatasetError(f"{path}: not a readable table ({one_line(err)}); fetch it again, or correct it") from err
    if not rows:
        raise DatasetError(f"{path}: not a readable table (it is empty); fetch it again")
    header = [name.lower() for name in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DatasetError(f"{path}: row {number} has {len(row)} columns, {len(header)} are expected; correct it")
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise DatasetError(f"{path}: column {', '.join(twice)} is there more than once; leave one")
    if not set(columns) <= set(header):
        raise DatasetError(f"{path}: columns {' and '.join(columns)} are expected, found {header}")
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def _cells(text: str) -> list[list[str]]:
    """Read rows of cells; cells may be quoted, and lines may end as on any system."""
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    if lines and "\t" not in lines[0]:
        rows = [re.split(r"\s{2,}|\t", line.rstrip()) for line in lines]
    else:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
            if "".join(row).strip()
        ]
    return [[cell.strip() for cell in row] for row in rows]
