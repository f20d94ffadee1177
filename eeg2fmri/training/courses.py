"""Targets and inputs of the `factorised` family: scores and band power of whole recordings, in closed form.

n instances of one recording, W its windows, C channels, b bands, P = C·b features, T context, H lag shapes,
K components, M members, q drift waves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from eeg2fmri.config import FactorisedConfig, LinearConfig
from eeg2fmri.models.factorised import Features, Regression
from eeg2fmri.models.factorised_fit import Penalties, Sources, choose_penalties, fit_sources
from eeg2fmri.models.linear import bins_between, lag_shapes, log_band_power
from eeg2fmri.models.linear_fit import Series, fit_linear
from eeg2fmri.models.ridge import Moments
from eeg2fmri.signals import bold_scaling, drift_waves, noise_components, without_drift
from eeg2fmri.store import Windows
from eeg2fmri.training.linear import volumes_without_drift

DEAD = 1e-4  # log power that varies less is rounding in a dead channel


@dataclass(frozen=True)
class Course:
    """A training recording: subject, log power (C, b, W), drift-free scores (n, K) as measured and without noise."""

    subject: str
    power: np.ndarray
    measured: np.ndarray
    clean: np.ndarray

    def answered(self, response: np.ndarray) -> np.ndarray:
        """Return log power through a response (T,) over each instance's context, (n, C, b)."""
        contexts = np.lib.stride_tricks.sliding_window_view(self.power, len(response), axis=2)
        return np.moveaxis(contexts[:, :, : len(self.measured)] @ response, 2, 0)


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
            _course(config, train, number, volumes, edges, basis)
            for number, volumes in enumerate(volumes_without_drift(train, config.bold_scaling, config.drift_cutoff))
        ]
        response = lag_shapes(train.context, tr)[:, 0]
        # The scale is the deviation within recordings, of log power through the response.
        answered = [without_drift(course.answered(response), tr, config.drift_cutoff) for course in recordings]
        varying = np.concatenate(answered).std(axis=0)
        features = Features(
            bins=np.stack([bins_between(frequencies, e) for e in edges], axis=1).astype(np.float32),
            centre=np.concatenate([course.power for course in recordings], axis=2).mean(axis=2),
            scale=np.divide(1, varying, out=np.zeros_like(varying), where=varying > DEAD),
            response=response,
        )
        return cls(config, tr, recordings, features)

    def sources(self, parts: Sequence[Sequence[str]]) -> tuple[list[Sources], Penalties]:
        """Fit the sources of every member, by its subjects, and their penalties."""
        moments, products = self._moments(), self._products()
        penalties = choose_penalties(moments, products, self.config)
        return [
            fit_sources({s: moments[s] for s in part}, {s: products[s] for s in part}, self.config, penalties)
            for part in parts
        ], penalties

    def regression(self) -> Regression | None:
        """Fit the linear path, if it has a share, and if several subjects can choose its penalties."""
        if not self.config.linear_share or len({course.subject for course in self.recordings}) == 1:
            return None
        like = LinearConfig(bands=self.config.bands, drift_cutoff=self.config.drift_cutoff)
        centre, scale = self.features.centre[..., None], self.features.scale[..., None]
        series = [Series(c.subject, (c.power - centre) * scale, c.measured) for c in self.recordings]
        fitted = fit_linear(series, (), self.tr, like)
        return Regression(fitted.lag_shapes, fitted.coefficients)

    def targets(self, parts: Sequence[Sequence[str]]) -> Iterator[dict[str, np.ndarray]]:
        """Return the targets for the members' scores of each recording."""
        deviation = np.concatenate([course.clean for course in self.recordings]).std(axis=0)
        for course in self.recordings:
            yield {
                "scores": course.clean,
                "waves": drift_waves(len(course.clean), self.tr, self.config.drift_cutoff).astype(np.float32),
                "members": np.array([course.subject in part for part in parts], np.float32),
                # Between the error of volumes, in which a few noisy components dominate, and equal weights.
                "weights": 1 / np.maximum(deviation, deviation.max() * 1e-3),
            }

    def _moments(self) -> dict[str, Moments]:
        """Return for each subject: features against measured and clean scores."""
        result: dict[str, Moments] = {}
        cutoff, features = self.config.drift_cutoff, self.features
        for course in self.recordings:
            n = len(course.measured)
            # A constant that is subtracted from the features cancels with the means.
            x = without_drift((course.answered(features.response) * features.scale).reshape(n, -1), self.tr, cutoff)
            freedom = n - drift_waves(n, self.tr, cutoff).shape[1]
            own = Moments.of(x, np.concatenate([course.measured, course.clean], axis=1), freedom)
            result[course.subject] = result[course.subject] + own if course.subject in result else own
        return result

    def _products(self) -> dict[str, np.ndarray]:
        """Return for each subject: SᵀS of the scores without noise, (K, K)."""
        result: dict[str, np.ndarray] = {}
        for course in self.recordings:
            own = course.clean.T @ course.clean
            result[course.subject] = result.get(course.subject, 0) + own.astype(np.float64)
        return result


def _course(
    config: FactorisedConfig,
    train: Windows,
    number: int,
    volumes: np.ndarray,
    edges: np.ndarray,
    basis: np.ndarray,
) -> Course:
    """Make a course from a recording's drift-free `volumes` (n, V) and its spectrogram."""
    recording, frequencies = train.recordings[number], np.asarray(train.signal.frequencies)
    power = log_band_power(np.moveaxis(recording.spectrogram, 0, -1)[None], frequencies, edges)[0]
    scores = volumes @ basis.T
    inside = recording.mask.ravel()
    mean = bold_scaling(config.bold_scaling).mean(recording.statistics).ravel()[inside]
    noise = noise_components(volumes[:, inside], mean, config.nuisance)
    clean = scores - (noise @ (noise.T @ scores)).astype(np.float32)
    return Course(recording.subject, power, scores, clean)
