"""Layouts of datasets, and how their files become recordings.

A dataset that is not BIDS takes one class: it lists EEG and BOLD files with their labels, and pairing,
filters and reports are the same as for every other dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eeg2fmri.config import DatasetConfig
from eeg2fmri.datasets.recording import Recording, Skipped
from eeg2fmri.errors import DatasetError, nearest

Key = tuple[str, str, str, str]
FILTERS = {"subjects": "subject", "sessions": "session", "tasks": "task", "runs": "run"}
PREFIXES = {"subject": "sub", "session": "ses", "task": "task", "run": "run"}


@dataclass(frozen=True)
class Source:
    """A file of one modality with its labels (without ``sub-`` and the like).

    details: further fields of `Recording` that this file determines, e.g. ``channels_path``.
    """

    path: Path
    subject: str
    session: str = ""
    task: str = ""
    run: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What pairs EEG with BOLD: case does not count, and run 1 is run 01."""
        labels = (self.subject, self.session, self.task, self.run)
        subject, session, task, run = (label.lower() for label in labels)
        return subject, session, task, str(int(run)) if run.isdigit() else run

    @property
    def name(self) -> str:
        """Name of the recording, e.g. ``sub-01_task-rest_run-1``."""
        labels = {prefix: getattr(self, label) for label, prefix in PREFIXES.items()}
        return "_".join(f"{prefix}-{label}" for prefix, label in labels.items() if label)


class Adapter:
    """The layout of one kind of dataset.

    Subclass it for data that is not BIDS::

        class MyLab(Adapter):
            def eeg_files(self):
                for path in self.root.glob("*/eeg.edf"):
                    yield Source(path, subject=path.parent.name)

            def bold_files(self):
                for path in self.root.glob("*/bold.nii.gz"):
                    yield Source(path, subject=path.parent.name, details={"tr": 2.0})

    and name it in the configuration, ``dataset.name: my_package.my_module:MyLab``.

    eeg, bold: what ``auto`` stands for in `DatasetConfig.eeg` and `DatasetConfig.bold`.
    expected: what the layout looks like, for the message that nothing of it was found.

    Files that a layout sees and leaves out on purpose are added to `skipped` with the reason.
    """

    eeg = "raw"
    bold = "raw"
    expected = "EEG and BOLD files that its adapter knows"

    def __init__(self, root: Path, config: DatasetConfig) -> None:
        self.root = root
        self.config = config
        self.eeg_choice = self.eeg if config.eeg == "auto" else config.eeg
        self.bold_choice = self.bold if config.bold == "auto" else config.bold
        self.skipped: list[Skipped] = []

    def eeg_files(self) -> Iterable[Source]:
        """EEG files of `root` (headers, where there are several files), in order of preference."""
        raise NotImplementedError

    def bold_files(self) -> Iterable[Source]:
        """BOLD files of `root`, in order of preference."""
        raise NotImplementedError


def pair(adapter: Adapter) -> tuple[list[Recording], list[Skipped], tuple[int, int]]:
    """Pair the files of a dataset by subject, session, task and run.

    Returns
    -------
    recordings, sorted by name; files that belong to none; number of EEG and of BOLD files.
    """
    eeg_sources, bold_sources = list(adapter.eeg_files()), list(adapter.bold_files())
    _check_labels(adapter, [*eeg_sources, *bold_sources])
    eeg, skipped = _by_key(source for source in eeg_sources if _wanted(source, adapter.config))
    bold, others = _by_key(source for source in bold_sources if _wanted(source, adapter.config))
    recordings = [_recording(eeg[key], bold[key], adapter.config) for key in sorted(eeg.keys() & bold.keys())]
    _check_named(adapter, [source.name for source in eeg_sources])
    skipped += [*others, *(item for item in adapter.skipped if _wanted_name(item, adapter.config))]
    for one, other, reason in ((eeg, bold, "EEG without BOLD"), (bold, eeg, "BOLD without EEG")):
        for key in sorted(one.keys() - other.keys()):
            skipped.append(Skipped(one[key].path, reason + _near_miss(key, other), one[key].name))
    return recordings, skipped, (len(eeg), len(bold))


