"""Fitting the `factorised` family: a start in closed form, then gradient steps on whole recordings.

n instances of one recording, P features, K components, M members, q drift waves.

A step takes one recording, since only over time can drifts and means be told from what the EEG explains.
Epoch 0 is the start itself, so training is kept only where it helps validation subjects.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from eeg2fmri.config import FactorisedConfig
from eeg2fmri.models.factorised import Factorised, Features, build
from eeg2fmri.models.factorised_fit import fit_sources, members
from eeg2fmri.models.fitted import KerasNetwork
from eeg2fmri.models.linear import band_bins, bands_with_bins, lag_shapes, log_band_power
from eeg2fmri.models.ridge import Moments
from eeg2fmri.progress import progress_display
from eeg2fmri.signals import drift_waves, noise_components, without_drift
from eeg2fmri.store import Windows
from eeg2fmri.training import backend
from eeg2fmri.training.callbacks import Checkpoints, OnEpoch, Progressing
from eeg2fmri.training.closed_form import validation_scores
from eeg2fmri.training.linear import series_components, volumes_without_drift
from eeg2fmri.training.settings import FitResult, FitSettings, fitted_model


@dataclass(frozen=True)
class Course:
    """One training recording: its subject, band power (W, C, b) and drift-free scores, measured and clean (n, K)."""

    subject: str
    power: np.ndarray
    measured: np.ndarray
    clean: np.ndarray


class SourcesModel(keras.Model):
    """The scores of every member, with their loss; x (n, C, F, T) gives (n, M, K).

    y: "scores" (n, K), "waves" (n, q) and "members" (M,), 1 for those that learn from the recording.
    """

    def weigh(self, scale: np.ndarray) -> None:
        """Set the weights (K,) of squared errors."""
        self.scale = scale.astype(np.float32)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Share of weighted variance that the members leave unexplained, drifts of the prediction apart."""
        error = ops.transpose(y_pred - y["scores"][:, None], (1, 0, 2))
        error = error - ops.matmul(y["waves"], ops.matmul(ops.transpose(y["waves"]), error))
        each = ops.sum(ops.square(error) * self.scale, axis=(1, 2))
        return ops.sum(each * y["members"]) / ops.sum(ops.square(y["scores"]) * self.scale) / ops.sum(y["members"])
