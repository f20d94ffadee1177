"""One function on many items: in this process, in local processes, or on a Dask cluster."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from eeg2fmri.errors import ConfigError, IncompleteError

Item = TypeVar("Item")
Result = TypeVar("Result")
ANSWER_S = 10  # for a scheduler to answer
WORKER_S = 60  # for its first worker to come
# How many threads the libraries of a process use; TensorFlow has two pools.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS",
           "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")  # fmt: skip


def each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int = 1,
    scheduler: str | None = None,
    threads: int = 1,
) -> Generator[tuple[Item, Result | BaseException]]:
    """Yield each item with its result, as they are done.

    A task is run again elsewhere if its worker dies, so it must be possible to repeat `function`.

    Parameters
    ----------
    function : importable by the workers; it handles the errors of its own.
    items : its arguments, one per call.
    workers : local processes; with 1 everything happens in this process. Each sees one GPU; several may share one.
    scheduler : address of a Dask scheduler whose workers are used instead, e.g. ``tcp://host:8786``.
    threads : that the libraries of each local process may use.

    Yields
    ------
    The item, and its result or the error that ended it for good.

    Raises
    ------
    ConfigError
        If there is no scheduler at that address, or it has no workers.
    IncompleteError
        If the scheduler dies.
    """
    if not items or (workers == 1 and scheduler is None):
        for item in items:
            yield item, function(item)
        return
    from distributed import as_completed
    from distributed.client import FutureCancelledError

    with _client(min(workers, len(items)), scheduler, threads) as client:
        futures = client.map(function, items, pure=False)
        owner = {future.key: item for future, item in zip(futures, items, strict=True)}
        for future in as_completed(futures):
            try:
                result = future.exception() or future.result()
            except FutureCancelledError as err:
                raise IncompleteError(
                    f"--scheduler {scheduler}: it stopped during the work; start it and its workers again and repeat "
                    f"the command; finished recordings are kept"
                ) from err
            yield owner[future.key], result


@contextmanager
def local_cluster(workers: int, threads: int = 1) -> Iterator[Any]:
    """Return Dask cluster of so many processes on this machine, each of one task at a time whose libraries use
    `threads`.
    """
    import dask
    from distributed import LocalCluster

    # By default Dask workers return freed memory after every 64 KiB. To request it again doubled
    # the time of a recording.
    cores = dict.fromkeys(THREADS, threads)
    # Nobody looks at the profile for which workers are sampled every 10 ms; with that and the wake-ups every
    # 20 ms a cluster that did nothing took a tenth of a core from the work.
    quiet = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "500ms"}
    own = dict(os.environ)
    try:
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": cores, **quiet}),
            _children_without_interrupt(),
        ):
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
            )
        with cluster:
            yield cluster
    finally:  # Dask sets in this process what its workers inherit, and leaves it there
        os.environ.clear()
        os.environ.update(own)


@contextmanager
def _client(workers: int, scheduler: str | None, threads: int) -> Iterator[Any]:
    from distributed import Client

    if scheduler is None:
        from eeg2fmri.store.cards import OneCard, visible_cards

        with local_cluster(workers, threads) as cluster, Client(cluster) as client:
            if cards := visible_cards():
                client.register_plugin(OneCard(cards, workers))
            yield client
        return
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # `each` reports the errors
    try:
        client = Client(scheduler, timeout=ANSWER_S)
    except (OSError, ValueError) as err:
        raise ConfigError(
            f"--scheduler {scheduler}: no Dask scheduler answers there ({type(err).__name__}); start one with: "
            f"dask scheduler, or use --workers N"
        ) from err
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKER_S)
        except TimeoutError as err:
            raise ConfigError(
                f"--scheduler {scheduler}: it has no worker; start one with: dask worker {scheduler}"
            ) from err
        yield client


@contextmanager
def _children_without_interrupt() -> Iterator[None]:
    """Let processes started within ignore Ctrl-C: this process stops them, without their tracebacks."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set it
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
