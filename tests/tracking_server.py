"""A tracking server as a lab runs it: `mlflow server` on a database, with proxied artifacts; it can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.served import ask, environment

START_S = 120


class TrackingServer:
    """`mlflow server` on one port of this machine.

    Attributes
    ----------
    address : for ``MLFLOW_TRACKING_URI``.
    """

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.database,
                   "--artifacts-destination", str(self.folder / "artifacts"), "--host", "127.0.0.1",
                   "--port", str(self.port), "--workers", "1"]  # fmt: skip
        env = environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=out, stderr=out,
                                            start_new_session=True)  # fmt: skip
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if ask(f"{self.address}/health")[0] == 200:
                    return
            except OSError:
                assert self.process.poll() is None, log.read_text()
            time.sleep(0.1)
        raise AssertionError(f"no answer within {START_S} s: {log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End all of its processes as a power cut would."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
