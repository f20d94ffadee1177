"""Splits by subject."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from eeg2fmri.config import SplitConfig
from eeg2fmri.errors import ConfigError, LeakageError


@dataclass(frozen=True)
class Split:
    """Subjects of each part; no subject is in two."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        names = list(parts)
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                if both := sorted(set(parts[first]) & set(parts[second])):
                    raise LeakageError(f"split: {', '.join(both)} in {first} and in {second}; split by subject")

    def part(self, name: str) -> tuple[str, ...]:
        """Return the subjects of ``"train"``, ``"validation"`` or ``"test"``."""
        parts: dict[str, tuple[str, ...]] = asdict(self)
        if name not in parts:
            raise ConfigError(f"split {name!r} is not known; expected one of {', '.join(parts)}")
        return parts[name]


def split_subjects(subjects: list[str], config: SplitConfig) -> Split:
    """Assign subjects to train, validation and test.

    Numbers count from the end of the sorted subjects: the last are test, those before are validation.

    Raises
    ------
    ConfigError
        If a named subject is not in the store, or a part that is needed stays empty.
    LeakageError
        If a subject is named in two parts.
    """
    left = sorted(subjects)
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


def _take(subjects: list[str], wanted: int | tuple[str, ...], name: str) -> tuple[str, ...]:
    if isinstance(wanted, int):
        if wanted > len(subjects):
            raise ConfigError(
                f"split.{name}: {wanted} subjects asked for, {len(subjects)} are in the store; ask for fewer"
            )
        return tuple(subjects[len(subjects) - wanted :])
    labels = tuple(s if s.startswith("sub-") else f"sub-{s}" for s in wanted)
    if unknown := sorted(set(labels) - set(subjects)):
        raise ConfigError(
            f"split.{name}: {', '.join(unknown)} not in the store, which has {', '.join(subjects)}; name one of these"
        )
    return labels
