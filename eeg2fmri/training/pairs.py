"""Model and data of one training step.

As published, a step takes {"eeg": (B, C, F, T), "fmri": (B, X, Y, Z)} and gives {"volume", "z_x", "z_y"};
the volume is the fMRI encoder's input and the target. With ``decoder: pca`` it takes {"eeg"}, gives
{"coefficients", "z_x"} and has targets of its own:

    decoder   trained on                     targets
    dense     mean absolute error            "fmri"
    pca       share of variance unexplained  {"coefficients": (B, K), "outside": (B,)}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from eeg2fmri import signals
from eeg2fmri.models.calhas2022 import Calhas2022
from eeg2fmri.store import Windows
from eeg2fmri.training.fluctuations import Components, Fluctuations
from eeg2fmri.training.losses import component_squared_error, cosine_distance, mean_absolute_error

Batch = tuple[dict[str, np.ndarray]] | tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


class PairModel(keras.Model):
    """Both encoders and the decoder as one model with its loss; made by `pair_model`."""

    parts: Calhas2022
    components: Components | None

    def prepare(self, parts: Calhas2022, components: Components | None) -> None:
        """Take the parts, on which the loss depends."""
        self.parts, self.components = parts, components
        names = ["mae", "cosine"] if components is None else ["unexplained"]
        self.trackers = {name: keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self) -> list[Any]:
        """List the loss and its parts."""
        return [*super().metrics, *self.trackers.values()]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Compute the error of the volume + cosine distance + weight penalties."""
        terms = self.loss_terms(x, y, y_pred)
        for name, value in terms.items():
            # The weights are those of Keras for the loss itself: the last batch of an epoch may be smaller.
            self.trackers[name].update_state(value, sample_weight=ops.shape(x["eeg"])[0])
        return self.total(terms)

    def loss_terms(self, x: Any, y: Any, outputs: Any) -> dict[str, Any]:
        """Compute the terms of the loss by name; `y` may be empty or None with the dense decoder."""
        if self.components is None:
            return {
                "mae": mean_absolute_error(x["fmri"], outputs["volume"]),
                "cosine": cosine_distance(outputs["z_x"], outputs["z_y"]),
            }
        voxels = self.components.basis.shape[1]
        sd = ops.convert_to_tensor(self.components.sd)
        error = component_squared_error(y["coefficients"], outputs["coefficients"], sd, y["outside"], voxels)
        return {"unexplained": error / self.components.variance}

    def total(self, terms: Mapping[str, Any]) -> Any:
        """Compute the loss: the sum of its terms and the weight penalties."""
        return sum(terms.values()) + sum(self.losses)

    def volumes(self, outputs: Any) -> Any:
        """Return the volumes of an output, (B, X, Y, Z)."""
        if "volume" in outputs:
            return outputs["volume"]
        return self.parts.decoder.get_layer("volume")(outputs["coefficients"])


def pair_model(parts: Calhas2022, components: Components | None = None) -> PairModel:
    """Build one model of both encoders and the decoder; the EEG encoder runs once.

    Parameters
    ----------
    parts : from `models.calhas2022.build`.
    components : of ``decoder: pca``.
    """
    inputs = {"eeg": keras.Input(parts.eeg_encoder.input_shape[1:], name="eeg")}
    encoded = parts.eeg_encoder(inputs["eeg"])
    several = isinstance(encoded, (list, tuple))
    outputs = {"z_x": encoded[0] if several else encoded}
    if parts.coefficients is None:
        outputs["volume"] = parts.decoder(encoded)
    else:
        outputs["coefficients"] = parts.coefficients(encoded)
    if parts.fmri_encoder is not None:
        inputs["fmri"] = keras.Input(parts.fmri_encoder.input_shape[1:], name="fmri")
        outputs["z_y"] = parts.fmri_encoder(inputs["fmri"])
    model = PairModel(inputs, outputs)
    model.prepare(parts, components)
    return model


class PairData(keras.utils.PyDataset):
    """Batches of windows, shuffled in each epoch by (seed, epoch), so that a resumed run gets the same ones.

    Without `shuffle` they have the order of recording, subject by subject.
    `model` determines the targets of its loss; without it they are the published ones.
    """

    def __init__(
        self,
        windows: Windows,
        batch_size: int,
        eeg_scaling: str,
        bold_scaling: str,
        statistics: signals.EegStatistics,
        *,
        seed: int,
        epoch: int = 0,
        shuffle: bool = True,
        model: PairModel | None = None,
    ) -> None:
        super().__init__()
        self.windows, self.batch_size, self.seed, self.shuffle = windows, batch_size, seed, shuffle
        self.eeg_scaling, self.bold_scaling = signals.eeg_scaling(eeg_scaling), bold_scaling
        self.statistics = statistics
        self.components = model.components if model else None
        self.rows = np.arange(len(windows))
        # Read here and not by the first batch, because several threads may ask for one.
        self.projected = (np.empty(0), np.empty(0))
        if self.components is not None:
            self.projected = self.components.project_all(Fluctuations(windows, bold_scaling).blocks())
        self._start(epoch)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        return self.batch(np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size]))

    def batch(self, rows: np.ndarray) -> Batch:
        """Return the inputs of a step for the instances `rows`, and the targets unless they are inputs."""
        inputs = {"eeg": self.eeg_scaling.standardise(self.windows.eeg(rows), self.statistics)}
        if self.components is None:
            return ({**inputs, "fmri": self.volumes(rows)},)
        return inputs, {"coefficients": self.projected[0][rows], "outside": self.projected[1][rows]}

    def volumes(self, rows: np.ndarray) -> np.ndarray:
        """Return standardised volumes of the instances `rows`, (n, X, Y, Z)."""
        return self.windows.standardised(rows, self.bold_scaling)

    def on_epoch_end(self) -> None:
        """Put the windows of the next epoch in order."""
        self._start(self.epoch + 1)

    def _start(self, epoch: int) -> None:
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(self.rows) if self.shuffle else self.rows
