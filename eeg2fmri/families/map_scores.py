"""Scores of a model's maps in the volumes of a subject: those that it predicts, and the measured ones.

Symbols: n volumes, K maps, H shapes of the response.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from eeg2fmri.config import FAMILIES, find_family
from eeg2fmri.errors import ModelError
from eeg2fmri.families.family import Family, family_of
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import BoldStatistics, bold_scaling, recording_statistics, without_drift
from eeg2fmri.store import Windows

BLOCK = 32  # volumes at once


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


def of_unit_length(maps: np.ndarray) -> np.ndarray:
    """Return the maps without their size; those that are 0 stay so."""
    length = np.linalg.norm(maps, axis=1, keepdims=True)
    return np.divide(maps, length, out=np.zeros_like(maps), where=length > 0)


class MapScores(NamedTuple):
    """Scores of maps without drifts.

    parts: (n, H, K), those that a model predicts, by shape of its response.  measured: (n, K).  mean: (K,), of the
    predicted ones with drifts.
    """

    parts: np.ndarray
    measured: np.ndarray
    mean: np.ndarray

    def answered(self, response: np.ndarray) -> np.ndarray:
        """Return the predicted ones (n, K), each shape of the response times 1 + w."""
        return np.einsum("nhk,h->nk", self.parts, 1 + response)


def scores_of(model: FittedModel, windows: Windows, maps: np.ndarray, cutoff: float) -> MapScores:
    """Compute the scores of maps.

    Parameters
    ----------
    model : the model.
    windows : of one subject.
    maps : (K, X·Y·Z), each of unit length.
    cutoff : s; slower changes do not count.
    """
    family = family_of(model.config)
    scaling, statistics = bold_scaling(model.config.bold_scaling), _own_statistics(model, windows)
    shapes = np.eye(family.response_shapes(model.network))
    # The last shape is what the others leave of the whole.
    networks = [model.network, *(family.with_response(model.network, one) for one in shapes[:-1])]
    raw: list[list[np.ndarray]] = [[] for _ in range(1 + len(networks))]
    for number in range(len(windows.recordings)):
        rows, blocks = windows.indices(number), []
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            eeg = model.scaled(windows.eeg(block))
            volumes = [
                scaling.standardise(windows.volumes(block), statistics),
                *(each.predict(eeg) for each in networks),
            ]
            blocks.append([each.reshape(len(block), -1) @ maps.T for each in volumes])
        for courses, found in zip(raw, zip(*blocks, strict=True), strict=True):
            courses.append(np.concatenate(found).astype(np.float64))
    clean = [np.concatenate([without_drift(each, windows.signal.tr, cutoff) for each in courses]) for courses in raw]
    measured, whole, others = clean[0], clean[1], clean[2:]
    parts = np.stack([*others, whole - np.sum(others, axis=0)], axis=1)
    return MapScores(parts, measured, np.concatenate(raw[1]).mean(axis=0))


def _own_statistics(model: FittedModel, windows: Windows) -> BoldStatistics:
    """Return the statistics of one recording, those of each voxel by the windows' own volumes alone.

    Those of the store are of the whole recording, so the rest that scores a version would be in it. The mask is the
    model's. Only the mean and deviation of all voxels stay, which are the unit of the recording.
    """
    own = recording_statistics(windows.volumes(np.arange(len(windows))), model.bold_statistics.mask, iqr=False)
    whole = windows.recordings[0].statistics
    return replace(own, mean=whole.mean, sd=whole.sd)
