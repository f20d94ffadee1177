"""Classification of subjects with EEG only, by what a model synthesises from their EEG and by the EEG itself.

A model knows nothing of a subject but the EEG. So the question is not only if its volumes separate the labels better
than chance, but if they do so better than the EEG that they were made from.

The features of a recording, by set and kind:

regions   synthesised regional courses: `spread`, the log of their standard deviations, and `correlation` between them
latents   the same of the few courses that the model makes its volumes from, if its family has them
eeg       log band power of each channel: `mean`, and `spread` as above

Courses and band power have no drifts, as in the scores of a model. Features of a subject are means over recordings.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eeg2fmri.config import Config
from eeg2fmri.datasets import Source, find_eeg, read_atlas, read_labels
from eeg2fmri.errors import DatasetError, ModelError
from eeg2fmri.evaluation import (
    Atlas,
    Classified,
    blocks,
    classify,
    least_of_a_label,
    paired_p,
    smallest_label_p,
)
from eeg2fmri.families import family_of
from eeg2fmri.models.linear import bands_with_bins, log_band_power
from eeg2fmri.scoring import SEED
from eeg2fmri.serving import Bundle, read_windows, region_courses
from eeg2fmri.signals import without_drift

logger = logging.getLogger(__name__)
EEG, REGIONS, LATENTS = "eeg", "regions", "latents"
LEAST_WINDOWS = 20  # of a recording: a standard deviation of fewer says nothing
LIMIT = 1 - 1e-6  # of a correlation, before Fisher's transformation
BATCH = 32  # windows at once
TABLES = ("channels_path", "eeg_events_path", "channel_types")  # of a `Source`, which help to read its EEG
Kinds = Mapping[str, np.ndarray]  # kind -> features


@dataclass(frozen=True)
class Labelled:
    """Recordings of EEG of subjects with a label.

    recordings: sorted by name.  labels: of the subjects that have a recording, ``sub-01`` and so on.
    left_out: subjects with a recording and no label, or with a label and no recording.
    """

    recordings: tuple[Source, ...]
    labels: Mapping[str, str]
    left_out: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Subjects of each label."""
        return dict(sorted(Counter(self.labels.values()).items()))


@dataclass(frozen=True)
class Beside:
    """A set of features beside the EEG alone.

    won: subjects whose label only the set predicts.  lost: only the EEG.  difference: balanced accuracy of the set
    minus that of the EEG.  p_value: the larger one of `paired_p` and of p of the better one against permuted labels
    (Berger 1982, Technometrics 24:295). Without a difference between labels a set may be worse than chance by chance;
    a set that is better only than this says nothing.
    """

    won: int
    lost: int
    difference: float
    p_value: float


@dataclass(frozen=True)
class Classification:
    """Results by set of features, and each set compared with EEG alone by who is right about a subject."""

    subjects: tuple[str, ...]
    labels: tuple[str, ...]
    found: Mapping[str, Classified]
    smallest_p: float

    @property
    def chance(self) -> float:
        """Balanced accuracy of the most frequent label for everybody."""
        return 1 / len(set(self.labels))

    @property
    def majority(self) -> float:
        """Accuracy of the most frequent label for everybody."""
        return max(Counter(self.labels).values()) / len(self.labels)

    @property
    def beside_eeg(self) -> dict[str, Beside]:
        """Every other set, compared with the EEG alone."""
        return {name: _beside(each, self.found[EEG]) for name, each in self.found.items() if name != EEG}


def _beside(one: Classified, eeg: Classified) -> Beside:
    """Compare a set of features with the EEG alone."""
    difference = one.score - eeg.score
    better = one if difference > 0 else eeg
    won, lost = (int(each.sum()) for each in (one.correct & ~eeg.correct, eeg.correct & ~one.correct))
    return Beside(won, lost, difference, max(paired_p(one, eeg), better.p_value))


def find_labelled(config: Config, root: Path) -> Labelled:
    """Find the recordings of subjects with a label, and refuse too few of them.

    Raises
    ------
    DatasetError
        If there is no EEG or no label, or too few subjects of a label for the folds or for `policy.level`.
    """
    column = config.classify.column
    sources, skipped = find_eeg(root, config.dataset)
    for item in skipped:
        logger.warning("%s: %s; skipped", item.path, item.reason)
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
    counted = ", ".join(f"{label}: {n}" for label, n in list(found.counts.items())[:6]) or "none"
    where = f"{root / 'participants.tsv'}: column {settings.column!r} has these labels of subjects with EEG ({counted})"
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


def parcellation(bundle: Bundle, config: Config) -> Atlas:
    """Read the regions of `evaluation.atlas` on the grid of a model, or cut its brain into blocks.

    Raises
    ------
    DatasetError
        If the atlas cannot be used, see `read_atlas`.
    """
    mask = bundle.model.bold_statistics.mask
    if config.evaluation.atlas is None:
        return blocks(mask, np.asarray(bundle.signal.affine), config.classify.block)
    return read_atlas(Path(config.evaluation.atlas), bundle.signal, mask)


