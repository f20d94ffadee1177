"""Processes of this machine: which one is this, and does another one still run."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import psutil

TOLERANCE_S = 2.0  # of a start time, which a system rounds


@dataclass(frozen=True)
class Owner:
    """A process that owns a run or a lock.

    Attributes
    ----------
    host : name of its machine.
    space : of its process numbers; containers of one machine have different ones.
    pid : its number there.
    started : seconds since 1970; numbers are given again.
    """

    host: str
    space: str
    pid: int
    started: float

    @staticmethod
    def here() -> Owner:
        """Return this process."""
        return Owner(socket.gethostname(), _space(), os.getpid(), psutil.Process().create_time())

    def is_dead(self) -> bool:
        """Return whether it surely runs no more; one of another machine may run."""
        if (self.host, self.space) != (socket.gethostname(), _space()):
            return False
        return is_dead(self.pid, self.started)

    def __str__(self) -> str:
        """Return one word for `parse`; equal for equal processes."""
        return f"{self.host}/{self.space}/{self.pid}/{self.started:.2f}"

    @staticmethod
    def parse(text: str) -> Owner:
        """Read the text of ``str``."""
        host, space, pid, started = text.rsplit("/", 3)
        return Owner(host, space, int(pid), float(started))


def is_dead(pid: int, started: float | None = None) -> bool:
    """Return whether no process of this machine has this number, or the one that has it began at another time."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return started is not None and abs(process.create_time() - started) > TOLERANCE_S
    except psutil.NoSuchProcess:
        return True


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:  # another system than Linux
        return ""
