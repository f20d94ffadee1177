"""Functions from a dataset to a store."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from eeg2fmri.api.settings import Settings, config_of
from eeg2fmri.datasets import Overview, find_recordings, survey
from eeg2fmri.errors import counted
from eeg2fmri.store import Store, build_store, dataset_name, prepare, say_left_out

logger = logging.getLogger(__name__)


def inspect(root: Path | str, config: Settings = None, *, full: bool = False) -> Overview:
    """List the recordings of a dataset: the usable ones, and the reason why others are not usable.

    Headers and a few seconds of EEG are read, unless `full`.

    Parameters
    ----------
    root : path
        Folder of the dataset.
    config : Config or path, optional
        Its sections ``dataset`` and ``data`` choose recordings and their preparation. If it is given, a recording
        that is too short for it is not usable.
    full : bool, default=False
        Prepare every recording as `preprocess` does. That takes as long, but finds every fault in a file.

    Returns
    -------
    Overview
        `to_frame` gives a table with one row per recording: TR (s), sampling rate (Hz), grid, clock.
        `problems` are pairs of a path and its fault.

    Raises
    ------
    DatasetError
        If `root` is missing, or a filter's label matches nothing.
    ConfigError
        If `config` is not valid.

    Examples
    --------
    >>> overview = eeg2fmri.inspect("my-study")  # doctest: +SKIP
    >>> overview.to_frame()[["recording", "status", "tr", "volumes"]]  # doctest: +SKIP
    >>> overview.problems  # doctest: +SKIP
    """
    given = config_of(config)
    read = partial(prepare, config=given.data) if full else None
    return survey(Path(root), given.dataset, given.data, strict=full or config is not None, read=read)


def preprocess(
    root: Path | str, store: Path | str, config: Settings = None, *, workers: int = 1, allow_failures: bool = False
) -> Store:
    """Turn a dataset into a store of EEG spectrograms and BOLD volumes on one clock.

    Recordings that are in the store already are kept, so a repeated call continues where it stopped.

    Parameters
    ----------
    root : path
        Folder of the dataset.
    store : path or URL
        Folder of the store, or a place that fsspec knows (``s3://bucket/store``).
    config : Config or path, optional
        Its sections ``dataset`` and ``data`` say which recordings are used and how. The store keeps its section
        ``split`` for `fit` and `evaluate`.
    workers : int, default=1
        Processes that work on recordings at the same time.
    allow_failures : bool, default=False
        Continue although some recordings cannot be used; each is logged.

    Returns
    -------
    Store
        Of each recording ``spectrogram`` (volumes - 1, channels, frequencies) in µV and ``volumes``
        (volumes, x, y, z) in scanner intensity.

    Raises
    ------
    DatasetError
        If no recording can be used.
    IncompleteError
        If some cannot, and that is not allowed; the others are in the store.
    StoreError
        If there is something else, or a store with other settings.

    Examples
    --------
    >>> store = eeg2fmri.preprocess("my-study", "work/store", "my-study.yaml", workers=4)  # doctest: +SKIP
    >>> store.subjects  # doctest: +SKIP
    ['sub-01', 'sub-02', 'sub-03']
    """
    given = config_of(config)
    recordings, skipped = find_recordings(Path(root).absolute(), given.dataset)
    for line in counted((item.path, f"{item.reason}; skipped") for item in skipped):
        logger.warning("%s", line)
    name = dataset_name(Path(root))
    built = build_store(recordings, store, given.data, name=name, split=given.split, workers=workers)
    say_left_out(built, allow_failures=allow_failures)
    return built.store
