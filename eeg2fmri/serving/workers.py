"""A model for processes that share work, see `eeg2fmri.store.parallel.each`."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eeg2fmri.serving.bundle import Bundle, load_bundle, save_bundle


@contextmanager
def shared(bundle: Bundle, workers: int) -> Iterator[Bundle | Path]:
    """Give a model to the tasks of so many workers: itself, or for other processes a folder that holds it."""
    if workers == 1:
        yield bundle
        return
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(Path(folder), bundle)
        yield Path(folder)


def loaded(where: Bundle | Path) -> Bundle:
    """Return the model of `shared`; a process loads it once."""
    return _load(where) if isinstance(where, Path) else where


@functools.lru_cache(maxsize=1)
def _load(folder: Path) -> Bundle:
    return load_bundle(folder)
