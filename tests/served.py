"""A model behind HTTP, as a user starts it: `mlflow models serve`."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from eeg2fmri.serving import Bundle

FORMS = {"json": "volumes", "npy": "volumes_npy", "npz": "volumes_npz"}
START_S = 120


def in_brain(bundle: Bundle, windows: np.ndarray) -> np.ndarray:
    """The volumes that a reply to windows holds: 0 outside the model's brain mask."""
    return np.where(bundle.model.bold_statistics.mask, bundle.model.synthesise(windows), 0)


def environment() -> dict[str, str]:
    """What a user's shell has, with the commands of this interpreter."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "2"}


@contextmanager
def served_model(model_uri: str, folder: Path, env: dict[str, str]) -> Iterator[str]:
    """Address of a model that is served from `folder`; the whole process group is ended with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model_uri]
    command += ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            wait(f"http://127.0.0.1:{port}", process, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(address: str, process: subprocess.Popen, log: Path) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if ask(f"{address}/ping")[0] == 200:
                return
        except OSError:
            assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    raise AssertionError(f"no answer within {START_S} s: {log.read_text()[-2000:]}")


def ask(address: str, payload: object = None) -> tuple[int, bytes]:
    """Status and body of a reply."""
    data = None if payload is None else payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as err:
        return err.code, err.read()


def served(address: str, record: dict, **params: object) -> np.ndarray:
    """The volumes of the only reply, in whichever form they were asked for."""
    status, body = ask(f"{address}/invocations", {"inputs": [record], "params": params})
    assert status == 200, body[:500]
    (reply,) = json.loads(body)["predictions"]
    form = FORMS[params.get("reply", "npy")]
    shape, value = reply["shape"], reply[form]
    if form == "volumes":
        found = np.asarray(value, np.float32)
    else:
        loaded = np.load(io.BytesIO(base64.b64decode(value)))
        found = loaded["volumes"] if form == "volumes_npz" else loaded
    assert list(found.shape) == shape
    return found
