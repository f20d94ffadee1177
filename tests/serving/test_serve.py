"""The command `eeg2fmri serve`, as a user starts it: who reaches it, and by which name."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import psutil
import pytest

from eeg2fmri.tracking.registry import pyfunc_model
from tests.served import environment, wait


@pytest.fixture(scope="module")
def model(bundles, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "bundle").mkdir()
    example = bundles["linear"].model.eeg_statistics.mean
    mlflow.pyfunc.save_model(folder / "model", **pyfunc_model(bundles["linear"], folder / "bundle", example))
    return folder / "model"


@contextmanager
def serving(model: Path, folder: Path, *options: str) -> Iterator[tuple[psutil.Process, int]]:
    """The process of a server and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "eeg2fmri", "serve", "--model-uri", str(model), "--port", str(port), *options]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
        try:
            wait(f"http://127.0.0.1:{port}", process, folder / "server.log")
            yield psutil.Process(process.pid), port
        finally:
            process.kill()
            process.wait()


def status_for(host: str, port: int) -> int:
    """Status of a reply to a request that names a host."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/ping", headers={"Host": host})
    return connection.getresponse().status


@pytest.mark.slow
@pytest.mark.parametrize(("options", "named"), [((), 400), (("--allowed-hosts", "lab.example.org"), 200)])
def test_only_this_machine_reaches_it_and_only_by_allowed_names(model, tmp_path, options, named):
    with serving(model, tmp_path, *options) as (process, port):
        listening = {each.laddr for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN}
        assert listening == {("127.0.0.1", port)}
        assert status_for(f"localhost:{port}", port) == 200
        assert status_for("lab.example.org", port) == named
        assert status_for("other.example.org", port) == 400
