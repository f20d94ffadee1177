"""Work in a process of its own, for what a process decides once and for what must outlive a kill."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

# Imported once by the process that the others are forked from; nothing of a family or of this package.
PRELOADED = ("keras", "mlflow.pyfunc")


def in_fresh_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call `work` in a process that has computed nothing yet; its result or its exception come back.

    Raises
    ------
    concurrent.futures.process.BrokenProcessPool
        If the process was killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(work, *arguments).result()
