"""What happens during a fit: scores on validation subjects, checkpoints, early stopping, progress."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from rich.progress import Progress

from eeg2fmri.config import TrainingConfig
from eeg2fmri.errors import DivergenceError, ModelError
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.store import Windows
from eeg2fmri.training import backend
from eeg2fmri.training.prefetch import Prefetched
from eeg2fmri.training.settings import History, OnEpoch
from eeg2fmri.training.validation import validate


@dataclass
class Progressing:
    """State of a fit that a checkpoint carries: scores per epoch, and the best epoch so far."""

    history: History = field(default_factory=dict)
    best_epoch: int = -1

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(next(iter(self.history.values()), []))

    def add(self, metrics: dict[str, float], monitor: str) -> bool:
        """Append an epoch's metrics; whether it is the best one."""
        for key, value in metrics.items():
            self.history.setdefault(key, []).append(float(value))
        sign = 1 if monitor.endswith("r2_temporal") else -1
        series = self.history[monitor]
        best = self.best_epoch < 0 or sign * series[-1] > sign * series[self.best_epoch]
        if best:
            self.best_epoch = self.epochs - 1
        return best


class Checkpoints:
    """One folder ``epoch-N`` with weights, optimiser, best weights, state; written whole, then renamed."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def latest(self) -> Path | None:
        """The newest checkpoint; one of another configuration is refused."""
        whole = [p for p in self.folder.glob("epoch-*") if p.suffix != ".part"]
        found = sorted(whole, key=lambda p: int(p.name.split("-")[1]))
        if not found:
            return None
        key = json.loads((found[-1] / "state.json").read_text())["key"]
        if key != self.key:
            raise ModelError(f"{found[-1]}: a checkpoint of another configuration; delete it or give another --workdir")
        return found[-1]

    def save(self, model: keras.Model, synthesiser: keras.Model, state: Progressing, *, best: bool) -> None:
        """Write the state after an epoch and drop those before it."""
        before = self.latest()
        final = self.folder / f"epoch-{state.epochs}"
        part = final.with_name(f"{final.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        model.save_weights(part / "model.weights.h5")
        if best or before is None:
            synthesiser.save_weights(part / "best.weights.h5")
        else:
            shutil.copyfile(before / "best.weights.h5", part / "best.weights.h5")  # not every file system has links
        content = {
            "key": self.key,
            "history": state.history,
            "best_epoch": state.best_epoch,
            "random": [ops.convert_to_numpy(v).tolist() for v in _random_states(model)],
            "generators": backend.generators(),
        }
        (part / "state.json").write_text(json.dumps(content))
        part.rename(final)
        for old in [path for path in self.folder.glob("epoch-*") if path != final]:
            shutil.rmtree(old)

    def restore(self, model: keras.Model) -> Progressing:
        """Load the newest checkpoint into `model`; an empty state if there is none."""
        latest = self.latest()
        if latest is None:
            return Progressing()
        model.load_weights(latest / "model.weights.h5")
        state = json.loads((latest / "state.json").read_text())
        return Progressing(state["history"], state["best_epoch"])

    def restore_random(self, model: keras.Model) -> None:
        """Set the dropout's generators as the newest checkpoint has them.

        Apart from `restore`, since what Keras does when a fit begins may draw from them.
        """
        if latest := self.latest():
            state = json.loads((latest / "state.json").read_text())
            for variable, value in zip(_random_states(model), state["random"], strict=True):
                variable.assign(value)
            backend.set_generators(state["generators"])

    def restore_best(self, synthesiser: keras.Model) -> None:
        """Load the best epoch's weights into the model that is saved and served."""
        latest = self.latest()
        assert latest is not None  # a finished fit has written at least one
        synthesiser.load_weights(latest / "best.weights.h5")


def _random_states(model: keras.Model) -> list[Any]:
    """State of the dropout's generators, which Keras leaves out of a model's weights."""
    return [v for v in model.non_trainable_variables if "seed_generator" in v.path]


class EpochEnd(keras.callbacks.Callback):
    """Around each epoch: shuffle; validate, checkpoint, report, and stop when nothing improves any more."""

    def __init__(
        self,
        data: Prefetched,
        fitted: FittedModel,
        synthesiser: keras.Model,
        windows: Windows,
        config: TrainingConfig,
        checkpoints: Checkpoints,
        state: Progressing,
        on_epoch: OnEpoch | None,
    ) -> None:
        super().__init__()
        self.data = data
        self.fitted, self.synthesiser, self.windows, self.config = fitted, synthesiser, windows, config
        self.checkpoints, self.state, self.on_epoch = checkpoints, state, on_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.checkpoints.restore_random(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.data.start(epoch)
        self.started = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch == len(self.data) - 1:  # a schedule has moved on when the epoch ends
            self.learning_rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        seconds = time.perf_counter() - self.started
        metrics = {f"train/{key}": float(value) for key, value in (logs or {}).items()}
        metrics["train/learning_rate"] = self.learning_rate
        metrics["train/samples_per_second"] = self.data.instances / seconds
        scores, example = validate(self.model, self.fitted, self.windows)
        metrics.update(scores)
        if bad := [key for key, value in metrics.items() if not np.isfinite(value)]:
            raise DivergenceError(f"{', '.join(bad)} not finite after epoch {epoch + 1}; lower training.learning_rate")
        best = self.state.add(metrics, self.config.monitor)
        self.checkpoints.save(self.model, self.synthesiser, self.state, best=best)
        if self.on_epoch:
            self.on_epoch(epoch, metrics, example)
        if epoch - self.state.best_epoch >= self.config.patience:
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


def replay(history: History, on_epoch: OnEpoch | None) -> None:
    """Report the epochs of an interrupted fit again, since its run is not this one."""
    for epoch in range(len(next(iter(history.values()), []))):
        if on_epoch:
            on_epoch(epoch, {key: values[epoch] for key, values in history.items()}, None)
