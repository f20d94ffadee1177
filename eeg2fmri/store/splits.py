"""Splits by subject, or by session where a configuration names sessions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from eeg2fmri.config import SplitConfig
from eeg2fmri.errors import ConfigError, LeakageError

if TYPE_CHECKING:
    from eeg2fmri.store.store import Store

DEFAULT = SplitConfig(validation=1, test=2)
SESSION = "_ses-"  # what a session's label has between its subject and its own name


@dataclass(frozen=True)
class Split:
    """Labels of each part: subjects, or sessions such as ``sub-01_ses-02``; nothing is in two."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        names = list(parts)
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                if both := _shared(parts[first], parts[second]):
                    raise LeakageError(f"split: {', '.join(both)} in {first} and in {second}; split by subject")

    def part(self, name: str) -> tuple[str, ...]:
        """Return labels of ``"train"``, ``"validation"`` or ``"test"``."""
        parts: dict[str, tuple[str, ...]] = asdict(self)
        if name not in parts:
            raise ConfigError(f"split {name!r} is not known; expected one of {', '.join(parts)}")
        return parts[name]


def laid_over(config: SplitConfig, below: SplitConfig) -> SplitConfig:
    """Give a split as `config` sets it, and where it sets nothing as `below` does."""
    return below.model_copy(update=config.model_dump(exclude_none=True))


def settled(config: SplitConfig, kept: SplitConfig) -> SplitConfig:
    """Settle a split: as `config` sets it, else as the store keeps it, else `DEFAULT`."""
    return laid_over(config, laid_over(kept, DEFAULT))


def subject_of(label: str) -> str:
    """Return the subject of a session's label; a subject's label itself."""
    return label.partition(SESSION)[0]


def split_store(store: Store, config: SplitConfig) -> Split:
    """Assign subjects of a store to train, validation and test, as `settled` says; or sessions, where it names one.

    Raises
    ------
    ConfigError
        As `split_subjects`; or if sessions are named in one part and another one is a number.
    LeakageError
        If a subject or session is named in two parts.
    """
    return split_sessions(store.sessions, settled(config, store.split))


def split_sessions(sessions: Mapping[str, Sequence[str]], config: SplitConfig) -> Split:
    """Do what `split_store` does, with the sessions by subject; what `config` does not set is that of `DEFAULT`."""
    config = laid_over(config, DEFAULT)
    parts = {"validation": config.validation, "test": config.test}
    named = {name: _with_prefix(wanted) for name, wanted in parts.items() if isinstance(wanted, tuple)}
    if not any(SESSION in label for labels in named.values() for label in labels):
        return split_subjects(list(sessions), config)
    if numbers := sorted(parts.keys() - named.keys()):
        raise ConfigError(f"split.{numbers[0]}: a number beside labels of sessions; give labels here too")
    wanted = {
        name: tuple(session for label in labels for session in sessions.get(label, [label]))
        for name, labels in named.items()
    }
    return split_subjects([label for labels in sessions.values() for label in labels], SplitConfig(**wanted))


def split_subjects(subjects: list[str], config: SplitConfig) -> Split:
    """Assign subjects to train, validation and test; what `config` does not set is that of `DEFAULT`.

    Numbers count from the end of the sorted subjects: the last are test, those before are validation.

    Raises
    ------
    ConfigError
        If a named subject is not in the store, or a part that is needed stays empty.
    LeakageError
        If a subject is named in two parts.
    """
    config, left = laid_over(config, DEFAULT), sorted(subjects)
    test = _take(left, config.test, "test")
    left = [s for s in left if s not in test]
    validation = _take(
        left if isinstance(config.validation, int) else sorted(subjects), config.validation, "validation"
    )
    train = tuple(s for s in left if s not in validation)
    for name, part in (("train", train), ("validation", validation)):
        if not part:
            raise ConfigError(
                f"split: no subject left for {name} among {len(subjects)} ({', '.join(sorted(subjects))}); "
                f"use fewer test or validation subjects, or more subjects"
            )
    return Split(train, validation, test)


def _take(subjects: list[str], wanted: int | tuple[str, ...] | None, name: str) -> tuple[str, ...]:
    assert wanted is not None  # of a settled split
    if isinstance(wanted, int):
        if wanted > len(subjects):
            raise ConfigError(
                f"split.{name}: {wanted} subjects asked for, {len(subjects)} are in the store; ask for fewer"
            )
        return tuple(subjects[len(subjects) - wanted :])
    labels = _with_prefix(wanted)
    if unknown := sorted(set(labels) - set(subjects)):
        raise ConfigError(
            f"split.{name}: {', '.join(unknown)} not in the store, which has {', '.join(subjects)}; name one of these"
        )
    return labels


def _with_prefix(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label if label.startswith("sub-") else f"sub-{label}" for label in labels)


def _shared(one: Collection[str], other: Collection[str]) -> list[str]:
    """Return labels of one part that the other holds too: the same label, or a subject and a session of it."""
    mutual = ((one, other), (other, one))
    return sorted({label for these, those in mutual for label in these if {label, subject_of(label)} & set(those)})
