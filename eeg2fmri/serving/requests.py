"""Served requests: the fields of a record, the options of a request, and what it may cost.

A record holds either EEG windows or raw EEG, each as JSON arrays or as base64 of a .npy/.npz file:
    windows | windows_npy   (C, F, T) or (n, C, F, T) magnitudes in µV, or mV/m² with `data.current_source_density`
    eeg | eeg_npy           (C, samples) in µV, with sampling_rate (Hz) and, if wanted, channels
Nothing is cleaned here: raw EEG must be cleaned by the store's settings (`data.cleaning`), with channels of its
types (`data.channel_types`). Its windows are then equal to those of the store to the bit, if volumes start with a
sample. A request has no clock: its first sample starts a TR, and the others follow by the model's own TR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eeg2fmri.config import ServingConfig
from eeg2fmri.errors import MemoryLimitError, RequestError, nearest
from eeg2fmri.serving.arrays import MOST_AXES, check_size, decode
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.replies import BYTES_PER_VOXEL, DataType, Reply, check_labels, pack

MOST_CHANNELS = 1024  # more rows are samples
# Bytes that one value of a request takes: as sent (8 at most), as float32, and what checks need.
BYTES_PER_VALUE = 16
Fields = TypeVar("Fields", bound=BaseModel)


def _field(description: str, **limits: Any) -> Any:
    return Field(default=None, description=description, **limits)


class Record(BaseModel):
    """One part of a request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    windows: list[Any] | None = _field("magnitudes of EEG windows (µV), channels × frequencies × context, or several")
    windows_npy: str | None = _field("the same: base64 of a .npy file, or of a .npz file with one array")
    eeg: list[Any] | None = _field("raw EEG (µV), channels × samples; the first sample starts a volume")
    eeg_npy: str | None = _field("the same: base64 of a .npy file, or of a .npz file with one array")
    sampling_rate: float | None = _field("of raw EEG, which needs it (Hz)", gt=0, allow_inf_nan=False, strict=True)
    channels: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MOST_CHANNELS)] | None = _field(
        "names of the rows of raw EEG; by default the model's channels in its order"
    )
    labels_npy: str | None = _field(
        "for courses: base64 of a .npy file of whole numbers on the model's grid, 0 for none"
    )


class Options(BaseModel):
    """Options of a request, which all of its records share (`params` of MLflow)."""

    model_config = ConfigDict(extra="forbid")

    reply: Reply = Field(default="npy", description="form of the volumes")
    dtype: DataType = Field(default="float32", description="of npy and npz; float16 keeps three digits")
    max_interpolated: float = Field(
        default=0.0, ge=0, lt=1, allow_inf_nan=False, description="share of the model's channels that may be missing"
    )


class Budget:
    """Memory and volumes that a request may still cost; every array and every volume is charged before it is made."""

    def __init__(self, limits: ServingConfig, used: int = 0) -> None:
        self._limits = limits
        self._windows = limits.max_windows
        self._bytes = limits.max_memory * 2**20 - used

    @property
    def values(self) -> int:
        """Return how many values an array may have."""
        return self._bytes // BYTES_PER_VALUE

    def charge_array(self, name: str, values: int) -> None:
        """Count an array that the field `name` holds."""
        check_size(name, values, self.values)
        self._bytes -= values * BYTES_PER_VALUE

    def charge_windows(self, n_windows: int, bytes_per_window: int) -> None:
        """Count windows with their volumes and their reply."""
        if n_windows > self._windows:
            raise RequestError(
                f"{n_windows} windows, {self._windows} are left of the {self._limits.max_windows} of a request "
                f"(serving.max_windows); send a shorter part"
            )
        if n_windows * bytes_per_window > self._bytes:
            raise MemoryLimitError(
                f"{n_windows} windows need {n_windows * bytes_per_window / 2**20:.1f} MiB, {self._bytes / 2**20:.1f} "
                f"are left of the {self._limits.max_memory} MiB of a request (serving.max_memory); send a shorter part"
            )
        self._windows -= n_windows
        self._bytes -= n_windows * bytes_per_window


@dataclass(frozen=True)
class _Asked:
    """A checked record: windows (n, C, F, T), names of interpolated channels, labels (x, y, z) if any."""

    windows: np.ndarray
    interpolated: tuple[str, ...]
    labels: np.ndarray | None


def answer(
    bundle: Bundle,
    records: Any,
    params: Mapping[str, Any] | None = None,
    limits: ServingConfig | None = None,
    used: int = 0,
) -> list[dict[str, Any]]:
    """Synthesise the volumes that a request asks for.

    Parameters
    ----------
    bundle : the model.
    records : list of records, see `Record`.
    params : see `Options`.
    limits : what the request may cost; by default `ServingConfig`.
    used : memory that the records take already (bytes).

    Returns
    -------
    One reply per record, see `replies`.

    Raises
    ------
    RequestError
        If a record or an option is not valid, or the request is too expensive. Nothing is synthesised then.
    MemoryLimitError
        If it needs more memory than `limits` allow: a kind of `RequestError`.
    """
    options = _parse(Options, "params", {} if params is None else params)
    if not isinstance(records, list):
        raise RequestError(f"inputs: {type(records).__name__}, expected a list of records; send [record]")
    if not records:
        raise RequestError("inputs: an empty list; send at least one record")
    budget = Budget(limits or ServingConfig(), used)
    asked = [_asked(bundle, _parse(Record, "a record", record), options, budget) for record in records]
    return [_reply(bundle, each, options) for each in asked]