def subject_features(
    bundle: Bundle,
    found: Labelled,
    atlas: Atlas,
    config: Config,
    on_recording: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, np.ndarray]]:
    """Compute the features of every subject, by set and kind, (subjects, p).

    Parameters
    ----------
    bundle : the model.
    found : recordings of the subjects; those of one subject are averaged.
    atlas : regions on the grid of the model.
    config : its sections ``classify``, ``dataset`` and ``evaluation``.
    on_recording : called after each.

    Raises
    ------
    DatasetError, AlignmentError
        If a recording cannot be read, or is too short.
    ModelError
        If the model's volumes do not depend on the EEG.
    """
    own: dict[str, list[dict[str, dict[str, np.ndarray]]]] = {subject: [] for subject in found.labels}
    for source in found.recordings:
        tables = {key: value for key, value in source.details.items() if key in TABLES}
        windows, whole, _ = read_windows(bundle, source.path, config.dataset.volume_marker, **tables)
        if whole.sum() < LEAST_WINDOWS:
            raise DatasetError(
                f"{source.path}: {whole.sum()} volumes can be synthesised, at least {LEAST_WINDOWS} are needed; leave "
                f"the recording out"
            )
        own[f"sub-{source.subject}"].append(recording_features(bundle, windows[whole], atlas, config))
        on_recording()
    some = next(iter(own.values()))[0]
    return {
        name: {
            kind: np.stack([np.mean([each[name][kind] for each in several], axis=0) for several in own.values()])
            for kind in kinds
        }
        for name, kinds in some.items()
    }


def recording_features(
    bundle: Bundle, windows: np.ndarray, atlas: Atlas, config: Config
) -> dict[str, dict[str, np.ndarray]]:
    """Compute the features of a recording, by set and kind.

    Parameters
    ----------
    bundle : the model.
    windows : (n, C, F, T) of the recording.
    atlas, config : as `subject_features`.

    Raises
    ------
    ModelError
        If the model's volumes do not depend on the EEG.
    """
    model, tr, cutoff = bundle.model, bundle.signal.tr, config.evaluation.drift_cutoff
    batches = [windows[start : start + BATCH] for start in range(0, len(windows), BATCH)]
    courses = np.concatenate([region_courses(model.synthesise(batch), atlas.labels)[1] for batch in batches])
    if not np.ptp(courses, axis=0).any():
        raise ModelError(f"{model.config.variant}: synthesises the same volume for any EEG; give another --model-uri")
    features = {REGIONS: _dynamics(courses, tr, cutoff)}
    latents = [family_of(model.config).latents(model, batch) for batch in batches]
    if some := [each for each in latents if each is not None]:
        features[LATENTS] = _dynamics(np.concatenate(some), tr, cutoff)
    frequencies = np.asarray(bundle.signal.frequencies)
    edges = np.stack([*bands_with_bins(config.classify.bands, frequencies).values()])
    power = log_band_power(windows[..., -1:], frequencies, edges).reshape(len(windows), -1)
    features[EEG] = {"mean": power.mean(axis=0), "spread": _spread(without_drift(power, tr, cutoff))}
    return features


def _dynamics(courses: np.ndarray, tr: float, cutoff: float) -> dict[str, np.ndarray]:
    """Return the spread of courses (n, r) and the correlations of each two of them (Fisher's z)."""
    still = without_drift(courses.astype(np.float64), tr, cutoff)
    length = np.linalg.norm(still, axis=0)
    unit = np.divide(still, length, out=np.zeros_like(still), where=length > 0)
    pairs = np.triu_indices(courses.shape[1], 1)
    return {"spread": _spread(still), "correlation": np.arctanh(np.clip((unit.T @ unit)[pairs], -LIMIT, LIMIT))}


def _spread(still: np.ndarray) -> np.ndarray:
    """Return the log of the standard deviations of series (n, r) of mean 0; finite for a constant one."""
    return np.log(np.maximum(still.std(axis=0), np.finfo(np.float32).tiny))


def classify_subjects(
    features: Mapping[str, Kinds], labels: Mapping[str, str], config: Config, on_permutation: Callable[[], None]
) -> Classification:
    """Classify subjects by each set of features; see `eeg2fmri.evaluation.classify`.

    Parameters
    ----------
    features : of `subject_features`, in the order of `labels`.
    labels : of the subjects.
    config : its section ``classify``.
    on_permutation : called after each permutation of each set.
    """
    settings, own = config.classify, [*labels.values()]

    def one(kinds: Kinds) -> Classified:
        listed: Sequence[np.ndarray] = [kind for kind in kinds.values() if kind.shape[1]]
        return classify(listed, own, folds=settings.folds, penalties=settings.penalties, seed=SEED,
                        permutations=settings.permutations, on_permutation=on_permutation)  # fmt: skip

    found = {name: one(kinds) for name, kinds in features.items()}
    return Classification(tuple(labels), tuple(own), found, smallest_label_p(own, settings.permutations))
