"""Folds of a cross-validation: explicit splits, made by a protocol or read from a published file."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eeg2fmri.config import CrossvalConfig
from eeg2fmri.errors import ConfigError
from eeg2fmri.store.splits import Split
from eeg2fmri.store.store import Store

logger = logging.getLogger(__name__)


def make_folds(sessions: Mapping[str, Sequence[str]], config: CrossvalConfig) -> tuple[Split, ...]:
    """Make the folds of a protocol; in all of them together every subject is tested once.

    A fold tests a group of subjects; of the others, the next ones in the order of labels, in a circle, validate.
    So nothing is drawn: the same subjects give the same folds. With ``leave-one-session-out`` fold n tests
    session n of every subject that has a second one, and the parts are sessions: the only protocol in which a
    person is on both sides. Who validates does not train, with no session.

    Parameters
    ----------
    sessions : labels of the sessions of each subject, as `Store.sessions` gives them.
    config : protocol, number of folds and of validation subjects.

    Raises
    ------
    ConfigError
        If there are too few subjects or sessions for the protocol.
    """
    subjects = sorted(sessions)
    if config.protocol == "leave-one-session-out":
        return _by_session(sessions, config.validation)
    count = len(subjects) if config.protocol == "leave-one-subject-out" else config.folds
    if count > len(subjects):
        raise ConfigError(
            f"crossval.folds={count}: the store has {len(subjects)} subjects ({', '.join(subjects)}); use at most "
            f"{len(subjects)} folds"
        )
    groups = [subjects[first::count] for first in range(count)]
    largest = max(map(len, groups), default=0)
    needed = largest + config.validation + 1
    if len(subjects) < needed:
        raise ConfigError(
            f"crossval.protocol={config.protocol}: {len(subjects)} subjects, a fold needs {needed} ({largest} to test, "
            f"{config.validation} to validate, 1 to train); use more subjects, or a smaller crossval.validation"
        )
    folds = []
    for first, test in enumerate(groups):
        others = [s for s in _turned(subjects, first + 1) if s not in test]
        validation, train = others[: config.validation], others[config.validation :]
        folds.append(Split(tuple(sorted(train)), tuple(sorted(validation)), tuple(test)))
    return tuple(folds)


def _by_session(sessions: Mapping[str, Sequence[str]], n_validation: int) -> tuple[Split, ...]:
    subjects = sorted(sessions)
    tested = {subject: sorted(sessions[subject]) for subject in subjects if len(sessions[subject]) > 1}
    if not tested:
        raise ConfigError(
            "crossval.protocol=leave-one-session-out: no subject of the store has a second session; use "
            "leave-one-subject-out"
        )
    if len(subjects) <= n_validation:
        raise ConfigError(
            f"crossval.protocol=leave-one-session-out: {len(subjects)} subjects, a fold needs {n_validation + 1} "
            f"({n_validation} to validate, 1 to train); use more subjects, or a smaller crossval.validation"
        )
    folds = []
    for number in range(max(map(len, tested.values()))):
        test = tuple(own[number] for own in tested.values() if number < len(own))
        order = _turned(subjects, number)
        validation, train = (
            tuple(sorted(label for subject in part for label in sessions[subject] if label not in test))
            for part in (order[:n_validation], order[n_validation:])
        )
        folds.append(Split(train, validation, test))
    return tuple(folds)


def folds_content(folds: Sequence[Split], protocol: str, seed: int, store: Store) -> dict[str, Any]:
    """Give the split file: the folds, and what they are folds of; JSON values.

    Recordings stand with the digest of their source files, which does not depend on how they are prepared.
    """
    return {
        "protocol": protocol,
        "seed": seed,
        "folds": [asdict(fold) for fold in folds],
        "recordings": {recording.name: recording.source_digest for recording in store.recordings},
        "data_digest": store.digest,
    }


def read_folds(path: Path, store: Store) -> tuple[str, tuple[Split, ...]]:
    """Read the protocol and the folds of a split file, and check that they are folds of this store.

    Raises
    ------
    ConfigError
        If the file cannot be read, names what the store does not have, or leaves out what it has.
    LeakageError
        If a label is in two parts of a fold.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        protocol, recordings = str(content["protocol"]), dict(content["recordings"])
        folds = tuple(Split(*(tuple(fold[p]) for p in ("train", "validation", "test"))) for fold in content["folds"])
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as err:
        raise ConfigError(
            f"{path}: not a split file of crossval ({type(err).__name__}); give the split.json of a crossval run"
        ) from err
    known = {*store.subjects, *(session for own in store.sessions.values() for session in own)}
    has = ", ".join(sorted(known))
    every = {recording.name for recording in store.recordings}
    for number, fold in enumerate(folds, 1):
        labels = (*fold.train, *fold.validation, *fold.test)
        if unknown := sorted(set(labels) - known):
            raise ConfigError(f"{path}: fold {number} names {', '.join(unknown)}, not in the store, which has {has}")
        if left := sorted(every - {recording.name for recording in store.of(labels)}):
            raise ConfigError(
                f"{path}: fold {number} says nothing of {', '.join(left)} in the store; make a store without it "
                "(dataset.subjects, dataset.sessions)"
            )
    for recording in store.recordings:
        if recordings.get(recording.name) != recording.source_digest:
            logger.warning("%s: %s has other source files than those of the split file", path, recording.name)
    return protocol, folds


def _turned(items: list[str], start: int) -> list[str]:
    """Return the same items in a circle, from another one on."""
    start %= len(items)
    return [*items[start:], *items[:start]]
