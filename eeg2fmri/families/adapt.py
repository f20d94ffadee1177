"""Adaptation of a model of any family with maps to one subject, by some minutes of EEG and BOLD of that subject.

The response and then the maps become the subject's own, shrunk towards the model's (`eeg2fmri.models.own_response`,
`eeg2fmri.models.own_maps`). How far are two penalties, see `eeg2fmri.families.penalty`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from eeg2fmri.families.family import family_of
from eeg2fmri.families.map_scores import maps_of, of_unit_length, scores_of
from eeg2fmri.families.penalty import Penalty
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.models.own_maps import SPACING_MM, smooth_weights
from eeg2fmri.models.own_response import response_weights
from eeg2fmri.store import Windows


@dataclass(frozen=True)
class Adapted:
    """A model of one subject.

    weight: (x, y, z), by which its maps differ.  response: (H,), by which the shapes of its response do.  facts: for a
    log.
    """

    model: FittedModel
    weight: np.ndarray
    response: np.ndarray
    facts: Mapping[str, str | int | float]


def adapt_model(model: FittedModel, own: Windows, penalty: Penalty, cutoff: float) -> Adapted:
    """Give a model the response and the maps of one subject.

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
    maps, family = maps_of(model), family_of(model.config)
    basis = of_unit_length(maps)
    scores = scores_of(model, own, basis, cutoff)
    (response,) = response_weights(scores.parts, scores.measured, (penalty.response,))
    if response.any():
        model = replace(model, network=family.with_response(model.network, 1 + response))
        scores = scores_of(model, own, basis, cutoff)
    mask, affine = model.bold_statistics.mask, np.asarray(own.signal.affine)
    (weight,) = smooth_weights(scores.parts.sum(axis=1), scores.measured, basis, mask, affine, (penalty.value,))
    # Within the span of the maps: the scores say nothing of what is outside it.
    changed = maps + ((maps * weight.ravel()) @ basis.T) @ basis
    mean = scores.mean.astype(np.float32) @ basis
    network = family.with_maps(model.network, changed.astype(np.float32), mean)
    facts = {
        "penalty": _penalty(penalty.value),
        "penalty_gain": penalty.gain,
        "penalty_subjects": penalty.subjects,
        "spacing_mm": SPACING_MM,
        "weight_sd": float(weight[mask].std()),
        "response_penalty": _penalty(penalty.response),
        "response_weights": ", ".join(f"{1 + each:.3f}" for each in response),
    }
    return Adapted(replace(model, network=network), weight, response, facts)


def _penalty(value: float) -> float | str:
    return value if math.isfinite(value) else "infinite, no change"
