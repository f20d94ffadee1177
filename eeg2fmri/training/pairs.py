"""The model and the data of one training step.

A step takes {"eeg": (B, C, F, T), "fmri": (B, X, Y, Z)} and gives {"volume", "z_x", "z_y"}.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from eeg2fmri.models.calhas2022 import Calhas2022
from eeg2fmri.signals import EegStatistics, standardise_eeg
from eeg2fmri.store import Windows
from eeg2fmri.training.losses import cosine_distance, mean_absolute_error


class PairModel(keras.Model):
    """Both encoders and the decoder as one model with the published loss."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in ("mae", "cosine")}

    @property
    def metrics(self) -> list[Any]:
        """The loss and its two parts."""
        return [*super().metrics, *self.trackers.values()]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """MAE + cosine distance + weight penalties."""
        mae = mean_absolute_error(x["fmri"], y_pred["volume"])
        cosine = cosine_distance(y_pred["z_x"], y_pred["z_y"])
        self.trackers["mae"].update_state(mae)
        self.trackers["cosine"].update_state(cosine)
        return mae + cosine + sum(self.losses)


def pair_model(parts: Calhas2022) -> PairModel:
    """One model of both encoders and the decoder; the EEG encoder runs once."""
    eeg = keras.Input(parts.eeg_encoder.input_shape[1:], name="eeg")
    fmri = keras.Input(parts.fmri_encoder.input_shape[1:], name="fmri")
    encoded = parts.eeg_encoder(eeg)
    z_x = encoded[0] if isinstance(encoded, (list, tuple)) else encoded
    outputs = {"volume": parts.decoder(encoded), "z_x": z_x, "z_y": parts.fmri_encoder(fmri)}
    return PairModel({"eeg": eeg, "fmri": fmri}, outputs)


class PairData(keras.utils.PyDataset):
    """Batches of windows, shuffled anew each epoch by (seed, epoch), so that a resumed run sees the same."""

    def __init__(
        self,
        windows: Windows,
        batch_size: int,
        eeg_scaling: str,
        bold_scaling: str,
        statistics: EegStatistics,
        *,
        seed: int,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self.windows, self.batch_size, self.seed = windows, batch_size, seed
        self.eeg_scaling, self.bold_scaling, self.statistics = eeg_scaling, bold_scaling, statistics
        self._start(epoch)

    def __len__(self) -> int:
        return -(-len(self.windows) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray]]:
        rows = np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size])
        return (
            {
                "eeg": standardise_eeg(self.windows.eeg(rows), self.eeg_scaling, self.statistics),
                "fmri": self.windows.standardised(rows, self.bold_scaling),
            },
        )

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch."""
        self._start(self.epoch + 1)

    def _start(self, epoch: int) -> None:
        self.epoch = epoch
        self.order = np.random.default_rng((self.seed, epoch)).permutation(len(self.windows))
