"""Filters: the files of a dataset that the configuration asks for, by their labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets.recording import Skipped
from eeg2fmri.datasets.source import Source, comparable
from eeg2fmri.errors import DatasetError, nearest

FILTERS = {"subjects": "sub", "sessions": "ses", "tasks": "task", "runs": "run"}


def chosen(sources: Sequence[Source], config: DatasetConfig) -> list[Source]:
    """Return the files of one modality that pass the filters.

    An entity such as ``acq`` chooses among the files of one subject, session and task. If none of them has it, all
    stay. If no file of a modality has the label, all of that modality stay.
    """
    kept = [source for source in sources if _left_in(source.labels, config)]
    for key, asked in config.entities.items():
        if not any(_matches_any(asked, source.labels.get(key, ""), key) for source in kept):
            continue
        using = {_task_of(source) for source in kept if key in source.labels}
        kept = [
            source
            for source in kept
            if _task_of(source) not in using or _matches_any(asked, source.labels.get(key, ""), key)
        ]
    return kept


def wanted_name(item: Skipped, config: DatasetConfig) -> bool:
    """Return whether a skipped file passes the filters; one without a name always does."""
    return not item.name or _left_in(labels_of(item.name), config)


def labels_of(name: str) -> dict[str, str]:
    """Return the labels in the name of a recording."""
    return dict(part.split("-", 1) for part in name.split("_") if "-" in part)


def check_choices(
    root: Path, config: DatasetConfig, eeg: Sequence[Source], bold: Sequence[Source], skipped: Iterable[Skipped]
) -> None:
    """Refuse a label that matches nothing.

    Raises
    ------
    DatasetError
        If a label matches nothing; the message names the nearest label.
    """
    every = [source.labels for source in (*eeg, *bold)]
    if not every:
        return
    left_out = [labels_of(item.name) for item in skipped]
    asked = [(f"dataset.{setting}", key, getattr(config, setting)) for setting, key in FILTERS.items()]
    asked += [(f"dataset.entities.{key}", key, labels) for key, labels in config.entities.items()]
    for setting, key, labels in asked:
        known = sorted({names[key] for names in (*every, *left_out) if names.get(key)})
        for label in labels:
            if not _matches_any((label,), known, key):
                raise _nothing(setting, label, _bare(label, key), known, root)
    _check_alias(root, config, eeg, bold)
    _check_variants(root, config, bold)


def _check_alias(root: Path, config: DatasetConfig, eeg: Sequence[Source], bold: Sequence[Source]) -> None:
    for own, other in config.task_alias.items():
        for label, sources, modality in ((own, eeg, "an EEG"), (other, bold, "a BOLD")):
            known = sorted({source.task for source in sources} - {""})
            if not _matches_any((label,), known, "task"):
                raise _nothing(f"dataset.task_alias, the task of {modality} file", label, label, known, root)


def _check_variants(root: Path, config: DatasetConfig, bold: Sequence[Source]) -> None:
    echoes = sorted({source.labels["echo"] for source in bold if "echo" in source.labels})
    if config.echo != "refuse" and not echoes:
        raise DatasetError(f"dataset.echo: {config.echo!r} is set, but no BOLD file in {root} has one; unset it")
    if isinstance(config.echo, int) and not _matches_any((str(config.echo),), echoes, "echo"):
        raise _nothing("dataset.echo", str(config.echo), str(config.echo), echoes, root)
    parts = sorted({source.labels.get("part", "mag").lower() for source in bold})
    if config.part != "mag" and config.part not in parts:
        raise _nothing("dataset.part", config.part, config.part, parts, root)


def _nothing(setting: str, label: str, bare: str, known: Sequence[str], root: Path) -> DatasetError:
    hint = nearest(bare, known) or f"; there: {', '.join(known[:8]) or 'none'}"
    return DatasetError(f"{setting}: {label!r} matches nothing in {root}{hint}")


def _left_in(labels: Mapping[str, str], config: DatasetConfig) -> bool:
    for setting, key in FILTERS.items():
        asked, label = getattr(config, setting), labels.get(key, "")
        if asked and not _matches_any(asked, _tasks(label, config) if key == "task" else (label,), key):
            return False
    return True


def _tasks(task: str, config: DatasetConfig) -> tuple[str, ...]:
    """Return a task, and the names that `DatasetConfig.task_alias` gives it in the other modality."""
    pairs = [(comparable(own), comparable(other)) for own, other in config.task_alias.items()]
    bare = comparable(task)
    return (task, *(b for a, b in pairs if a == bare), *(a for a, b in pairs if b == bare))


def _task_of(source: Source) -> tuple[str, ...]:
    return comparable(source.subject), comparable(source.session), comparable(source.task)


def _matches_any(asked: Iterable[str], labels: Sequence[str] | str, key: str) -> bool:
    """Return whether a label matches: ``sub-01`` and ``01`` ask for 01; numbers are compared as numbers."""
    there = {comparable(label) for label in ([labels] if isinstance(labels, str) else labels)}
    return any(comparable(_bare(one, key)) in there for one in asked)


def _bare(label: str, key: str) -> str:
    return re.sub(rf"^{re.escape(key)}-", "", label, flags=re.IGNORECASE)
