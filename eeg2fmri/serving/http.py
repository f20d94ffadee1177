"""A server of one model: MLflow's addresses and JSON, with limits before a body is read and a description at /docs.

`mlflow models serve` reads every body whole, repeats it in some refusals, and answers some bodies that it cannot parse
with status 500 before the model is asked. This server does none of that.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn
from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi_offline import FastAPIOffline
from mlflow.version import VERSION
from pydantic import TypeAdapter

from eeg2fmri import __version__
from eeg2fmri.config import ServingConfig
from eeg2fmri.errors import ConfigError, Eeg2FmriError, MemoryLimitError, RequestError, one_line
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.pyfunc import VolumesRecord
from eeg2fmri.serving.requests import Options, Record, answer

LOCAL = ("localhost", "127.0.0.1", "[::1]")
MOST_CONNECTIONS = 64  # each holds a body; others get status 503
# A body that is too large is read to its end without being kept, so that its sender sees the reason; up to this.
DISCARDED = 16
LARGE = 8  # reply whose memory is returned at once; one volume of the published size has 0.6 [MiB]
JSON = "application/json"
# Requests that are answered at the same time, and the memory that each of them may take. One that needs more waits for
# others like it, so that all together stay below 1 GiB: three of these, and one of `serving.max_memory`.
AT_ONCE = 4
LIGHT = 80  # MiB
TEXT = 4  # bytes at least per letter of an array in base64: the letter, its byte, and the array
HELD = 5  # bodies of the largest size that are in memory at the same time; others get status 503
# The most memory that is needed for what such a byte of JSON announces, measured at its peak: a number, a list that is
# not empty, an object that is not empty, its field, half a text [bytes].
_MEMORY = {b",": 76, b"[": 140, b"{": 360, b":": 90, b'"': 30}
Result = TypeVar("Result")
_OBJECT = TypeAdapter(dict[str, Any])  # its parser refuses what is nested more than 200 deep


class _TooLarge(Exception):
    """A body exceeds the limit."""


class _Busy(Exception):
    """Other bodies leave no room for this one."""


class _Room:
    """Room for bodies (bytes), which all requests share."""

    def __init__(self, size: int) -> None:
        self._left = size

    @contextmanager
    def share(self) -> Iterator[Callable[[int], bool]]:
        """Yield a function that takes room for a request, if there is any; return all of it at the end."""
        taken = 0

        def take(length: int) -> bool:
            nonlocal taken
            if length > self._left:
                return False
            self._left -= length
            taken += length
            return True

        try:
            yield take
        finally:
            self._left += taken


def server_app(bundle: Bundle, limits: ServingConfig, hosts: Sequence[str] = LOCAL) -> FastAPI:
    """Make the server of a model.

    Parameters
    ----------
    bundle : the model.
    limits : what a request may cost.
    hosts : names in the header ``Host`` that are answered; a browser cannot be led here by another name.
    """
    # Its page needs no network, unlike that of FastAPI, which loads its scripts from one.
    app = FastAPIOffline(redoc_url=None, title="eeg2fmri", version=__version__, summary="Volumes synthesised from EEG.")
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    room = _Room(HELD * limits.max_body * 2**20)
    places, one_at_a_time = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def in_place(function: Callable[..., Result], *given: Any) -> Result:
        async with places:
            return await asyncio.to_thread(function, *given)

    @app.get("/ping")
    @app.get("/health")
    async def health() -> Response:
        """Answer as soon as the model is loaded."""
        return Response("\n", media_type=JSON)

    @app.get("/version")
    async def version() -> Response:
        """Return the version of MLflow that is installed."""
        return Response(VERSION, media_type=JSON)

    @app.post("/invocations", openapi_extra={"requestBody": _REQUEST}, responses=_RESPONSES)
    async def invocations(request: Request) -> Response:
        """Synthesise the volumes that a request asks for."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return _refusal(415, f"Content-Type: expected {JSON}; send JSON")
        try:
            with room.share() as take:
                return await answered(await _body(request, limits.max_body * 2**20, take))
        except _TooLarge:
            return _refusal(413, f"the body exceeds {limits.max_body} MiB (serving.max_body); send a shorter part")
        except _Busy:
            return _refusal(503, "other large requests wait already; send it again later", "TEMPORARILY_UNAVAILABLE")

    async def answered(body: bytes) -> Response:
        listed = await in_place(needed, body)
        if listed > limits.max_memory * 2**20:
            return _refusal(400, _too_much(listed, limits))
        reply = None
        if listed + TEXT * len(body) <= LIGHT * 2**20:
            reply = await in_place(_answered, bundle, body, limits, listed, min(LIGHT, limits.max_memory))
        if reply is None:
            async with one_at_a_time:
                reply = await in_place(_answered_alone, bundle, body, limits, listed)
        return reply

    return app


