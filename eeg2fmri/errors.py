"""Errors that a user can correct, and the exit status of a command that ends with each.

Every message is one line: what was found (with its file or key), what was expected, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Eeg2FmriError(Exception):
    """Base of every error raised on purpose; `exit_code` is the command's exit status."""

    exit_code = 2


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


class ServerError(Eeg2FmriError, ConnectionError):
    """A served model does not answer, or fails."""


class TrackingError(Eeg2FmriError, ConnectionError):
    """The tracking server does not answer, or answers wrongly."""


class MissingExtraError(Eeg2FmriError, ImportError):
    """An optional dependency is needed and not installed."""


class GateRefusal(Eeg2FmriError):
    """A model version does not pass the promotion gate."""

    exit_code = 1


def one_line(err: BaseException) -> str:
    """Return an error as one line: its message, and the kind of an error from elsewhere; not too long."""
    if isinstance(err, Eeg2FmriError):
        return " ".join(str(err).split())
    return " ".join(f"{type(err).__name__}: {err}".split())[:300]


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return a hint that names the choice closest to `word`, or an empty string."""
    match = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""
