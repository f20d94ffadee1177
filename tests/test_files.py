"""Files that are whole or absent, and locks between real processes."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from eeg2fmri.errors import BusyError
from eeg2fmri.files import held, written_whole
from eeg2fmri.processes import Owner, is_dead


def forked(work: Callable[[], None]) -> int:
    """Do work in a child, which then waits to be killed; gives its number."""
    if child := os.fork():
        return child
    work()
    time.sleep(60)
    os._exit(0)


_entered: list[Any] = []


def enter(context: AbstractContextManager[Any]) -> Any:
    """Enter a context and never leave it."""
    _entered.append(context)
    return context.__enter__()


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def appears(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_file_gets_its_name_when_it_is_done(tmp_path):
    path = tmp_path / "new" / "image.nii.gz"
    with written_whole(path) as part:
        part.write_text("whole")
        assert part.name.endswith("image.nii.gz")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "image.json"
    path.write_text("old")

    def write():
        with written_whole(path) as part:
            part.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_but_nothing_of_a_living_one(tmp_path):
    path = tmp_path / "image.nii"

    def begin():
        enter(written_whole(path)).write_text("ha")

    dead, living = forked(begin), forked(begin)
    for _ in range(1000):
        if len(list(tmp_path.iterdir())) == 2:
            break
        time.sleep(0.01)
    kill(dead)
    try:
        with written_whole(path) as part:
            part.write_text("whole")
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        kill(living)
    with written_whole(path) as part:
        part.write_text("whole")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_whole_or_absent(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    with written_whole(path) as part:
        part.mkdir()
        (part / "a").write_text("a")
        assert list(path.iterdir()) == []
    assert [p.name for p in path.iterdir()] == ["a"]


def test_a_lock_names_the_process_that_has_it_and_is_free_when_that_is_killed(tmp_path, refuses):
    lock = tmp_path / "new" / ".main.lock"
    child = forked(lambda: enter(held(lock, "work", "main")))
    appears(lock)
    named = rf"^work: in use by process {child} on .+ \(main, since 20.*\); wait until it ends, or give another folder$"
    with refuses(BusyError, named), held(lock, "work", "main", instead="give another folder"):
        pass
    owner = Owner.here()
    kill(child)
    with held(lock, "work", "main") as left:
        assert left.pid == child
        assert left.host == owner.host
        assert left.is_dead()
    with held(lock, "work", "main") as left:
        assert left is None
    assert not lock.parent.exists() or list(lock.parent.iterdir()) == []


def test_a_lock_can_be_waited_for(tmp_path):
    lock = tmp_path / ".lock"
    child = forked(lambda: enter(held(lock, "work", "main")))
    appears(lock)
    waiting = forked(lambda: (enter(held(lock, "work", "main", wait=True)), (tmp_path / "mine").write_text("x")))
    time.sleep(0.2)
    assert not (tmp_path / "mine").exists()
    kill(child)
    appears(tmp_path / "mine")
    kill(waiting)


def test_locks_leave_no_empty_folder(tmp_path):
    with held(tmp_path / "a" / "b" / ".lock", "work", "main"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_process_is_known_by_number_and_start():
    here = Owner.here()
    assert Owner.parse(str(here)) == Owner.parse(str(Owner.parse(str(here))))
    assert not here.is_dead()
    assert is_dead(here.pid, here.started - 100)
    assert not Owner("another-host", here.space, 2**22 - 1, 0.0).is_dead()
    child = forked(lambda: None)
    kill(child)
    assert is_dead(child)
