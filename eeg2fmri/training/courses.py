"""Targets and inputs of the `factorised` family: scores and band power of whole recordings, in closed form.

n instances of one recording, W its windows, C channels, b bands, P = C·b features, T context, K components,
q drift waves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eeg2fmri.config import FactorisedConfig
from eeg2fmri.models.factorised import Features
from eeg2fmri.models.factorised_fit import Sources, find_sources, fit_loadings
from eeg2fmri.models.linear import bins_between, lag_shapes, log_band_power
from eeg2fmri.models.ridge import Moments
from eeg2fmri.signals import drift_waves, without_drift
from eeg2fmri.store import Windows
from eeg2fmri.training.linear import volumes_without_drift

DEAD = 1e-4  # log power that varies less is rounding in a dead channel


@dataclass(frozen=True)
class Course:
    """A training recording: subject, log power (C, b, W), drift-free scores (n, K), weight of its rows."""

    subject: str
    power: np.ndarray
    scores: np.ndarray
    weight: float

    def answered(self, response: np.ndarray) -> np.ndarray:
        """Return log power through a response (T,) over each instance's context, (n, C, b)."""
        contexts = np.lib.stride_tricks.sliding_window_view(self.power, len(response), axis=2)
        return np.moveaxis(contexts[:, :, : len(self.scores)] @ response, 2, 0)


@dataclass(frozen=True)
class Courses:
    """All training recordings, and the scaling of their band power."""

    config: FactorisedConfig
    tr: float
    recordings: Sequence[Course]
    features: Features

    @classmethod
    def read(cls, config: FactorisedConfig, train: Windows, edges: np.ndarray, basis: np.ndarray) -> Courses:
        """Read every recording once.

        Parameters
        ----------
        edges : (b, 2) Hz, of the bands.  basis : (K, V), orthonormal.
        """
        tr, frequencies = train.signal.tr, np.asarray(train.signal.frequencies)
        recordings = [
            _course(train, number, volumes, edges, basis)
            for number, volumes in enumerate(volumes_without_drift(train, config.bold_scaling, config.drift_cutoff))
        ]
        # The scale is the deviation within recordings.
        steady = [without_drift(np.moveaxis(course.power, 2, 0), tr, config.drift_cutoff) for course in recordings]
        varying = np.concatenate(steady).std(axis=0)
        features = Features(
            bins=np.stack([bins_between(frequencies, e) for e in edges], axis=1).astype(np.float32),
            centre=np.concatenate([course.power for course in recordings], axis=2).mean(axis=2),
            scale=np.divide(1, varying, out=np.zeros_like(varying), where=varying > DEAD),
            response=lag_shapes(train.context, tr)[:, 0],
        )
        return cls(config, tr, recordings, features)

    def sources(self) -> Sources:
        """Fit sources and loadings."""
        answered = [self._steady(course.answered(self.features.response)) for course in self.recordings]
        plain = [self._steady(np.moveaxis(course.power, 2, 0)) for course in self.recordings]
        weights = find_sources(_covariance(answered), _covariance(plain), self.config.sources)
        moments: dict[str, Moments] = {}
        for course, features in zip(self.recordings, answered, strict=True):
            n = len(course.scores)
            freedom = n - drift_waves(n, self.tr, self.config.drift_cutoff).shape[1]
            own = Moments.of(course.weight * (features @ weights), course.weight * course.scores, freedom)
            moments[course.subject] = moments[course.subject] + own if course.subject in moments else own
        loadings, penalties = fit_loadings(list(moments.values()), self.config.penalties)
        return Sources(weights.astype(np.float32), loadings.astype(np.float32), penalties)

    def targets(self) -> Iterator[dict[str, np.ndarray]]:
        """Return the targets for the scores of each recording."""
        deviation = np.concatenate([course.scores for course in self.recordings]).std(axis=0)
        for course in self.recordings:
            yield {
                "scores": course.scores,
                "waves": drift_waves(len(course.scores), self.tr, self.config.drift_cutoff).astype(np.float32),
                # Between the error of volumes, in which a few noisy components dominate, and equal weights.
                "weights": 1 / np.maximum(deviation, deviation.max() * 1e-3),
            }

    def _steady(self, power: np.ndarray) -> np.ndarray:
        """Return standardised log power without drifts, (rows, P) float64, from (rows, C, b)."""
        # A constant that is subtracted from the features cancels with the means.
        rows = (power * self.features.scale).reshape(len(power), -1).astype(np.float64)
        return without_drift(rows, self.tr, self.config.drift_cutoff)


def _covariance(each: Sequence[np.ndarray]) -> np.ndarray:
    """Return the covariance of rows (n, P) without means, over all recordings."""
    total: np.ndarray = sum(rows.T @ rows for rows in each) / sum(map(len, each))
    return total


def _course(train: Windows, number: int, volumes: np.ndarray, edges: np.ndarray, basis: np.ndarray) -> Course:
    """Make a course from a recording's drift-free `volumes` (n, V) and its spectrogram.

    Its rows weigh as much as they are precise (Aitken 1935, Proc. R. Soc. Edinb. 55:42): the inverse of the
    deviation of its brain, because nearly all of it is noise.
    """
    recording, frequencies = train.recordings[number], np.asarray(train.signal.frequencies)
    power = log_band_power(np.moveaxis(recording.spectrogram, 0, -1)[None], frequencies, edges)[0]
    deviation = np.sqrt(np.square(volumes[:, recording.mask.ravel()]).mean(dtype=np.float64))
    return Course(recording.subject, power, volumes @ basis.T, 1 / max(float(deviation), DEAD))
