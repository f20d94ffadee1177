"""A family that has the fault it is asked for, for the tests of the contract itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from eeg2fmri.config import Magnitudes
from eeg2fmri.families import ArrayFamily
from eeg2fmri.families.mean import MeanNetwork

Fault = Literal["seed", "score", "restart", "device", "save", "served device", "none"]


class FaultyConfig(Magnitudes):
    variant: Literal["faulty"] = "faulty"
    fault: Fault = "none"


class Faulty(ArrayFamily[FaultyConfig]):
    """The mean volume, with one fault."""

    config, network = FaultyConfig, MeanNetwork

    def fit(self, config, train, validation, settings, on_epoch):
        from eeg2fmri.training.closed_form import validation_scores
        from eeg2fmri.training.settings import FitResult, fitted_model

        volume = train.mean_volume(config.bold_scaling)
        if config.fault == "seed":
            volume = volume + np.random.default_rng().standard_normal(volume.shape)
        if config.fault == "device":
            volume = by_tensorflow(volume)
        model = fitted_model(config, MeanNetwork(volume), train)
        scores, example = validation_scores(model, validation, settings.drift_cutoff)
        if config.fault == "score":
            scores["val/r2_temporal"] += 0.1
        epochs = 3 if config.fault == "restart" else 1
        for epoch in range(epochs):
            if on_epoch:
                on_epoch(epoch, scores, example)
        return FitResult(model, {key: [value] * epochs for key, value in scores.items()}, 0)

    def save(self, folder, network):
        if '"save"' in (folder / "bundle.json").read_text():
            network = replace(network, mean_volume=network.mean_volume.astype(np.float16))
        super().save(folder, network)

    def load(self, folder):
        network = super().load(folder)
        if '"served device"' in (folder / "bundle.json").read_text():
            network = replace(network, mean_volume=by_tensorflow(network.mean_volume))
        return network


def by_tensorflow(array):
    """The same, computed wherever TensorFlow wants to."""
    import tensorflow as tf

    return (tf.constant(array) + 0).numpy()


FAMILY = Faulty()
