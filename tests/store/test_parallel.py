"""The same store from one process, from several, and from a cluster whose workers die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from eeg2fmri.errors import ConfigError, IncompleteError, StoreError
from eeg2fmri.store.cards import CARDS, visible_cards
from eeg2fmri.store.parallel import THREADS, each, local_cluster
from tests.store.files import NAMES, content


def interrupt_handler(_: int) -> object:
    return signal.getsignal(signal.SIGINT)


def die_once(flag: str) -> None:
    """Make the process of a worker kill itself in the middle of writing a recording; only the first does."""
    import zarr

    original = zarr.Group.create_array

    def create_array(group, name, **options):
        if name == "mask" and "sub-02" in str(group.store_path):
            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return original(group, name, **options)
            os.kill(os.getpid(), signal.SIGKILL)
        return original(group, name, **options)

    zarr.Group.create_array = create_array


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster(2) as running:
        yield running


@pytest.fixture
def serial(build, tmp_path) -> dict[str, bytes]:
    build(tmp_path / "serial")
    return content(tmp_path / "serial")


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(build, serial, cluster, tmp_path):
    flag = tmp_path / "died"
    with Client(cluster) as client:
        before = set(client.run(os.getpid).values())
        client.run(die_once, str(flag))
        built = build.built(scheduler=cluster.scheduler_address)
        client.wait_for_workers(2, timeout=60)
        after = set(client.run(os.getpid).values())
    assert flag.exists()
    assert len(before - after) == 1
    assert not built.failures
    assert sorted(build.seen) == [(name, False) for name in NAMES]
    assert content(tmp_path / "store") == serial


@pytest.mark.slow
def test_two_local_processes_write_what_one_does(build, serial, bids_root, tmp_path):
    (bids_root / "sub-03/eeg/sub-03_task-rest_eeg.eeg").unlink()
    built = build.built(workers=2)
    assert [r.name for r in built.store.recordings] == NAMES[:2]
    assert list(built.failures) == [NAMES[2]]
    groups = {name: found for name, found in content(tmp_path / "store").items() if name != "zarr.json"}
    assert groups == {name: found for name, found in serial.items() if "sub-03" not in name and name != "zarr.json"}


def _die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_that_kills_every_worker_ends_as_an_error(cluster, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    ((item, error),) = each(_die, [7], scheduler=cluster.scheduler_address)
    assert item == 7
    assert type(error).__name__ == "KilledWorker"


def _card(dies: bool, folder: Path, processes: int) -> tuple[str | None, str | None]:
    """Return the card that this process sees, and whether JAX may take it whole, when so many have been here.

    The first one dies if asked.
    """
    if dies and not (folder / "dead").exists():
        (folder / "dead").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / str(os.getpid())).touch()
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < processes and time.monotonic() < until:
        time.sleep(0.05)
    return os.environ.get(CARDS), os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE")


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "dies", "expected"), [(3, False, ["3", "3", "5"]), (2, True, ["3", "5"])])
def test_local_processes_see_one_card_each_and_share_them_in_turn(monkeypatch, tmp_path, workers, dies, expected):
    monkeypatch.setenv(CARDS, "3,5")
    (tmp_path / "seen").mkdir()
    card = partial(_card, folder=tmp_path / "seen", processes=workers + dies)
    found = [result for _, result in each(card, [dies] + [False] * (workers - 1), workers=workers)]
    assert {shared for _, shared in found} == {"false" if workers > 2 else None}
    assert sorted(card for card, _ in found) == expected  # a process that takes the place of a dead one has its card
    assert (tmp_path / "seen" / "dead").exists() == dies
    assert os.environ[CARDS] == "3,5"


def test_cards_are_those_that_the_environment_names(monkeypatch):
    for named, expected in (("2, 0", ["2", "0"]), ("", []), ("MIG-1", ["MIG-1"])):
        monkeypatch.setenv(CARDS, named)
        assert visible_cards() == expected


INHERITED = """
import os
from distributed import Client
from eeg2fmri.store.parallel import local_cluster

before = dict(os.environ)
with local_cluster(1, threads=3) as running, Client(running) as client:
    found = [*client.run(os.environ.get, "OMP_NUM_THREADS").values()]
    found += client.run(os.environ.get, "TF_NUM_INTRAOP_THREADS").values()
print(found, dict(os.environ) == before)
"""


def test_what_workers_inherit_does_not_stay_in_this_process():
    # A process of its own: what the environment says goes before, and Dask keeps state in a process.
    environment = {key: value for key, value in os.environ.items() if key not in THREADS}
    done = subprocess.run(
        [sys.executable, "-c", INHERITED], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "['3', '3'] True\n"


def test_in_this_process_nothing_is_started():
    assert list(each(lambda item: (item, os.getpid()), [1, 2])) == [(1, (1, os.getpid())), (2, (2, os.getpid()))]


def test_a_worker_of_another_version_is_refused(build, monkeypatch):
    monkeypatch.setattr("eeg2fmri.store.write.code_digest", lambda *entries: "another version")
    with pytest.raises(Exception, match="the worker runs another version of eeg2fmri than the job; install the same"):
        build()


def test_an_address_without_a_scheduler_is_refused(build, monkeypatch, refuses, tmp_path):
    monkeypatch.setattr("eeg2fmri.store.parallel.ANSWER_S", 0.2)
    with refuses(ConfigError, "--scheduler tcp://127.0.0.1:9: no Dask scheduler answers there .* dask scheduler"):
        build(scheduler="tcp://127.0.0.1:9")
    assert not Path(tmp_path / "store").exists()


def _close_scheduler(address: str) -> None:
    """Kill the process of a scheduler, in one of its tasks' processes."""
    with Client(address) as client:
        pid = client.run_on_scheduler(os.getpid)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_scheduler_that_dies_in_the_middle_is_told(refuses, tmp_path):
    address_file = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(address_file)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(address_file), "--no-nanny"]
    with ExitStack() as running:
        for command in ([*scheduler, *options], [*worker, "--nthreads", "1", "--no-dashboard"]):
            process = running.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            running.callback(process.kill)
            for _ in range(300):
                time.sleep(0 if address_file.exists() else 0.1)
        address = json.loads(address_file.read_text())["address"]
        with refuses(
            IncompleteError, f"--scheduler {address}: it stopped during the work; .* finished recordings are kept"
        ):
            list(each(_close_scheduler, [address], scheduler=address))


@pytest.mark.slow
def test_a_cluster_without_workers_is_refused(build, monkeypatch, refuses):
    monkeypatch.setattr("eeg2fmri.store.parallel.WORKER_S", 0.2)
    with local_cluster(0) as empty, refuses(ConfigError, "has no worker; start one with: dask worker tcp://"):
        build(scheduler=empty.scheduler_address)


def test_memory_is_not_shared_between_processes(build, refuses):
    with refuses(StoreError, "memory://here: only this process can see it; use --workers 1"):
        build("memory://here", workers=2)


@pytest.mark.slow
def test_ctrl_c_stops_the_job_not_its_workers():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        inherited = [result for _, result in each(interrupt_handler, [1, 2], workers=2)]
        assert inherited == [signal.SIG_IGN, signal.SIG_IGN]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
