"""Files and folders that are complete or absent, and locks on what one process at a time may write."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eeg2fmri.errors import BusyError, disk_full
from eeg2fmri.processes import Owner, is_dead

_PART = ".part-{host}-"  # before the process and the name of what is not whole
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give another path to write to; rename it to `path` after the block, or remove it if the block fails.

    Folders above are made. The other path has the ending of `path`, by which some libraries choose a format. It is for
    a file, or for a folder that takes the place of an empty one. What a killed process left for `path` is removed.

    Raises
    ------
    DiskFullError
        If there is no space left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = _PART.format(host=socket.gethostname())
    for left in path.parent.glob(f"{mine}*-{path.name}*"):
        pid = left.name.removeprefix(mine).partition("-")[0]
        if pid.isdigit() and is_dead(int(pid)):
            _remove(left)
    part = path.with_name(f"{mine}{os.getpid()}-{path.name}")
    try:
        yield part
        os.replace(part, path)
    except Exception as err:
        if full := disk_full(err, path):
            raise full from err
        raise
    finally:
        _remove(part)


def remove_whole(path: Path) -> None:
    """Remove a folder in one step; a kill leaves its content under another name, which `written_whole` removes."""
    gone = path.with_name(f"{_PART.format(host=socket.gethostname())}{os.getpid()}-{path.name}.old")
    os.replace(path, gone)
    _remove(gone)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def held(path: Path, what: str, work: str, *, instead: str = "", wait: bool = False) -> Iterator[Owner | None]:
    """Hold a lock while the block runs; give the process that held it before and was killed, if there is one.

    The lock file names its process. It is removed at the end, except by a kill. Then the lock is free all the same.

    Parameters
    ----------
    path : lock file; folders above are made.
    what : what is locked, for the message.
    work : what this process does, e.g. ``train``.
    instead : what to do rather than to wait, for the message.
    wait : until the lock is free, instead of an error.

    Raises
    ------
    BusyError
        If another process holds the lock; the message names the process.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        handle = _locked(path, what, instead, wait=wait)
    except OSError as err:
        if err.errno not in NO_LOCKS:
            raise
        yield None  # nobody is kept out where a file system has no locks, or the folder is read-only
        return
    try:
        left = _read(path)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"process": str(Owner.here()), "work": work, "since": since}).encode())
        yield Owner.parse(left["process"]) if left else None
    finally:
        path.unlink(missing_ok=True)  # before it is free: another process must not lock a file without a name
        os.close(handle)
        with contextlib.suppress(OSError):  # not empty: the work has begun
            for folder in made:
                folder.rmdir()


def _locked(path: Path, what: str, instead: str, *, wait: bool) -> int:
    """Open and lock the file that has this name now."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # another process has just removed the folder, which was empty
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            with contextlib.suppress(FileNotFoundError):  # its process has just ended and removed it
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    return handle
        except BlockingIOError:
            os.close(handle)
            raise _busy(path, what, instead) from None
        except OSError:
            os.close(handle)
            raise
        os.close(handle)


def _busy(path: Path, what: str, instead: str) -> BusyError:
    other = ""
    if found := _read(path):
        owner = Owner.parse(found["process"])
        other = f"process {owner.pid} on {owner.host} ({found['work']}, since {found['since']})"
    ways = f"wait until it ends, or {instead}" if instead else "wait until it ends"
    return BusyError(f"{what}: in use by {other or 'another process'}; {ways}")


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a lock file; ``None`` while it is empty."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    except (OSError, ValueError):
        return None
