"""Adaptation of a model of any family with maps to one subject, by some minutes of EEG and BOLD of that subject.

The maps become the subject's own, shrunk towards the model's (`eeg2fmri.models.own_maps`). How far is a penalty that
training subjects choose: each is held out of a fit of the others, lends as many minutes as the subject has, at most
half of a recording, and is scored on the second half. These fits are of the `linear` family, also for a model of
another one: the penalty says how much maps differ between people, and they are quick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from eeg2fmri.config import FAMILIES, LinearConfig, ModelConfig, find_family
from eeg2fmri.errors import ModelError
from eeg2fmri.families.family import Family, family_of
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.models.own_maps import SPACING_MM, smooth_weights
from eeg2fmri.signals import BoldStatistics, bold_scaling, recording_statistics, without_drift
from eeg2fmri.store import Windows, divided

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, math.inf)  # the last one leaves the model as it is
LEAST_SUBJECTS, MOST_FOLDS = 3, 6
BLOCK = 32  # volumes at once


@dataclass(frozen=True)
class Penalty:
    """A penalty, and what training subjects say of it.

    value: infinite if none helped them.  gain: share of the variance of the maps' scores that it saves in the rest of
    held-out training subjects, beyond the model.  subjects: how many chose.
    """

    value: float
    gain: float
    subjects: int


@dataclass(frozen=True)
class Adapted:
    """A model with a subject's maps. weight: (x, y, z), by which its maps differ.  facts: for a log."""

    model: FittedModel
    weight: np.ndarray
    facts: Mapping[str, str | int | float]


def adapt_model(model: FittedModel, own: Windows, penalty: Penalty, cutoff: float) -> Adapted:
    """Give a model the maps of one subject.

    Parameters
    ----------
    model : fitted on other subjects.
    own : the subject's windows.
    penalty : from `choose_penalty`.
    cutoff : s; slower changes do not count.

    Raises
    ------
    ModelError
        If the model's family has no maps.
    """
    maps = maps_of(model)
    basis = _of_unit_length(maps)
    scores = _scores(model, own, basis, cutoff)
    (weight,) = _weights(model, own, basis, scores, (penalty.value,))
    # Within the span of the maps: the scores say nothing of what is outside it.
    changed = maps + ((maps * weight.ravel()) @ basis.T) @ basis
    mean = scores.mean.astype(np.float32) @ basis
    network = family_of(model.config).with_maps(model.network, changed.astype(np.float32), mean)
    facts = {
        "penalty": penalty.value if math.isfinite(penalty.value) else "infinite, no change",
        "penalty_gain": penalty.gain,
        "penalty_subjects": penalty.subjects,
        "spacing_mm": SPACING_MM,
        "weight_sd": float(weight[model.bold_statistics.mask].std()),
    }
    return Adapted(replace(model, network=network), weight, facts)


def maps_of(model: FittedModel) -> np.ndarray:
    """Return the maps of a model, (K, X·Y·Z).

    Raises
    ------
    ModelError
        If its family has none, or all are 0.
    """
    maps = family_of(model.config).maps(model.network)
    if maps is None:
        able = [name for name in FAMILIES if type(find_family(name)).maps is not Family.maps]
        raise ModelError(
            f"family {model.config.family}, {model.config.variant}: its volumes are no sums of maps, so it cannot be "
            f"adapted; give a model of {', '.join(able)}"
        )
    if not maps.any():
        raise ModelError(
            f"family {model.config.family}, {model.config.variant}: all its maps are 0, so there is nothing to adapt; "
            f"give a trained model"
        )
    return maps


def choose_penalty(config: ModelConfig, train: Windows | None, volumes: int, cutoff: float) -> Penalty:
    """Choose the largest penalty that is as good as the best one in held-out training subjects, within its error.

    The error is the standard error of the difference of the two over subjects (Breiman et al. 1984, Classification and
    Regression Trees, ch. 3.4.3, take that of the best itself). Few subjects do not separate nearly equal penalties, and
    the larger one does less harm.

    Parameters
    ----------
    config : of the model.
    train : windows of its training subjects; ``None`` if the store does not hold them.
    volumes : of the subject's own minutes; each training subject lends as many, but not more than half a recording.
    cutoff : s; slower changes do not count.

    Raises
    ------
    ModelError
        If there are fewer than three training subjects with recordings that are long enough.
    """
    divisions = _divisions(train, volumes) if train else {}
    if len(divisions) < LEAST_SUBJECTS:
        raise ModelError(
            f"{len(divisions)} training subjects of the model are in the store with long recordings, at least "
            f"{LEAST_SUBJECTS} are needed; give the store that it was trained on"
        )
    assert train is not None
    from eeg2fmri.training.linear import fit_regression

    linear, folds = _linear(config), min(MOST_FOLDS, len(divisions))
    subjects = sorted(divisions)
    saved = np.zeros((len(subjects), len(PENALTIES)))
    for fold in range(folds):
        held_out = subjects[fold::folds]
        others = [recording for recording in train.recordings if recording.subject not in held_out]
        model, _ = fit_regression(linear, Windows(others, train.context), None)
        for name in held_out:
            saved[subjects.index(name)] = np.mean([_saved(model, *pair, cutoff) for pair in divisions[name]], axis=0)
    chosen = largest_as_good(saved)
    return Penalty(PENALTIES[chosen], float(saved[:, chosen].mean()), len(subjects))


