"""`.bidsignore`: names of raw files that are left out, in the syntax of `.gitignore`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from eeg2fmri.datasets.files import read_text
from eeg2fmri.errors import DatasetError


def bidsignore(root: Path) -> Any:
    """Return a test of whether `.bidsignore` (syntax of `.gitignore`) names a file (its path below `root`)."""
    file = root / ".bidsignore"
    try:
        lines = read_text(file).splitlines() if file.exists() else []
    except (OSError, ValueError) as err:
        raise DatasetError(f"{file}: cannot be read ({err}); correct it") from err
    rules = [
        (line.startswith("!"), _pattern(line.lstrip("!"))) for line in map(str.strip, lines) if line[:1] not in "#"
    ]

    def ignored(path: str) -> bool:
        verdicts = [not keep for keep, pattern in rules if pattern.fullmatch(path)]
        return bool(verdicts and verdicts[-1])

    return ignored


def _pattern(line: str) -> re.Pattern[str]:
    anchored = "/" in line.rstrip("/")
    globs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[!^]?[^]/]+\])", line.strip("/"))
    text = "".join(globs.get(part) or (_class(part) if part[:1] == "[" else re.escape(part)) for part in parts)
    try:
        return re.compile(f"{'' if anchored else '(?:.*/)?'}{text}(?:/.*)?")
    except re.error as err:
        raise DatasetError(f".bidsignore: {line!r} is no pattern ({err}); correct it") from err


def _class(part: str) -> str:
    """Translate a class of characters such as ``[0-3]`` or ``[!a]`` into a regular expression."""
    inside = part[1:].rstrip("]").replace("\\", r"\\").replace("[", r"\[")
    return f"[^{inside[1:]}]" if inside[:1] in ("!", "^") else f"[{inside}]"
