"""Work in a separate process, for choices that a process makes only once, and for work that survives a kill."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

# Imported once by the process from which the others are forked; nothing of a family or of this package.
PRELOADED = ("keras", "mlflow.pyfunc")


def in_fresh_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call `work` in a process that has computed nothing yet; return its result or raise its exception.

    Raises
    ------
    concurrent.futures.process.BrokenProcessPool
        If the process was killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(work, *arguments).result()
