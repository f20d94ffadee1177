"""A file of one modality with its BIDS entities, and the run to which they assign it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUN_ENTITIES = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run")  # in the order of BIDS
VARIANTS = ("echo", "part", "split", "space", "res", "den", "label", "desc")  # versions of one run
DERIVED = ("space", "res", "den", "label", "desc")
Identity = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Source:
    """A file of one modality with its labels (without ``sub-`` and the like).

    details: further fields of `Recording` that this file determines, e.g. ``channels_path``.
    entities: further BIDS entities, e.g. ``{"acq": "std", "echo": "2"}``.
    """

    path: Path
    subject: str
    session: str = ""
    task: str = ""
    run: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Return every entity that has a label, in the order of BIDS."""
        named = {"sub": self.subject, "ses": self.session, "task": self.task, "run": self.run}
        all_of = {**self.entities, **named}
        order = [*RUN_ENTITIES, *sorted(set(all_of) - {*RUN_ENTITIES, *VARIANTS}), *VARIANTS]
        return {key: all_of[key] for key in order if all_of.get(key)}

    @property
    def identity(self) -> Identity:
        """Return the entities that distinguish runs: case does not count, and run 1 is run 01."""
        return tuple((key, comparable(label)) for key, label in self.labels.items() if key not in VARIANTS)

    @property
    def name(self) -> str:
        """Return the name of the recording, e.g. ``sub-01_task-rest_run-1``."""
        return run_name(self.labels)


def run_name(labels: Mapping[str, str]) -> str:
    """Return the name of the run with these entities, which are in the order of BIDS."""
    return "_".join(f"{key}-{label}" for key, label in labels.items() if label and key not in VARIANTS)


def comparable(label: str) -> str:
    """Return a label in the form for comparison: lower case, numbers without leading zeros."""
    return str(int(label)) if label.isdecimal() else label.lower()
