"""Recordings of subjects with a label, and labels of too few subjects."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eeg2fmri.config import Config
from eeg2fmri.datasets import Source, find_eeg, read_labels
from eeg2fmri.errors import DatasetError, counted
from eeg2fmri.evaluation import least_of_a_label, smallest_label_p

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labelled:
    """Recordings of EEG of subjects with a label.

    recordings: sorted by their entities.  labels: of the subjects that have a recording, ``sub-01`` and so on.
    left_out: subjects with a recording and no label, or with a label and no recording.
    """

    recordings: tuple[Source, ...]
    labels: Mapping[str, str]
    left_out: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Subjects of each label."""
        return dict(sorted(Counter(self.labels.values()).items()))


def find_labelled(config: Config, root: Path) -> Labelled:
    """Find the recordings of subjects with a label, and refuse too few of them.

    Raises
    ------
    DatasetError
        If there is no EEG or no label, or too few subjects of a label for the folds or for `policy.level`.
    """
    column = config.classify.column
    sources, skipped = find_eeg(root, config.dataset)
    for line in counted((item.path, f"{item.reason}; skipped") for item in skipped):
        logger.warning("%s", line)
    labels = read_labels(root, column)
    subjects = {f"sub-{source.subject}" for source in sources}
    used = {subject: labels[subject] for subject in sorted(subjects) if subject in labels}
    found = Labelled(
        tuple(source for source in sources if f"sub-{source.subject}" in used),
        used,
        tuple(sorted(subjects.symmetric_difference(labels))),
    )
    if found.left_out:
        named, count = ", ".join(found.left_out[:5]), len(found.left_out)
        logger.warning("%d subjects have no label, or none of the chosen EEG (%s); left out", count, named)
    _check_counts(found, config, root)
    return found


def _check_counts(found: Labelled, config: Config, root: Path) -> None:
    """Refuse labels of too few subjects."""
    settings, level = config.classify, config.policy.level
    numbers = ", ".join(f"{label}: {n}" for label, n in list(found.counts.items())[:6]) or "none"
    where = f"{root / 'participants.tsv'}: column {settings.column!r} has these labels of subjects with EEG ({numbers})"
    needed = least_of_a_label(settings.folds)
    if len(found.counts) < 2 or min(found.counts.values()) < needed:
        folds = "classify.folds null" if settings.folds is None else f"classify.folds {settings.folds}"
        raise DatasetError(
            f"{where}; at least 2 labels of {needed} subjects each are expected ({folds}); record more, or give "
            f"another --column"
        )
    least = smallest_label_p([*found.labels.values()], settings.permutations)
    if least >= level:
        raise DatasetError(
            f"{where}; {settings.permutations} permutations of them give no p below {least:.3g}, policy.level is "
            f"{level:g}; set classify.permutations={int(1 / level)} or more, or record more subjects"
        )
