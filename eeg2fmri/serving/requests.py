"""Served requests: the fields of a record, and the forms of a reply.

A record holds either EEG windows or raw EEG, each as JSON arrays or as base64 of a .npy/.npz file:
    windows | windows_npy   (C, F, T) or (n, C, F, T) magnitudes in µV, or mV/m² with `data.current_source_density`
    eeg | eeg_npy           (C, samples) in µV, with sampling_rate (Hz) and, if wanted, channels
    reply                   "npz" (default), "npy" or "json"
Nothing is cleaned here: raw EEG must be cleaned by the store's settings (`data.cleaning`), with channels of its
types (`data.channel_types`). Its windows are then equal to those of the store to the bit, if volumes start with a
sample. A request has no clock: its first sample starts a TR, and the others follow by the model's own TR.
"""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eeg2fmri.errors import RequestError, nearest
from eeg2fmri.serving.bundle import Bundle

MAX_INFLATED_BYTES = 2**30  # an hour of 64 channels at 1 kHz in float32


class Record(BaseModel):
    """One request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    windows: list[Any] | None = None
    windows_npy: str | None = None
    eeg: list[Any] | None = None
    eeg_npy: str | None = None
    sampling_rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    channels: list[str] | None = None
    reply: Literal["npz", "npy", "json"] = "npz"


def answer(bundle: Bundle, record: Any) -> dict[str, Any]:
    """Synthesise the volumes that one record asks for.

    Returns
    -------
    ``shape`` (n, x, y, z) and the volumes under ``volumes_npz``, ``volumes_npy`` (base64 of the
    file, array name ``volumes``) or ``volumes`` (nested lists), in scanner intensity.

    Raises
    ------
    RequestError
        If the record is not valid.
    """
    request = _parse(record)
    volumes = bundle.model.synthesise(_windows(bundle, request))
    if not np.isfinite(volumes).all():
        raise RequestError("the EEG is too large for a finite volume; send EEG in µV")
    return {"shape": list(volumes.shape), **pack(volumes, request.reply)}


def pack(volumes: np.ndarray, reply: str) -> dict[str, Any]:
    """Pack volumes in the form that the request asked for."""
    if reply == "json":
        return {"volumes": volumes.tolist()}
    buffer = io.BytesIO()
    if reply == "npy":
        np.save(buffer, volumes, allow_pickle=False)
    else:
        np.savez_compressed(buffer, volumes=volumes)
    return {f"volumes_{reply}": base64.b64encode(buffer.getvalue()).decode("ascii")}


def encode(array: np.ndarray) -> str:
    """Return base64 of an array's .npy file, for the fields ``windows_npy`` and ``eeg_npy``."""
    return str(pack(array, "npy")["volumes_npy"])


def _parse(record: Any) -> Record:
    if not isinstance(record, dict):
        raise RequestError(f"a record must be an object with fields, found {type(record).__name__}")
    try:
        return Record.model_validate(record)
    except ValidationError as err:
        fault = err.errors(include_url=False, include_input=False)[0]
        name = str(fault["loc"][0])
        if fault["type"] == "extra_forbidden":
            fields = list(Record.model_fields)
            hint = nearest(name, fields) or f"; known are {', '.join(fields)}"
            raise RequestError(f"unknown field {name!r:.60}{hint}") from err
        raise RequestError(f"{name}: {fault['msg']}") from err


def _windows(bundle: Bundle, request: Record) -> np.ndarray:
    given = [name for name in ("windows", "windows_npy", "eeg", "eeg_npy") if getattr(request, name) is not None]
    if len(given) != 1:
        raise RequestError(
            f"give exactly one of windows, windows_npy, eeg, eeg_npy; found {', '.join(given) or 'none'}"
        )
    name = given[0]
    values = _array(name, getattr(request, name))
    if name.startswith("windows"):
        shape = bundle.window_shape
        windows = values[None] if values.ndim == 3 else values
        if windows.shape[1:] != shape or not len(windows):
            raise RequestError(f"{name}: shape {values.shape}, expected {shape} or (n, {', '.join(map(str, shape))})")
        if (windows < 0).any():
            raise RequestError(f"{name}: negative values; spectral magnitudes are expected")
        bundle.check_scale(name, windows)
        return windows
    if request.sampling_rate is None:
        raise RequestError("sampling_rate (Hz) is needed with raw EEG")
    if values.ndim != 2:
        raise RequestError(f"{name}: shape {values.shape}, expected (channels, samples)")
    return bundle.windows(values, request.sampling_rate, request.channels)


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = _decode(value) if isinstance(value, str) else np.asarray(value)
    except Exception as err:  # NumPy, zipfile and zlib each raise errors of their own for damaged bytes
        expected = "base64 of a .npy or .npz file" if isinstance(value, str) else "a rectangular array of numbers"
        raise RequestError(f"{name}: not {expected}") from err
    if array.dtype.kind not in "fiu":
        raise RequestError(f"{name}: numbers are expected, found values of type {array.dtype}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise RequestError(f"{name}: {np.count_nonzero(~np.isfinite(array))} NaN or infinite values; send finite ones")
    return array


def _decode(text: str) -> np.ndarray:
    """Decode the only array of a base64 .npy or .npz; measure an archive before inflating it."""
    content = io.BytesIO(base64.b64decode(text, validate=True))
    if zipfile.is_zipfile(content):
        size = sum(member.file_size for member in zipfile.ZipFile(content).infolist())
        if size > MAX_INFLATED_BYTES:
            raise ValueError(f"{size} bytes when inflated")
    content.seek(0)
    loaded = np.load(content, allow_pickle=False)
    if isinstance(loaded, np.lib.npyio.NpzFile):
        (only,) = loaded.files
        return loaded[only]
    return loaded