def _reply(bundle: Bundle, asked: _Asked, options: Options) -> dict[str, Any]:
    volumes = bundle.model.synthesise(asked.windows)
    if not np.isfinite(volumes).all():
        raise RequestError("the EEG is too large for a finite volume; send EEG in µV")
    volumes[:, ~bundle.model.bold_statistics.mask] = 0  # nothing outside the brain was learned
    return pack(bundle, volumes, options.reply, options.dtype, asked.labels, asked.interpolated)


def _parse(kind: type[Fields], name: str, given: Any) -> Fields:
    if not isinstance(given, Mapping):
        raise RequestError(f"{name} must be an object with fields, found {type(given).__name__}")
    for field in given:  # pydantic would make an error for each, of millions
        if field not in kind.model_fields:
            raise RequestError(_unknown(kind, str(field)))
    try:
        return kind.model_validate(given)
    except ValidationError as err:
        fault = err.errors(include_url=False, include_input=False)[0]
        raise RequestError(f"{fault['loc'][0]}: {fault['msg']}") from err


def _unknown(kind: type[BaseModel], field: str) -> str:
    if kind is Record and field in Options.model_fields:
        return f"unknown field {field!r}: it is an option; send it in params beside inputs"
    fields = list(kind.model_fields)
    hint = nearest(field[:60], fields) or f"; known are {', '.join(fields)}"
    return f"unknown field {field!r:.60}{hint}"


def _asked(bundle: Bundle, record: Record, options: Options, budget: Budget) -> _Asked:
    given = [name for name in ("windows", "windows_npy", "eeg", "eeg_npy") if getattr(record, name) is not None]
    if len(given) != 1:
        raise RequestError(
            f"give exactly one of windows, windows_npy, eeg, eeg_npy; found {', '.join(given) or 'none'}"
        )
    labels = None
    if record.labels_npy is not None:
        labels = check_labels(bundle, "labels_npy", decode("labels_npy", record.labels_npy, budget.values))
    if (labels is None) == (options.reply == "courses"):
        raise RequestError("reply 'courses' and the field labels_npy go together; send both or neither")
    name = given[0]
    values = _numbers(name, getattr(record, name), budget)
    if name.startswith("windows"):
        return _Asked(_sent_windows(bundle, name, values, options, budget), (), labels)
    return _Asked(*_made_windows(bundle, name, values, record, options, budget), labels)


def _sent_windows(bundle: Bundle, name: str, values: np.ndarray, options: Options, budget: Budget) -> np.ndarray:
    shape = bundle.window_shape
    windows = values[None] if values.ndim == 3 else values
    if windows.shape[1:] != shape or not len(windows):
        raise RequestError(f"{name}: shape {values.shape}, expected {shape} or (n, {', '.join(map(str, shape))})")
    budget.charge_windows(len(windows), _bytes_per_window(bundle, options))
    windows = _finite(name, windows)
    if (windows < 0).any():
        raise RequestError(f"{name}: negative values; spectral magnitudes are expected")
    bundle.check_scale(name, windows)
    return windows


def _made_windows(
    bundle: Bundle, name: str, values: np.ndarray, record: Record, options: Options, budget: Budget
) -> tuple[np.ndarray, tuple[str, ...]]:
    rate, channels = record.sampling_rate, record.channels
    if rate is None:
        raise RequestError("sampling_rate (Hz) is needed with raw EEG")
    if values.ndim != 2 or len(values) > MOST_CHANNELS:
        raise RequestError(
            f"{name}: shape {values.shape}, expected (channels, samples), {MOST_CHANNELS} channels at most"
        )
    bundle.check_rate(rate)
    budget.charge_windows(bundle.n_volumes(values.shape[1], rate), _bytes_per_window(bundle, options))
    interpolated: tuple[str, ...] = ()
    eeg = _finite(name, values)
    if channels is not None and options.max_interpolated:
        eeg, channels, interpolated = bundle.with_missing(eeg, channels, options.max_interpolated)
    return bundle.windows(eeg, rate, channels), interpolated


def _bytes_per_window(bundle: Bundle, options: Options) -> int:
    """Estimate what a window takes: its magnitudes, twice more while they are scaled, its volume and its reply."""
    eeg = 3 * 4 * int(np.prod(bundle.window_shape))
    return eeg + int(np.prod(bundle.signal.grid)) * BYTES_PER_VOXEL[options.reply]


def _numbers(name: str, value: str | Sequence[Any], budget: Budget) -> np.ndarray:
    """Return an array of numbers, of the type in which it was sent."""
    array = decode(name, value, budget.values) if isinstance(value, str) else _of_lists(name, value)
    budget.charge_array(name, array.size)
    return array


def _of_lists(name: str, value: Sequence[Any]) -> np.ndarray:
    """Convert nested lists; objects first, because one long text would make every cell of an array as long."""
    cells = np.array(value, dtype=object)
    kinds = set(map(type, cells.flat)) if cells.ndim <= MOST_AXES else {list}
    if list in kinds:
        raise RequestError(f"{name}: not a rectangular array of numbers")
    if others := kinds - {int, float}:
        raise RequestError(
            f"{name}: numbers are expected, found values of type {min(kind.__name__ for kind in others)}"
        )
    try:
        return cells.astype(np.float64)
    except OverflowError as err:
        raise RequestError(f"{name}: a number is too large; send finite ones") from err


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    """Convert to float32; refuse what is not finite then."""
    with np.errstate(over="ignore"):
        array = values.astype(np.float32)
    if not np.isfinite(array).all():
        raise RequestError(f"{name}: {np.count_nonzero(~np.isfinite(array))} NaN or infinite values; send finite ones")
    return array
