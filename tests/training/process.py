"""Fits in processes of their own, for tests of what a process decides once: `python process.py WORK ARGUMENTS`.

Every work prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.config import FactorisedConfig, RecordingTraining
from eeg2fmri.devices import use_backend
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.store import Windows
from tests.fakes import CONTEXT, EEG_SHAPE, GRID, deep_config, recording

TIMED = "train/samples_per_second"
DETERMINISTIC = FitSettings(seed=5, device="cpu", deterministic=True)


def windows() -> tuple[Windows, Windows]:
    """36 training windows and 9 validation windows."""
    train = Windows([recording(f"sub-0{n}", n, windows=15) for n in (1, 2, 3)], CONTEXT)
    return train, Windows([recording("sub-04", 4, windows=12)], CONTEXT)


def learn(settings: FitSettings, on_epoch: Any = None, **changes: Any) -> dict[str, list[float]]:
    """History of a fit on tiny data, without its timing."""
    history = fit(deep_config(**changes), *windows(), settings, on_epoch).history
    return {key: values for key, values in history.items() if key != TIMED}


def kill(*_: object) -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(place: str) -> Any:
    """Arrange for a kill in the second epoch or in the writing of its checkpoint; gives a callback for `fit`."""
    import keras

    from eeg2fmri.training import callbacks, epochs

    def when(condition: Callable[..., bool], original: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return kill() if condition(*args) else original(*args, **kwargs)

        return replacement

    def second(path: Path) -> bool:
        return path.name.startswith("epoch-2")

    if place == "in a batch":
        begin = callbacks.EpochEnd.on_train_batch_begin
        callbacks.EpochEnd.on_train_batch_begin = when(lambda s, b, *_: s.epochs.state.epochs == 1 and b == 3, begin)
    elif place == "in the weights":
        save = keras.Model.save_weights

        def half(model: Any, path: Path) -> None:
            save(model, path)
            if second(path.parent):
                path.write_bytes(path.read_bytes()[:1000])
                kill()

        keras.Model.save_weights = half
    elif place == "before the rename":
        Path.rename = when(lambda path, _: second(path), Path.rename)
    elif place == "before the removal":
        removal = shutil.rmtree
        epochs.shutil.rmtree = when(lambda path, **_: path.name == "epoch-1", removal)
    return (lambda epoch, *_: kill() if epoch == 1 else None) if place == "between epochs" else None


PLACES = ("in a batch", "between epochs", "in the weights", "before the rename", "before the removal")


def resume(folder: str) -> dict[str, Any]:
    """Histories of a fit that is never killed, and of fits killed at `PLACES` and resumed.

    Each runs in a fork made before Keras has computed anything, so that its imports are paid once.
    """
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    changes = {"epochs": 3, "schedule": "cosine", "warmup_epochs": 1, "global_clipnorm": 0.5}

    def forked(name: str, place: str | None) -> tuple[int, Any]:
        result = Path(folder) / f"{name}.json"
        if not (child := os.fork()):
            checkpoints = Path(folder) / name
            settings = dataclasses.replace(DETERMINISTIC, checkpoints=checkpoints, key="k")
            result.write_text(json.dumps(learn(settings, kill_at(place) if place else None, **changes)))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        return status, json.loads(result.read_text()) if result.exists() else None

    found: dict[str, Any] = {"whole": forked("whole", None)}
    for place in PLACES if os.environ.get("PLACES") != "none" else ():
        status, nothing = forked(place, place)
        left = sorted(path.name for path in (Path(folder) / place).iterdir())
        found[place] = {"signal": status, "finished": nothing, "left": left, "resumed": forked(place, None)}
    return found


def repeat(backend: str) -> dict[str, Any]:
    """Two fits in one process, the second interrupted after its first epoch and resumed."""
    use_backend(backend, deterministic=True)
    folder = Path(sys.argv[3])
    whole = learn(DETERMINISTIC, epochs=2)

    def stop(epoch: int, *_: object) -> None:
        raise KeyboardInterrupt

    settings = dataclasses.replace(DETERMINISTIC, checkpoints=folder, key="k")
    with contextlib.suppress(KeyboardInterrupt):
        learn(settings, stop, epochs=2)
    return {"whole": whole, "resumed": learn(settings, epochs=2)}


def steps(backend: str) -> dict[str, Any]:
    """Losses of two training steps from given weights, which TensorFlow writes and the others read."""
    use_backend(backend)
    import keras

    from eeg2fmri.models.calhas2022 import build
    from eeg2fmri.training.backend import adam, compile_with_xla
    from eeg2fmri.training.pairs import pair_model

    weights = Path(sys.argv[3]) / "weights.npz"
    keras.utils.set_random_seed(3)
    model = pair_model(build(deep_config(dropout=0.0, weight_decay=1e-3), EEG_SHAPE, GRID))
    if backend == "tensorflow":
        np.savez(weights, *model.get_weights())
    else:
        model.set_weights(list(np.load(weights).values()))
    model.compile(optimizer=adam(0.003, "cpu", global_clipnorm=1.0), jit_compile=compile_with_xla("cpu"))
    rng = np.random.default_rng(4)
    losses = []
    for _ in range(3):
        shapes = {"eeg": EEG_SHAPE, "fmri": GRID}
        batch = {k: keras.ops.convert_to_tensor(rng.standard_normal((5, *s)), "float32") for k, s in shapes.items()}
        losses.append({key: float(value) for key, value in model.train_on_batch(batch, return_dict=True).items()})
    return {"backend": keras.backend.backend(), "losses": losses}


def factorised(backend: str) -> dict[str, Any]:
    """Loss at the start and after an epoch of the factorised family."""
    use_backend(backend)
    training = RecordingTraining(epochs=1, learning_rate=1e-3)
    config = FactorisedConfig(
        components=5, sources=2, hidden=4, nuisance=0, drift_cutoff=6.0, dropout=0.0, training=training
    )
    return fit(config, *windows(), FitSettings(seed=5, device="cpu")).history


def devices(count: str) -> dict[str, Any]:
    """A fit on JAX with a batch shared by `count` virtual devices."""
    use_backend("jax")
    settings = FitSettings(seed=5, device="cpu", devices=int(count))
    result = fit(deep_config(epochs=2, batch_size=4, dropout=0.0), *windows(), settings)
    eeg = windows()[1].eeg(np.arange(3))
    return {
        "history": {key: values for key, values in result.history.items() if key != TIMED},
        "devices": result.facts["devices"],
        "volume": float(np.abs(result.model.synthesise(eeg)).mean()),
    }


if __name__ == "__main__":
    works = {"resume": resume, "repeat": repeat, "steps": steps, "factorised": factorised, "devices": devices}
    work = works[sys.argv[1]]
    print(json.dumps(work(sys.argv[2])))
