"""Errors that a user can correct, and the exit status of a command that ends with each.

Every message is one line: what was found (with its file or key), what was expected, what to do.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Iterator

# `user:password@` or `token@` after `//`, up to the last `@` of the word: a password may hold any sign. `host:1234/…@`
# reads the same as a password of digits and a slash, so both go, except pages of MLflow, `host:1234/#…`.
_PASSWORD = re.compile(r"(?<=://)[^\s/]*:(?!\d+/#)\S*@")
_SECRET = re.compile(rf"{_PASSWORD.pattern}|(?<=://)[^\s/]+@")
_OPTION = re.compile(r"([?&][\w-]*(?:password|passwd|pwd|token|secret|key)[\w-]*=)[^&\s'\"]+", re.IGNORECASE)
# Options behind a port: an `@` in them is no end of a password, `host:5432/db?user=me@lab`.
_BEHIND_PORT = re.compile(r"(:\d{1,5}(?:/[^\s?@]*)?)\?[\w-]+=\S*")
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_SPACE_TEXTS = ("No space left on device", "disk is full", "Disk quota exceeded", "File too large")


def without_secrets(text: str) -> str:
    """Return the text without user names, passwords and tokens in its addresses."""
    return _OPTION.sub(r"\1***", _SECRET.sub("", text))


def holds_password(address: str) -> bool:
    """Say whether the address of a database has a password, before its host or in its options."""
    before = _PASSWORD.search(_BEHIND_PORT.sub(r"\1", address))
    return bool(before or re.search(r"[?&]\w*passw\w*=", address, re.IGNORECASE))


class Eeg2FmriError(Exception):
    """Base of every error raised on purpose; `exit_code` is the command's exit status.

    Its message never shows a password of an address.
    """

    exit_code = 2

    def __init__(self, *args: object) -> None:
        super().__init__(*(without_secrets(arg) if isinstance(arg, str) else arg for arg in args))


class ConfigError(Eeg2FmriError, ValueError):
    """A configuration, an override or a command-line value is not valid."""


class DatasetError(Eeg2FmriError, ValueError):
    """A dataset or one of its files cannot be used."""


class AlignmentError(DatasetError):
    """EEG and BOLD of a recording cannot be put on one clock."""


class IncompleteError(DatasetError):
    """Some recordings of a dataset cannot be used; the others are done."""

    exit_code = 1


class StoreError(Eeg2FmriError, ValueError):
    """A store is missing, damaged, or was made with other settings."""


class LeakageError(Eeg2FmriError, ValueError):
    """Data of one subject would be used both to fit and to score a model."""


class SpecError(Eeg2FmriError, ValueError):
    """An architecture specification does not fit the shape of its input."""


class EvaluationError(Eeg2FmriError, ValueError):
    """Recordings cannot be scored: shapes differ, or a score is not defined for them."""


class FigureError(Eeg2FmriError, ValueError):
    """Values cannot be drawn: shapes differ, or they are not finite."""


class ModelError(Eeg2FmriError, LookupError):
    """A model, version, alias or checkpoint is missing or does not fit."""


class DivergenceError(Eeg2FmriError, ArithmeticError):
    """A fit gave no usable model."""

    exit_code = 1


class RequestError(Eeg2FmriError, ValueError):
    """A request to a served model is not valid."""


class MemoryLimitError(RequestError):
    """A request to a served model needs more memory than it may take."""


class ServerError(Eeg2FmriError, ConnectionError):
    """A served model does not answer, or fails."""


class StreamError(Eeg2FmriError, ConnectionError):
    """A live stream is missing or lost, or its times cannot be used."""

    exit_code = 1


class TrackingError(Eeg2FmriError, ConnectionError):
    """The tracking server does not answer, or answers wrongly."""


class BusyError(Eeg2FmriError, RuntimeError):
    """Another process is using what only one may use at a time."""


class DiskFullError(Eeg2FmriError, OSError):
    """There is no space to write; nothing half-written counts, and the same command continues."""


class MissingExtraError(Eeg2FmriError, ImportError):
    """An optional dependency is needed and not installed."""


class GateRefusal(Eeg2FmriError):
    """A model version does not pass the promotion gate."""

    exit_code = 1


def one_line(err: BaseException) -> str:
    """Return an error as one line: its message, and the kind of an error from elsewhere; not too long."""
    if isinstance(err, Eeg2FmriError):
        return " ".join(str(err).split())
    return " ".join(without_secrets(f"{type(err).__name__}: {err}").split())[:300]


def counted(remarks: Iterable[tuple[object, str]]) -> list[str]:
    """Return one line for each remark: the first file that it is about, how many others, and the remark."""
    places: dict[str, list[object]] = {}
    for place, text in remarks:
        places.setdefault(text, []).append(place)
    return [
        f"{first}{f' and {len(others)} more' if others else ''}: {text}" for text, (first, *others) in places.items()
    ]


def disk_full(err: BaseException, where: object = "") -> DiskFullError | None:
    """Return the error to show if a full disk, a quota or a limit on file sizes has caused `err`; else ``None``.

    where: what was written, if it is known.
    """
    for cause in causes(err):
        if isinstance(cause, DiskFullError):
            return cause
        number = getattr(cause, "errno", None)
        if number in NO_SPACE or (number is None and any(text in str(cause) for text in NO_SPACE_TEXTS)):
            place = where or getattr(cause, "filename", None) or "a folder that is written to"
            return DiskFullError(f"{place}: no space left on the disk; free some and give the same command again")
    return None


def causes(err: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and the errors that it wraps, in any way."""
    seen: list[BaseException] = []
    waiting: list[object] = [err]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or cause in seen:
            continue
        seen.append(cause)
        yield cause
        waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return a hint that names the choice closest to `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
