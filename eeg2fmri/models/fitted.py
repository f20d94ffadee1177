"""A fitted model: a network and the scalings around it, one object for every family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from eeg2fmri.config import ModelConfig
from eeg2fmri.signals import BoldStatistics, EegStatistics, bold_scaling, eeg_scaling


class Network(Protocol):
    """The network that a family fits; `predict` must be safe to call from several threads."""

    def predict(self, eeg: np.ndarray) -> np.ndarray:
        """Predict volumes (n, x, y, z) in the model's units from scaled EEG windows (n, C, F, T)."""
        ...


@dataclass(frozen=True)
class KerasNetwork:
    """A Keras model (B, C, F, T) → (B, x, y, z)."""

    model: Any

    def predict(self, eeg: np.ndarray) -> np.ndarray:
        """Predict as `Network`; `keras.Model.predict` is neither quick nor thread-safe."""
        from keras import ops

        return ops.convert_to_numpy(self._inference(ops.convert_to_tensor(eeg, dtype="float32")))

    @cached_property
    def _inference(self) -> Callable[[Any], Any]:
        """The model's call in inference; on TensorFlow as one graph, because layer by layer one window takes longer.

        The graph reads the weights when it runs, so that it follows further training.
        """
        import keras

        call = partial(self.model, training=False)
        if keras.backend.backend() != "tensorflow":
            return call
        import tensorflow as tf

        windows = tf.TensorSpec((None, *self.model.input_shape[1:]), tf.float32)
        return tf.function(call, input_signature=[windows], autograph=False)


@dataclass(frozen=True)
class FittedModel:
    """A network with its scalings; all statistics come from the training subjects.

    mean_volume: (x, y, z), mean training volume in standard units (each recording standardised by
    one mean and one deviation), the null for every score.
    """

    config: ModelConfig
    network: Network
    eeg_statistics: EegStatistics
    bold_statistics: BoldStatistics
    mean_volume: np.ndarray

    def synthesise(self, eeg: np.ndarray, batch: int = 32) -> np.ndarray:
        """Synthesise volumes from EEG windows.

        Parameters
        ----------
        eeg : (n, C, F, T) magnitudes in µV, from `signals.spectrogram`.
        batch : windows computed at once.

        Returns
        -------
        (n, x, y, z) float32, intensities on the training recordings' average scale.
        """
        volumes = np.empty((len(eeg), *self.mean_volume.shape), np.float32)
        for start in range(0, len(eeg), batch):
            part = self.scaled(eeg[start : start + batch])
            volumes[start : start + batch] = self.intensities(self.network.predict(part))
        return volumes

    def scaled(self, eeg: np.ndarray) -> np.ndarray:
        """Scale EEG windows (n, C, F, T) in µV as the network takes them."""
        return eeg_scaling(self.config.eeg_scaling).standardise(eeg, self.eeg_statistics)

    def intensities(self, predicted: np.ndarray) -> np.ndarray:
        """Undo the BOLD standardisation of the network's predictions."""
        return bold_scaling(self.config.bold_scaling).restore(predicted, self.bold_statistics)

    def standard_units(self, volumes: np.ndarray) -> np.ndarray:
        """Convert intensities to the reference's standard units, (v - mean) / sd of the training set."""
        return (volumes - np.float32(self.bold_statistics.mean)) / np.float32(self.bold_statistics.sd)
