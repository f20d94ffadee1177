"""Work in a process of its own, for tests of what a process decides once: `python process.py BACKEND FOLDER WORK ...`.

It prints one line of JSON, what each work gave by its name. Imports take most of a process, so one process does all
the works of a backend, in their order.
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
        save = epochs._save

        def half(path: Path, variables: Any) -> None:
            save(path, variables)
            if second(path.parent):
                path.write_bytes(path.read_bytes()[:1000])
                kill()

        epochs._save = half
    elif place == "before the rename":
        Path.rename = when(lambda path, _: second(path), Path.rename)
    elif place == "before the removal":
        removal = shutil.rmtree
        epochs.shutil.rmtree = when(lambda path, **_: path.name == "epoch-1", removal)
    return (lambda epoch, *_: kill() if epoch == 1 else None) if place == "between epochs" else None


PLACES = ("in a batch", "between epochs", "in the weights", "before the rename", "before the removal")


def forked(folder: Path, name: str, place: str | None = None) -> tuple[int, Any]:
    """Status and histories of a fit that keeps checkpoints, in a fork made before Keras has computed anything."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    result = folder / f"{name}.json"
    if not (child := os.fork()):
        settings = dataclasses.replace(DETERMINISTIC, checkpoints=folder / name, key="k")
        changes = {"epochs": 3, "schedule": "cosine", "warmup_epochs": 1, "global_clipnorm": 0.5}
        result.write_text(json.dumps(learn(settings, kill_at(place) if place else None, **changes)))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return status, json.loads(result.read_text()) if result.exists() else None


def whole(folder: Path) -> tuple[int, Any]:
    """A fit that is never killed."""
    return forked(folder, "whole")


def resume(folder: Path) -> dict[str, Any]:
    """Fits killed at `PLACES` and resumed."""
    found: dict[str, Any] = {}
    for place in PLACES:
        status, nothing = forked(folder, place, place)
        left = sorted(path.name for path in (folder / place).iterdir())
        found[place] = {"signal": status, "finished": nothing, "left": left, "resumed": forked(folder, place)}
    return found


def repeat(folder: Path) -> dict[str, Any]:
    """Two fits in one process, the second interrupted after its first epoch and resumed."""
    import keras

    uninterrupted = learn(DETERMINISTIC, epochs=2)

    def stop(epoch: int, *_: object) -> None:
        raise KeyboardInterrupt

    settings = dataclasses.replace(DETERMINISTIC, checkpoints=folder / keras.backend.backend(), key="k")
    with contextlib.suppress(KeyboardInterrupt):
        learn(settings, stop, epochs=2)
    return {"whole": uninterrupted, "resumed": learn(settings, epochs=2)}


def forward(_: Path) -> dict[str, list[Any]]:
    """Outputs and losses of three networks, whose weights are set from numpy: every backend draws its own."""
    import keras

    from eeg2fmri.models.calhas2022 import build
    from eeg2fmri.training.losses import component_squared_error, cosine_distance

    results = {}
    networks: list[dict[str, Any]] = [
        {},
        {"output_filter": "local", "fourier": "fixed"},
        {"decoder": "pca", "components": 4, "variant": "tafp-style-prior"},
    ]
    for number, changes in enumerate(networks):
        rng = np.random.default_rng(number)
        parts = build(deep_config(**changes), EEG_SHAPE, GRID)
        for part in filter(None, (parts.eeg_encoder, parts.fmri_encoder, parts.decoder)):
            for weight in part.weights:
                if "seed" not in weight.path:
                    drawn = 0.3 * rng.standard_normal(weight.shape)
                    positive = "variance" in weight.path or "scale" in weight.path
                    weight.assign(np.abs(drawn) + 0.2 if positive else drawn)
        eeg = keras.ops.convert_to_tensor(rng.standard_normal((2, *EEG_SHAPE)).astype("float32"))
        z_x, _ = parts.eeg_encoder(eeg)
        values = {
            "volume": parts.synthesiser()(eeg),
            "error": component_squared_error(2 * z_x, z_x, z_x[0], z_x[:, 0], 7),
        }
        if parts.fmri_encoder is not None:
            z_y = parts.fmri_encoder(keras.ops.convert_to_tensor(rng.standard_normal((2, *GRID)).astype("float32")))
            values |= {"z_y": z_y, "cosine": cosine_distance(z_x, z_y)}
        results |= {f"{number}.{key}": keras.ops.convert_to_numpy(value).tolist() for key, value in values.items()}
    return results


def steps(folder: Path) -> dict[str, Any]:
    """Losses of two training steps from given weights, which TensorFlow writes and the others read."""
    import keras

    from eeg2fmri.models.calhas2022 import build
    from eeg2fmri.training.backend import adam, compile_with_xla
    from eeg2fmri.training.pairs import pair_model

    weights = folder / "weights.npz"
    keras.utils.set_random_seed(3)
    model = pair_model(build(deep_config(dropout=0.0, weight_decay=1e-3), EEG_SHAPE, GRID))
    if keras.backend.backend() == "tensorflow":
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


def factorised(_: Path) -> dict[str, Any]:
    """Loss at the start and after an epoch of the factorised family."""
    training = RecordingTraining(epochs=1, learning_rate=1e-3)
    config = FactorisedConfig(components=5, sources=2, hidden=4, drift_cutoff=6.0, dropout=0.0, training=training)
    return fit(config, *windows(), FitSettings(seed=5, device="cpu")).history


def devices(_: Path) -> list[dict[str, Any]]:
    """A fit on one device, and one with every batch shared by four virtual devices."""
    found = []
    for count in (1, 4):
        settings = FitSettings(seed=5, device="cpu", devices=count)
        result = fit(deep_config(epochs=2, batch_size=4, dropout=0.0), *windows(), settings)
        eeg = windows()[1].eeg(np.arange(3))
        found.append(
            {
                "history": {key: values for key, values in result.history.items() if key != TIMED},
                "devices": result.facts["devices"],
                "volume": float(np.abs(result.model.synthesise(eeg)).mean()),
            }
        )
    return found


if __name__ == "__main__":
    use_backend(sys.argv[1], deterministic=True)
    works = (whole, resume, forward, steps, factorised, repeat, devices)
    asked = {work.__name__: work for work in works}
    print(json.dumps({name: asked[name](Path(sys.argv[2])) for name in sys.argv[3:]}))
