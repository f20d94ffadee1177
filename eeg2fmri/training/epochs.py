"""End of an epoch, for any family that has epochs: score, keep, report, and stop when nothing improves any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from eeg2fmri.errors import DivergenceError, EvaluationError, ModelError, disk_full
from eeg2fmri.training import backend
from eeg2fmri.training.settings import MONITOR, Example, History, OnEpoch


class Options(Protocol):
    """Settings of a family's section `training` that are needed here."""

    @property
    def epochs(self) -> int:
        """Largest number of epochs."""
        ...

    @property
    def patience(self) -> int:
        """Epochs without improvement after which training stops."""
        ...


@dataclass
class Progressing:
    """State of a fit that a checkpoint carries: scores per epoch, and the best epoch so far."""

    history: History = field(default_factory=dict)
    best_epoch: int = -1

    @property
    def epochs(self) -> int:
        """Return the number of finished epochs."""
        return len(next(iter(self.history.values()), []))

    def add(self, metrics: dict[str, float]) -> bool:
        """Append an epoch's metrics; return whether it is the best one."""
        for key, value in metrics.items():
            self.history.setdefault(key, []).append(float(value))
        series = self.history[MONITOR]
        best = self.best_epoch < 0 or series[-1] > series[self.best_epoch]
        if best:
            self.best_epoch = self.epochs - 1
        return best


class Checkpoints:
    """One folder ``epoch-N`` with weights, optimiser, best weights, state; written whole, then renamed."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def latest(self) -> Path | None:
        """Return the newest checkpoint; refuse one of another configuration."""
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
        try:
            part.mkdir(parents=True)
            _save(part / "model.npz", _state_of(model))
            if best or before is None:
                _save(part / "best.npz", synthesiser.weights)
            else:
                shutil.copyfile(before / "best.npz", part / "best.npz")  # not every file system has links
            content = {
                "key": self.key,
                "history": state.history,
                "best_epoch": state.best_epoch,
                "random": [ops.convert_to_numpy(v).tolist() for v in _random_states(model)],
                "generators": backend.generators(),
            }
            (part / "state.json").write_text(json.dumps(content))
            part.rename(final)
        except OSError as err:
            shutil.rmtree(part, ignore_errors=True)
            if full := disk_full(err, f"{self.folder}, checkpoint of epoch {state.epochs}"):
                raise full from err
            raise
        for old in [path for path in self.folder.glob("epoch-*") if path != final]:
            shutil.rmtree(old)

    def restore(self, model: keras.Model) -> Progressing:
        """Load the newest checkpoint into `model`; return an empty state if there is none."""
        latest = self.latest()
        if latest is None:
            return Progressing()
        _load(latest / "model.npz", _state_of(model))
        state = json.loads((latest / "state.json").read_text())
        return Progressing(state["history"], state["best_epoch"])

    def restore_random(self, model: keras.Model) -> None:
        """Set the dropout's generators to the state of the newest checkpoint.

        This is separate from `restore`, because Keras may draw random numbers when a fit begins.
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
        _load(latest / "best.npz", synthesiser.weights)


def _state_of(model: keras.Model) -> list[Any]:
    """Return weights and state of the optimiser, in an order that the code decides."""
    return [*model.weights, *model.optimizer.variables]


def _save(path: Path, variables: Sequence[Any]) -> None:
    """Write values by NumPy: on a full disk HDF5, which Keras writes, ends the process with a segmentation fault."""
    np.savez(path, allow_pickle=False, **{str(n): ops.convert_to_numpy(v) for n, v in enumerate(variables)})


def _load(path: Path, variables: Sequence[Any]) -> None:
    with np.load(path, allow_pickle=False) as values:
        for number, variable in enumerate(variables):
            variable.assign(values[str(number)])


def _random_states(model: keras.Model) -> list[Any]:
    """Return the state of the dropout's generators, which is not among a model's weights."""
    return [v for v in model.non_trainable_variables if "seed_generator" in v.path]


class Epochs:
    """A training, epoch by epoch, from its last checkpoint on.

    Parameters
    ----------
    model : takes the steps; its weights and optimiser are kept.
    synthesiser : the part that is kept of the best epoch.
    options : the section `training`.
    validate : scores after an epoch, and an example.
    checkpoints : folder of the state, which is restored at once.
    on_epoch : called with every epoch, and again with those of an interrupted fit, because this is another run.
    first : number of the first epoch in messages.
    """

    def __init__(
        self,
        model: keras.Model,
        synthesiser: keras.Model,
        options: Options,
        validate: Callable[[], tuple[dict[str, float], Example]],
        checkpoints: Checkpoints,
        on_epoch: OnEpoch | None,
        *,
        first: int = 1,
    ) -> None:
        self.model, self.synthesiser, self.options, self.validate = model, synthesiser, options, validate
        self.checkpoints, self.on_epoch, self.first = checkpoints, on_epoch, first
        self.state = checkpoints.restore(model)
        for epoch in range(self.state.epochs):
            if on_epoch:
                on_epoch(epoch, {key: values[epoch] for key, values in self.state.history.items()}, None)

    @property
    def stale(self) -> bool:
        """Return whether too many epochs have passed since the best one."""
        return self.state.epochs - 1 - max(self.state.best_epoch, 0) >= self.options.patience

    def restore_random(self) -> None:
        """Set the dropout's generators to the state of the last checkpoint, just before the first step."""
        self.checkpoints.restore_random(self.model)

    def finish(self, metrics: dict[str, float]) -> None:
        """Score the epoch whose steps gave `metrics`, keep its state, and report it.

        Raises
        ------
        DivergenceError
            If a metric or a synthesised volume is not finite.
        """
        epoch = self.state.epochs
        try:
            scores, example = self.validate()
        except EvaluationError as err:
            raise DivergenceError(f"after epoch {epoch + self.first}: {err} Lower training.learning_rate") from err
        metrics = metrics | scores
        if bad := [key for key, value in metrics.items() if not np.isfinite(value)]:
            raise DivergenceError(
                f"{', '.join(bad)} is not finite after epoch {epoch + self.first}; lower training.learning_rate"
            )
        best = self.state.add(metrics)
        self.checkpoints.save(self.model, self.synthesiser, self.state, best=best)
        if self.on_epoch:
            self.on_epoch(epoch, metrics, example)