def _recording(eeg: Source, bold: Source, config: DatasetConfig) -> Recording:
    chosen = {"alignment": config.alignment} if config.alignment != "auto" else {}
    fields: dict[str, Any] = {
        "missing_markers": config.missing_markers.get(eeg.name, config.missing_markers.get("all", "refuse")),
        "volume_marker": config.volume_marker,
        "orientation": config.orientation,
        **eeg.details,
        **bold.details,
        **chosen,
    }
    return Recording(
        subject=f"sub-{eeg.subject}",
        name=eeg.name,
        eeg_path=eeg.path,
        bold_path=bold.path,
        session=eeg.session,
        task=eeg.task,
        run=eeg.run,
        **fields,
    )


def _check_named(adapter: Adapter, names: list[str]) -> None:
    """Refuse a name in `DatasetConfig.missing_markers` that no EEG file has."""
    for name in adapter.config.missing_markers:
        if name not in ("all", *names):
            hint = nearest(name, names) or f"; there: {', '.join(sorted(names)[:8])}"
            raise DatasetError(f"dataset.missing_markers: {adapter.root} has no recording {name!r}{hint}")


def _by_key(sources: Iterable[Source]) -> tuple[dict[Key, Source], list[Skipped]]:
    """Files by their pairing labels; of several with the same ones the first is taken."""
    found: dict[Key, Source] = {}
    skipped: list[Skipped] = []
    for source in sources:
        first = found.setdefault(source.key, source)
        if first is not source:
            reason = f"same subject, session, task and run as {first.path.name}"
            skipped.append(Skipped(source.path, reason, source.name))
    return found, skipped


def _near_miss(key: Key, others: Mapping[Key, Source]) -> str:
    """The runs that the other modality has of the same subject, session and task."""
    runs = [f"run-{s.run}" if s.run else "no run" for k, s in sorted(others.items()) if k[:3] == key[:3]]
    return f" of the same run (there: {', '.join(runs)})" if runs else ""


def _check_labels(adapter: Adapter, sources: list[Source]) -> None:
    """Refuse a label that matches nothing."""
    for name, attribute in FILTERS.items():
        known = sorted({getattr(source, attribute) for source in sources} - {""})
        known += sorted({part for item in adapter.skipped for part in _labels_of(item.name, attribute)} - set(known))
        for label in getattr(adapter.config, name):
            if sources and not any(_matches(label, other, attribute) for other in known):
                hint = nearest(_bare(label, attribute), known) or f"; there: {', '.join(known[:8]) or 'none'}"
                raise DatasetError(f"dataset.{name}: {label!r} matches nothing in {adapter.root}{hint}")


def _wanted(source: Source, config: DatasetConfig) -> bool:
    return all(_chosen(getattr(config, name), getattr(source, label), label) for name, label in FILTERS.items())


def _wanted_name(item: Skipped, config: DatasetConfig) -> bool:
    """Whether the filters leave a skipped file in; one without a name always stays."""
    labels = {label: next(iter(_labels_of(item.name, label)), "") for label in FILTERS.values()}
    return not item.name or all(_chosen(getattr(config, name), labels[label], label) for name, label in FILTERS.items())


def _chosen(asked: tuple[str, ...], label: str, attribute: str) -> bool:
    return not asked or any(_matches(one, label, attribute) for one in asked)


def _labels_of(name: str, attribute: str) -> Iterator[str]:
    prefix = f"{PREFIXES[attribute]}-"
    yield from (part.removeprefix(prefix) for part in name.split("_") if part.startswith(prefix))


def _matches(asked: str, label: str, attribute: str) -> bool:
    """``sub-01`` and ``01`` ask for 01; numbers are compared as numbers."""
    bare = _bare(asked, attribute)
    if bare.isdigit() and label.isdigit():
        return int(bare) == int(label)
    return bare.lower() == label.lower()


def _bare(label: str, attribute: str) -> str:
    return re.sub(rf"^{PREFIXES[attribute]}-", "", label, flags=re.IGNORECASE)
