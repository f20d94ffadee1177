"""Callbacks within an epoch of Keras: shuffling, time, learning rate, progress."""

from __future__ import annotations

import time
from typing import Any

import keras
from keras import ops
from rich.progress import Progress

from eeg2fmri.training.epochs import Epochs
from eeg2fmri.training.prefetch import Prefetched


class EpochEnd(keras.callbacks.Callback):
    """Start and end of each epoch: shuffle before it, finish it after it, and stop when nothing improves any more."""

    def __init__(self, data: Prefetched, epochs: Epochs) -> None:
        super().__init__()
        self.data, self.epochs = data, epochs

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.epochs.restore_random()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.data.start(epoch)
        self.started = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch == len(self.data) - 1:  # a schedule has changed when the epoch ends
            self.learning_rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        seconds = time.perf_counter() - self.started
        metrics = {f"train/{key}": float(value) for key, value in (logs or {}).items()}
        metrics["train/learning_rate"] = self.learning_rate
        metrics["train/samples_per_second"] = self.data.instances / seconds
        self.epochs.finish(metrics)
        if self.epochs.stale:
            self.model.stop_training = True


class ProgressBar(keras.callbacks.Callback):
    """A bar per epoch with losses and samples per second; silent when not on a terminal."""

    def __init__(self, epochs: int, steps: int, batch_size: int, progress: Progress) -> None:
        super().__init__()
        self.epochs, self.steps, self.batch_size, self.progress = epochs, steps, batch_size, progress
        self.task = progress.add_task("training", total=steps, status="")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.started = time.perf_counter()
        self.progress.reset(self.task, total=self.steps, description=f"epoch {epoch + 1}/{self.epochs}", status="")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        rate = (batch + 1) * self.batch_size / (time.perf_counter() - self.started)
        losses = "  ".join(f"{key} {float(value):.4f}" for key, value in (logs or {}).items())
        self.progress.update(self.task, advance=1, status=f"{losses}  {rate:.1f} samples/s")