def largest_as_good(saved: np.ndarray) -> int:
    """Return the last column whose mean is less than the best by no more than the standard error of the difference."""
    lost = saved[:, [saved.mean(axis=0).argmax()]] - saved
    error = lost.std(axis=0, ddof=1) / math.sqrt(len(saved))
    return int(np.flatnonzero(lost.mean(axis=0) <= error).max())


def _linear(config: ModelConfig) -> LinearConfig:
    """Return the settings of the fits that choose: the model's own, or those of `linear` with its bands."""
    if isinstance(config, LinearConfig):
        return config
    bands = getattr(config, "bands", LinearConfig().bands)
    return LinearConfig(bands=bands)


def _divisions(train: Windows, volumes: int) -> dict[str, list[tuple[Windows, Windows]]]:
    """Return own minutes and second half of the recordings of each subject, as far as they are long enough."""
    found: dict[str, list[tuple[Windows, Windows]]] = {}
    for recording in train.recordings:
        half = len(recording.volumes) // 2
        first, (_, rest) = (divided(recording, end, train.context) for end in (min(volumes, half), half))
        if first[0] and rest and min(len(first[0]), len(rest)) >= 2 * train.context:
            found.setdefault(recording.subject, []).append((first[0], rest))
    return found


def _of_unit_length(maps: np.ndarray) -> np.ndarray:
    """Return the maps without their size; those that are 0 stay so."""
    length = np.linalg.norm(maps, axis=1, keepdims=True)
    return np.divide(maps, length, out=np.zeros_like(maps), where=length > 0)


def _saved(model: FittedModel, own: Windows, rest: Windows, cutoff: float) -> list[float]:
    """Return for each penalty the share of the variance of the rest that it saves beyond the model."""
    maps, mask = _of_unit_length(maps_of(model)), model.bold_statistics.mask.ravel()
    weights = _weights(model, own, maps, _scores(model, own, maps, cutoff), PENALTIES)
    predicted, measured, _ = _scores(model, rest, maps, cutoff)
    before = np.square(measured - predicted).sum()
    after = [
        np.square(measured - predicted - predicted @ ((maps[:, mask] * w.ravel()[mask]) @ maps[:, mask].T)).sum()
        for w in weights
    ]
    return [float((before - each) / np.square(measured).sum()) for each in after]


class _Scores(NamedTuple):
    """Scores of maps without drifts, (n, K): those that a model predicts, and the measured ones.

    mean: (K,), of the predicted ones with drifts.
    """

    predicted: np.ndarray
    measured: np.ndarray
    mean: np.ndarray


def _weights(
    model: FittedModel, own: Windows, maps: np.ndarray, scores: _Scores, penalties: tuple[float, ...]
) -> list[np.ndarray]:
    mask, affine = model.bold_statistics.mask, np.asarray(own.signal.affine)
    return smooth_weights(scores.predicted, scores.measured, maps, mask, affine, penalties)


def _scores(model: FittedModel, windows: Windows, maps: np.ndarray, cutoff: float) -> _Scores:
    raw: list[list[np.ndarray]] = [[], []]
    scaling, statistics = bold_scaling(model.config.bold_scaling), _own_statistics(model, windows)
    for number in range(len(windows.recordings)):
        rows = windows.indices(number)
        blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
        for scores, volumes in (
            (raw[0], (model.network.predict(model.scaled(windows.eeg(block))) for block in blocks)),
            (raw[1], (scaling.standardise(windows.volumes(block), statistics) for block in blocks)),
        ):
            each = np.concatenate([block.reshape(len(block), -1) @ maps.T for block in volumes])
            scores.append(each.astype(np.float64))
    predicted, measured = (
        np.concatenate([without_drift(each, windows.signal.tr, cutoff) for each in scores]) for scores in raw
    )
    return _Scores(predicted, measured, np.concatenate(raw[0]).mean(axis=0))


def _own_statistics(model: FittedModel, windows: Windows) -> BoldStatistics:
    """Return the statistics of one recording, those of each voxel by the windows' own volumes alone.

    Those of the store are of the whole recording, so the rest that scores a version would be in it. The mask is the
    model's. Only the mean and deviation of all voxels stay, which are the unit of the recording.
    """
    own = recording_statistics(windows.volumes(np.arange(len(windows))), model.bold_statistics.mask, iqr=False)
    whole = windows.recordings[0].statistics
    return replace(own, mean=whole.mean, sd=whole.sd)
