"""Baselines of few courses: what explains BOLD without a model that reads the EEG.

A baseline is a set of courses (arousal; motion and pulse; task) and one weight for each course and voxel,
fitted on the training recordings. Courses and BOLD are without drifts, so only what changes within a
recording counts. Its synthesis of another recording is the training mean and the weighted courses.

n instances of a recording, R courses, V voxels of the brain, (x, y, z) the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from eeg2fmri.models.linear import FLOOR, bins_between, lag_shapes
from eeg2fmri.models.ridge import Moments, Ridge, gains_held_out
from eeg2fmri.signals import contexts, without_drift
from eeg2fmri.store import StoredRecording, Windows

KINDS = {"motion_pulse": ("motion", "pulse"), "task": ("task",)}  # of the store's courses
REGRESSIONS = ("arousal", *KINDS)
ALPHA_HZ, THETA_HZ = (8.0, 12.0), (4.0, 7.0)
# Of the variance of the courses. The one that saves most error in subjects left out is taken for the whole brain: a
# choice for each voxel follows its noise, and costs sixteen courses more than a weak confound explains.
PENALTIES = (1e-6, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
FOLDS = 5
CONSTANT = 1e-9  # deviation, relative to the largest value, of a course that does not vary


@dataclass(frozen=True)
class Regression:
    """A fitted baseline.

    baseline: one of `REGRESSIONS`.  names: of its R courses.  weights: (R, x, y, z), standard units of BOLD for a unit
    of the course.  cutoff: s, period of the drifts that are taken out of courses.
    """

    baseline: str
    names: tuple[str, ...]
    weights: np.ndarray
    cutoff: float

    def predict(self, recording: StoredRecording, context: int) -> np.ndarray:
        """Return deviations from the mean volume, (n, x, y, z) float32, of a recording or a stretch of it."""
        courses = _courses(self.baseline, recording, context)
        steady = _steady([courses[name] for name in self.names], recording.signal.tr, self.cutoff)
        return np.tensordot(steady.astype(np.float32), self.weights, axes=1)


def fit_regressions(
    wanted: Sequence[str], training: Windows, unseen: Windows, cutoff: float
) -> tuple[dict[str, Regression], dict[str, str]]:
    """Fit baselines on the training recordings, in one pass over their volumes.

    Parameters
    ----------
    wanted : some of `REGRESSIONS`.
    training : windows of the training subjects.
    unseen : windows that are synthesised later; of them only the names of their courses are read.
    cutoff : s; slower changes do not count.

    Returns
    -------
    The baselines whose courses all recordings have, and why the others are absent.
    """
    everyone = (*training.recordings, *unseen.recordings)
    names, absent = {}, {}
    for baseline in wanted:
        names[baseline] = _common_names(baseline, everyone, training.context)
        if not names[baseline]:
            absent[baseline] = _reason(baseline, everyone, training.context)
    present = [baseline for baseline in wanted if names[baseline]]
    if not present:
        return {}, absent
    mask = np.any([recording.mask for recording in training.recordings], axis=0)
    folds = _moments(present, names, training, mask, cutoff)
    fitted, start = {}, 0
    for baseline in present:
        columns = slice(start, start + len(names[baseline]))
        weights = np.zeros((len(names[baseline]), *mask.shape), np.float32)
        weights[:, mask] = _weights([_part(fold, columns) for fold in folds])
        fitted[baseline] = Regression(baseline, names[baseline], weights, cutoff)
        start = columns.stop
    return fitted, absent


def arousal(recording: StoredRecording, context: int) -> np.ndarray | None:
    """Return global arousal as BOLD would follow it, (n,); ``None`` where no frequency lies in one of the two bands.

    ``log(alpha power / theta power)``, 8 to 12 Hz and 4 to 7 Hz, each summed over all EEG channels, through the
    canonical haemodynamic response over the windows of the context. The ratio is the usual index of vigilance
    in EEG-fMRI (Olbrich et al. 2009, NeuroImage 45:319; Falahpour et al. 2018, NeuroImage 174:317).
    """
    frequencies = np.asarray(recording.signal.frequencies)
    bands = [bins_between(frequencies, edges) for edges in (ALPHA_HZ, THETA_HZ)]
    if not all(band.any() for band in bands):
        return None
    power = np.square(recording.spectrogram[:, recording.eeg_rows], dtype=np.float64).sum(axis=1)
    alpha, theta = (power[:, band].sum(axis=1) for band in bands)
    ratio = np.log((alpha + FLOOR) / (theta + FLOOR))
    return contexts(ratio, context) @ lag_shapes(context, recording.signal.tr)[:, 0]


def _courses(baseline: str, recording: StoredRecording, context: int) -> dict[str, np.ndarray]:
    """Return the courses of a recording at its instances, (n,) each; empty if it has none."""
    if baseline == "arousal":
        course = arousal(recording, context)
        return {} if course is None else {"arousal": course}
    return {name: course[context:] for kind in KINDS[baseline] for name, course in recording.regressors(kind).items()}


def _common_names(baseline: str, recordings: Sequence[StoredRecording], context: int) -> tuple[str, ...]:
    each = [_courses(baseline, recording, context) for recording in recordings]
    return tuple(name for name in each[0] if all(name in courses for courses in each))


def _reason(baseline: str, recordings: Sequence[StoredRecording], context: int) -> str:
    """Return why no course is common to all recordings, by the first recording without any."""
    lacking = next((r for r in recordings if not _courses(baseline, r, context)), None)
    if baseline == "arousal":
        return f"no frequency between {THETA_HZ[0]:g} and {ALPHA_HZ[1]:g} Hz"
    if lacking is None:
        return "no course is common to all recordings"
    reasons: Mapping[str, str] = lacking.attributes.get("no_regressors", {})
    why = "; ".join(reasons[kind] for kind in KINDS[baseline] if kind in reasons)
    return f"{lacking.name}: {why or 'none in the store'}"


def _moments(
    present: Sequence[str], names: Mapping[str, Sequence[str]], training: Windows, mask: np.ndarray, cutoff: float
) -> list[Moments]:
    """Return sums of products over the courses of all baselines and the voxels of `mask`, one for each fold of
    subjects.
    """
    subjects = sorted({recording.subject for recording in training.recordings})
    folds: dict[int, Moments] = {}
    for number, recording in enumerate(training.recordings):
        courses = []
        for baseline in present:
            own = _courses(baseline, recording, training.context)
            courses += [own[name] for name in names[baseline]]
        volumes = training.standardised(training.indices(number), "recording")[:, mask]
        tr = recording.signal.tr
        own_moments = Moments.of(_steady(courses, tr, cutoff), without_drift(volumes, tr, cutoff), float(len(volumes)))
        fold = subjects.index(recording.subject) % FOLDS
        folds[fold] = folds[fold] + own_moments if fold in folds else own_moments
    return list(folds.values())


def _steady(courses: Sequence[np.ndarray], tr: float, cutoff: float) -> np.ndarray:
    """Return courses without mean and drifts, (n, R) float64; a constant one becomes exactly 0."""
    columns = np.stack(courses, axis=1).astype(np.float64)
    steady = without_drift(columns, tr, cutoff)
    steady[:, steady.std(axis=0) <= CONSTANT * np.abs(columns).max(axis=0)] = 0
    return steady


def _part(moments: Moments, columns: slice) -> Moments:
    """Return the sums of some courses."""
    return Moments(moments.features[columns, columns], moments.cross[columns], moments.targets, moments.freedom)


def _weights(folds: Sequence[Moments]) -> np.ndarray:
    """Return weights (R, V) of the ridge regression whose penalty saves most error in the folds that are left out."""
    total = reduce(add, folds)
    sd = np.sqrt(np.diag(total.features) / total.freedom)
    scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 0)
    penalties = total.freedom * np.array(PENALTIES)
    ridge = Ridge(total.scaled(scale))
    chosen = penalties[0]
    if len(folds) > 1:  # a single subject leaves nobody to judge by
        saved = gains_held_out(ridge, [fold.scaled(scale) for fold in folds], (), penalties.tolist()) @ total.targets
        chosen = penalties[saved.argmax()] if saved.max() > 0 else np.inf
    return (ridge.coefficients(chosen) * scale[:, None]).astype(np.float32)
