"""Fit of the linear family on windows.

Volumes are read from the store several times, one recording at a time, and never kept. Each recording needs 0.5 MB
(band power and component scores of 300 windows). n windows of one recording, C channels, B bands, W windows before
the context is removed, K components, V voxels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from eeg2fmri.config import LinearConfig
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.models.linear import LinearNetwork, bands_with_bins, log_band_power
from eeg2fmri.models.linear_fit import LinearFit, Series, fit_linear
from eeg2fmri.signals import principal_components, without_drift
from eeg2fmri.store import Windows
from eeg2fmri.training.closed_form import closed_form_result
from eeg2fmri.training.settings import FitResult, FitSettings, OnEpoch, fitted_model

BLOCK = 32  # volumes, or thousands of voxels, at once within a recording
MEMORY = 2**30  # bytes of all recordings' volumes at once; more are read in several passes


def fit_linear_model(
    config: LinearConfig, train: Windows, validation: Windows, settings: FitSettings, on_epoch: OnEpoch | None
) -> FitResult:
    """Fit components of the training volumes, then the regression of their scores on band power.

    The scores on validation subjects are those of the fit that has not seen them, with `refit` too.
    """
    model, fitted = fit_regression(config, train, validation)
    result = closed_form_result(model, validation, _facts(fitted), settings, on_epoch)
    if not config.refit:
        return result
    model, fitted = fit_regression(config, everyone(train, validation), None)
    return replace(result, model=model, facts=_facts(fitted), refitted=True)


def everyone(train: Windows, validation: Windows) -> Windows:
    """Join windows of training and validation subjects, for a fit after all choices are made."""
    return Windows((*train.recordings, *validation.recordings), train.context)


def fit_regression(config: LinearConfig, train: Windows, validation: Windows | None) -> tuple[FittedModel, LinearFit]:
    """Fit a model of the training subjects; validation subjects, if any, help to choose its penalties."""
    tr = train.signal.tr
    # The served model keeps float32: a bin on an edge must be on the same side here and there.
    frequencies = np.asarray(train.signal.frequencies, np.float32)
    bands = np.stack(list(bands_with_bins(config.bands, frequencies).values()))
    mean = train.mean_volume(config.bold_scaling)
    basis = components_without_drift(train, config.bold_scaling, config.drift_cutoff, config.components)
    series = [
        list(_series(windows, config.bold_scaling, frequencies, bands, basis, mean)) if windows else []
        for windows in (train, validation)
    ]
    fitted = fit_linear(series[0], series[1], tr, config)
    network = LinearNetwork(
        frequencies=frequencies,
        bands=bands,
        power_mean=fitted.power_mean,
        power_sd=fitted.power_sd,
        lag_shapes=fitted.lag_shapes,
        coefficients=fitted.coefficients,
        components=basis,
        intercept=mean.ravel(),
        grid=np.asarray(mean.shape, np.int64),
    )
    return fitted_model(config, network, train), fitted


def _facts(fitted: LinearFit) -> dict[str, str | int | float]:
    predicted = np.isfinite(fitted.chosen)
    return {
        "parameters": int(fitted.coefficients.size),
        "components": fitted.coefficients.shape[1],  # fewer than asked for if the volumes vary in fewer directions
        "components_predicted": int(predicted.sum()),
        "median_penalty": float(np.median(fitted.chosen[predicted])) if predicted.any() else "none",
        "estimated_gain": float(np.maximum(fitted.gains.max(axis=0), 0).mean()),
    }


def _blocks(windows: Windows, recording: int, kind: str) -> Iterator[np.ndarray]:
    """Yield standardised volumes of one recording, (up to BLOCK, V) at a time, in time order."""
    rows = windows.indices(recording)
    for start in range(0, len(rows), BLOCK):
        volumes = windows.standardised(rows[start : start + BLOCK], kind)
        yield volumes.reshape(len(volumes), -1)


def volumes_without_drift(windows: Windows, kind: str, cutoff: float) -> Iterator[np.ndarray]:
    """Yield volumes of one recording after the other, (n, V), each without its mean and drifts."""
    for number in range(len(windows.recordings)):
        n, voxels = len(windows.indices(number)), windows.recordings[number].mask.size
        volumes, row = np.empty((n, voxels), np.float32), 0
        for block in _blocks(windows, number, kind):
            volumes[row : row + len(block)] = block
            row += len(block)
        for start in range(0, voxels, BLOCK * 1000):  # by voxels, because the whole would be in memory three times
            part = slice(start, start + BLOCK * 1000)
            volumes[:, part] = without_drift(volumes[:, part], windows.signal.tr, cutoff)
        yield volumes


def components_without_drift(windows: Windows, kind: str, cutoff: float, count: int) -> np.ndarray:
    """Return principal components of `volumes_without_drift`, (K, V).

    They take most of the time of a fit in closed form, and the families and the baseline `linear` ask for the same
    ones. So those of the last call are kept for a call with the very same recordings.
    """
    return _components(_Recordings(windows), kind, cutoff, count, MEMORY)


class _Recordings:
    """Recordings of windows as the key of a memory: the same objects, not equal ones."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.own = (windows.context, *map(id, windows.recordings))  # `windows` keeps them, so no id is used again

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Recordings) and self.own == other.own

    def __hash__(self) -> int:
        return hash(self.own)


@lru_cache(maxsize=1)
def _components(recordings: _Recordings, kind: str, cutoff: float, count: int, memory: int) -> np.ndarray:
    windows = recordings.windows
    shape = (len(windows), windows.recordings[0].mask.size)
    found = principal_components(
        lambda: volumes_without_drift(windows, kind, cutoff), count, memory=memory, shape=shape
    )
    found.flags.writeable = False  # it is shared
    return found


def _series(
    windows: Windows, kind: str, frequencies: np.ndarray, bands: np.ndarray, basis: np.ndarray, mean: np.ndarray
) -> Iterator[Series]:
    """Return band power and component scores of each recording."""
    for number, recording in enumerate(windows.recordings):
        scores = [(block - mean.ravel()) @ basis.T for block in _blocks(windows, number, kind)]
        power = log_band_power(np.moveaxis(recording.spectrogram, 0, -1)[None], frequencies, bands)[0]
        yield Series(recording.subject, power, np.concatenate(scores))
