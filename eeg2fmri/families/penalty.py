"""Penalties, which training subjects choose: they shrink a subject's version of a model towards the model.

Each of them is held out of a fit of the others, lends as many minutes as the subject has, at most half of a recording,
and is scored on the second half. These fits are of the `linear` family, also for a model of another one: the penalties
say how much people differ, and the fits are quick.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from eeg2fmri.config import LinearConfig, ModelConfig
from eeg2fmri.errors import ModelError
from eeg2fmri.families.family import Family, family_of
from eeg2fmri.families.map_scores import MapScores, maps_of, of_unit_length, scores_of
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.models.own_maps import smooth_weights
from eeg2fmri.models.own_response import response_weights
from eeg2fmri.store import Windows, divided

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, math.inf)  # the last one leaves the model as it is
LEAST_SUBJECTS, MOST_FOLDS = 3, 6


@dataclass(frozen=True)
class Penalty:
    """Penalties, and what training subjects say of them.

    value: of the maps; infinite if none helped them.  gain: share of the variance of the maps' scores that both save in
    the rest of held-out training subjects, beyond the model.  subjects: how many chose.  response: of the response;
    infinite if none helped them, or if the family's response cannot be adapted.
    """

    value: float
    gain: float
    subjects: int
    response: float = math.inf


def choose_penalty(config: ModelConfig, train: Windows | None, volumes: int, cutoff: float) -> Penalty:
    """Choose the largest penalty that is as good as the best one in held-out training subjects, within its error.

    The error is the standard error of the difference of the two over subjects (Breiman et al. 1984, Classification and
    Regression Trees, ch. 3.4.3, take that of the best itself). Few subjects do not separate nearly equal penalties, and
    the larger one does less harm. That of the response is chosen first, then that of the maps beside it.

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
    lent = _lent(_linear(config), train, divisions, cutoff)
    response = math.inf
    if type(family_of(config)).with_response is not Family.with_response:
        saved = _over_subjects(lent, lambda each: each.saved_by_responses(PENALTIES))
        response = PENALTIES[largest_as_good(saved)]
    saved = _over_subjects(lent, lambda each: each.saved_by_maps(PENALTIES, response))
    chosen = largest_as_good(saved)
    return Penalty(PENALTIES[chosen], float(saved[:, chosen].mean()), len(lent), response)


def _lent(
    config: LinearConfig, train: Windows, divisions: Mapping[str, list[tuple[Windows, Windows]]], cutoff: float
) -> dict[str, list[_Lent]]:
    """Return scores of each subject by a fit of others."""
    from eeg2fmri.training.linear import fit_regression

    folds, subjects, found = min(MOST_FOLDS, len(divisions)), sorted(divisions), {}
    for fold in range(folds):
        held_out = subjects[fold::folds]
        others = [recording for recording in train.recordings if recording.subject not in held_out]
        model, _ = fit_regression(config, Windows(others, train.context), None)
        maps = of_unit_length(maps_of(model))
        for name in held_out:
            found[name] = [
                _Lent(model, maps, own, *(scores_of(model, windows, maps, cutoff) for windows in (own, rest)))
                for own, rest in divisions[name]
            ]
    return found


def _over_subjects(lent: Mapping[str, list[_Lent]], saved: Callable[[_Lent], list[float]]) -> np.ndarray:
    """Return the mean of each subject's recordings, (subjects, penalties)."""
    return np.array([np.mean([saved(each) for each in recordings], axis=0) for recordings in lent.values()])


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


@dataclass(frozen=True)
class _Lent:
    """A recording of a training subject, and a model of others.

    maps: (K, X·Y·Z), those of the model.  own: windows of the minutes that it lends.  first, rest: scores of these, and
    of the second half.
    """

    model: FittedModel
    maps: np.ndarray
    own: Windows
    first: MapScores
    rest: MapScores

    def saved_by_responses(self, penalties: tuple[float, ...]) -> list[float]:
        """Return for each penalty the share of the variance of the rest that a response of its own saves."""
        weights = response_weights(self.first.parts, self.first.measured, penalties)
        return [self._saved(self.rest.answered(each)) for each in weights]

    def saved_by_maps(self, penalties: tuple[float, ...], penalty: float) -> list[float]:
        """Return the same of maps of its own, beside a response with its penalty."""
        (response,) = response_weights(self.first.parts, self.first.measured, (penalty,))
        mask, affine = self.model.bold_statistics.mask, np.asarray(self.own.signal.affine)
        first, predicted, inside = (
            self.first.answered(response),
            self.rest.answered(response),
            self.maps[:, mask.ravel()],
        )
        weights = smooth_weights(first, self.first.measured, self.maps, mask, affine, penalties)
        return [self._saved(predicted + predicted @ ((inside * each[mask]) @ inside.T)) for each in weights]

    def _saved(self, predicted: np.ndarray) -> float:
        """Return the share of the variance of the rest that a prediction (n, K) saves beyond the model's."""
        before, after = (
            np.square(self.rest.measured - each).sum() for each in (self.rest.parts.sum(axis=1), predicted)
        )
        return float((before - after) / np.square(self.rest.measured).sum())
