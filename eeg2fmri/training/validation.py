"""Scores of a model on validation subjects after an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from eeg2fmri.errors import DivergenceError
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.store import Windows
from eeg2fmri.training.closed_form import scores_of
from eeg2fmri.training.pairs import PairData, PairModel
from eeg2fmri.training.settings import Example

VALIDATION_BATCH = 16


def validate(
    model: PairModel, fitted: FittedModel, windows: Windows, cutoff: float
) -> tuple[dict[str, float], Example]:
    """Return losses beside `scores_of` the volumes; ``val/mae`` is that of the loss, in the unit that is trained on."""
    config, statistics = fitted.config, fitted.eeg_statistics
    data = PairData(windows, 1, config.eeg_scaling, config.bold_scaling, statistics, seed=0, model=model)
    sums: dict[str, float] = {}

    def synthesise(rows: np.ndarray) -> np.ndarray:
        volumes = []
        for start in range(0, len(rows), VALIDATION_BATCH):
            part = rows[start : start + VALIDATION_BATCH]
            volume, terms = _judge(model, data, part)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value * len(part)
            volumes.append(fitted.intensities(volume))
        return np.concatenate(volumes)

    scores, example = scores_of(windows, data.rows, synthesise, fitted, cutoff)
    return scores | {f"val/{name}": total / len(data.rows) for name, total in sums.items()}, example


def _judge(model: PairModel, data: PairData, rows: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Return synthesised volumes (n, X, Y, Z) in the model's units, and the loss with its terms."""
    inputs, targets = (_tensors(part) for part in (*data.batch(rows), {})[:2])
    outputs = model(inputs, training=False)
    terms = model.loss_terms(inputs, targets, outputs)
    terms["loss"] = model.total(terms)
    volumes = ops.convert_to_numpy(model.volumes(outputs))
    if not np.isfinite(volumes).all():
        raise DivergenceError("the model synthesises NaN or infinities; lower training.learning_rate")
    values = {name: float(ops.convert_to_numpy(value)) for name, value in terms.items()}
    if "mae" not in values:  # not the loss of training, but volumes are compared by it
        values["mae"] = float(np.abs(data.volumes(rows) - volumes).mean())
    return volumes, values


def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: ops.convert_to_tensor(array) for name, array in arrays.items()}