def serve(app: FastAPI, host: str, port: int) -> None:
    """Answer requests until the process is stopped.

    Raises
    ------
    ConfigError
        If the port is not free, or the address not one of this machine.
    """
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as err:
        raise ConfigError(f"--host {host} --port {port}: {err}; choose another port") from err
    with listening:
        config = uvicorn.Config(app, log_level="warning", limit_concurrency=MOST_CONNECTIONS)
        uvicorn.Server(config).run(sockets=[listening])


async def _body(request: Request, limit: int, take: Callable[[int], bool]) -> bytes:
    """Read a body; keep nothing of one beyond the limit (bytes), or for which there is no room."""
    text = request.headers.get("content-length", "")
    declared = int(text) if text.isdigit() else 0
    if declared > DISCARDED * limit:
        raise _TooLarge
    # At the start: bodies that are read in turn would each take a part of the room, and all would be refused.
    busy = declared <= limit and not take(declared)
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if not declared and length <= limit:
            busy = busy or not take(len(part))
        if length > limit or busy:
            parts.clear()
        else:
            parts.append(part)
        if length > DISCARDED * limit:
            break
    if length > limit:
        raise _TooLarge
    if busy:
        raise _Busy
    return b"".join(parts)


def _answered_alone(bundle: Bundle, body: bytes, limits: ServingConfig, listed: int) -> Response:
    """Answer a request that needs much memory, while no other of its kind is answered."""
    gc.disable()  # it would look through millions of new lists again and again
    try:
        reply = _answered(bundle, body, limits, listed, limits.max_memory)
    finally:
        gc.enable()
    assert reply is not None
    _return_memory()
    return reply


def _answered(bundle: Bundle, body: bytes, limits: ServingConfig, listed: int, memory: int) -> Response | None:
    """Answer with `memory` (MiB), of which lists and objects take `listed` (bytes); return ``None`` if more is allowed.

    Arrays show what they need when their headers are read, before they are made.
    """
    try:
        records, params = _parsed(body)
        within = limits.model_copy(update={"max_memory": memory})
        content = json.dumps({"predictions": answer(bundle, records, params, within, listed)})
        afterwards = BackgroundTasks()
        if len(content) > LARGE * 2**20:
            afterwards.add_task(_return_memory)
        return Response(content, media_type=JSON, background=afterwards)
    except MemoryLimitError as err:
        return None if memory < limits.max_memory else _refusal(400, one_line(err))
    except Eeg2FmriError as err:
        return _refusal(400, one_line(err))
    except Exception as err:
        logging.getLogger(__name__).exception("prediction failed")
        return _refusal(500, f"internal error: {type(err).__name__}", "INTERNAL_ERROR")


def _return_memory() -> None:
    """Return freed memory to the system; otherwise the C library of Linux keeps some of each thread for later."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def needed(body: bytes) -> int:
    """Return the memory that the lists and objects of a body will take (bytes), before they are made."""
    return sum(size * body.count(mark) for mark, size in _MEMORY.items())


def _too_much(listed: int, limits: ServingConfig) -> str:
    return (
        f"lists and objects of {listed / 2**20:.0f} MiB, a request may take {limits.max_memory} MiB "
        f"(serving.max_memory); send arrays as eeg_npy or windows_npy"
    )


def _parsed(body: bytes) -> tuple[Any, Any]:
    """Return records and options of a body."""
    try:
        content = _OBJECT.validate_json(body)
    except ValueError as err:
        raise RequestError("the body is no JSON object, or nested too deeply; send an object with inputs") from err
    if "inputs" not in content:
        raise RequestError("the body must be an object with the field inputs, a list of records")
    if unknown := sorted(set(content) - {"inputs", "params"}):
        raise RequestError(f"unknown field {unknown[0]!r:.60} beside inputs; known are inputs, params")
    params = content.get("params")
    return content["inputs"], {} if params is None else params


def _refusal(status: int, reason: str, code: str = "INVALID_PARAMETER_VALUE") -> Response:
    """Return a reason in the form of MLflow's."""
    return Response(json.dumps({"error_code": code, "message": reason}), status, media_type=JSON)


def _described(field: str, schema: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Return the content of a body with a list of objects under `field`, for the description."""
    whole = {"type": "object", "required": [field], "properties": {field: {"type": "array", "items": schema}, **others}}
    return {"content": {JSON: {"schema": whole}}}


_REASON = {"type": "object", "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}}}
_REQUEST = {"required": True, **_described("inputs", Record.model_json_schema(), params=Options.model_json_schema())}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "one reply per record", **_described("predictions", VolumesRecord.model_json_schema())},
    400: {"description": "the request is not valid or too expensive", "content": {JSON: {"schema": _REASON}}},
    413: {"description": "the body is too large", "content": {JSON: {"schema": _REASON}}},
    415: {"description": "the body is not JSON", "content": {JSON: {"schema": _REASON}}},
    503: {"description": "other large requests wait already", "content": {JSON: {"schema": _REASON}}},
}
