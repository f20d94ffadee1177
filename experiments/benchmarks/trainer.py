"""What a training at the published configuration spends besides its steps: waiting, tracking, memory, the update.

    python experiments/benchmarks/trainer.py [--windows 28] [--out experiments/benchmarks/trainer.json]

A store of random numbers at full size (64 × 134 × 10 EEG, 64 × 64 × 30 volumes) is written, and a real
`fit` trains on it, batch 4, two epochs, in a process of its own whose peak memory is read at its end.

- input: a batch is waited for from the beginning of a step until Keras is handed it; the share is of the
  second epoch's steps. "ahead" is the trainer's prefetching, "in turn" builds every batch when it is asked for.
- tracking: seconds that the epoch's callback takes (metrics and a figure into MLflow on SQLite), and that
  opening and closing the run take, against ten epochs of the reference's 574 steps at this run's median step.
- memory: peak resident set of a training process, data included: 8 training recordings of 297 volumes (their
  EEG random, their volumes blank, which costs the same memory) and one to validate on; 12 steps and an epoch's end.
- update: the optimiser's share of a step, fused and as Keras has it.
- deterministic: median step with `run.deterministic`, against the step without it.

Only numbers of one run compare. Each way trains twice, in turns; the quicker of its two medians counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

EEG, GRID, CONTEXT, BATCH, TR = (64, 134), (64, 64, 30), 10, 4, 2.16
WAYS = ("ahead", "in turn", "deterministic")
REFERENCE_STEPS, REFERENCE_EPOCHS = 574, 10


def windows(folder: Path, subject: str, count: int, recordings: int = 1, *, blank: bool = False) -> Any:
    """Recordings of `count` instances of random numbers each, written and read as a store's.

    The volumes of blank ones are not on disk: Zarr reads zeros.
    """
    from eeg2fmri.store import Windows

    names = [f"{subject}{number}" for number in range(recordings)]
    return Windows([stored(folder, name, count + CONTEXT, blank=blank) for name in names], CONTEXT)


def stored(folder: Path, name: str, n: int, *, blank: bool) -> Any:
    """One recording of `n` windows."""
    import zarr

    from eeg2fmri.signals import Signal
    from eeg2fmri.store import StoredRecording

    path, rng = folder / name, np.random.default_rng(len(name))
    if not path.exists():
        group = zarr.open_group(path, mode="w")
        arrays = {
            "spectrogram": np.exp(rng.standard_normal((n, *EEG), dtype=np.float32)),
            "mask": np.ones(GRID, bool),
            "voxel_mean": np.full(GRID, 500, np.float32),
            "voxel_sd": np.full(GRID, 100, np.float32),
        }
        for key, values in arrays.items():
            group.create_array(key, data=values, chunks=values.shape, compressors=None)
        volumes = group.create_array(
            "volumes", shape=(n, *GRID), chunks=(1, *GRID), dtype="float32", compressors=None, fill_value=0
        )
        for number in range(0 if blank else n):
            volumes[number] = 500 + 100 * rng.standard_normal(GRID, dtype=np.float32)
    attributes = {"name": name, "subject": name, "digest": name, "source_digest": name, "mean": 500.0, "sd": 100.0}
    signal = Signal(
        tr=TR, sampling_rate=250.0, channels=tuple(f"E{row}" for row in range(EEG[0])), unit="µV",
        frequencies=tuple(k / TR for k in range(1, EEG[1] + 1)), grid=GRID, space="native",
        affine=tuple(map(tuple, np.eye(4).tolist())),
    )  # fmt: skip
    return StoredRecording(zarr.open_group(path, mode="r"), attributes, signal)


def training(folder: Path, count: int, way: str) -> dict[str, Any]:
    """A fit of two epochs: step times, waiting and peak memory of this process."""
    import keras

    from eeg2fmri.config import Calhas2022Config, TrainingConfig
    from eeg2fmri.families import FitSettings, fit
    from eeg2fmri.training import deep, prefetch

    begun: list[float] = []
    ended: list[float] = []
    ready: dict[int, float] = {}

    class Watched(prefetch.Prefetched):
        def __len__(self) -> int:
            return 12 if way == "memory" else super().__len__()

        def __getitem__(self, index: int) -> Any:
            batch = self.data[index] if way == "in turn" else super().__getitem__(index)
            ready[index] = time.perf_counter()
            return batch

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            begun.clear(), ended.clear(), ready.clear()

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            begun.append(time.perf_counter())

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            ended.append(time.perf_counter())

    deep.Prefetched = Watched  # type: ignore[misc]
    train_on = keras.Model.fit
    keras.Model.fit = lambda self, *args, callbacks, **kw: train_on(self, *args, callbacks=[Watch(), *callbacks], **kw)
    full = way == "memory"
    config = Calhas2022Config(training=TrainingConfig(epochs=1 if full else 2, batch_size=BATCH))
    train = windows(folder, "full", 287, 8, blank=True) if full else windows(folder, "train", count)
    validation = windows(folder, "held", 287) if full else windows(folder, "validate", 12)
    settings = FitSettings(device="cpu", deterministic=way == "deterministic")
    examples: list[Any] = []
    fit(config, train, validation, settings, lambda epoch, metrics, example: examples.append(example))
    steps = [end - begin for begin, end in zip(begun, ended, strict=True)]
    waits = [max(0.0, ready[n] - begin) for n, begin in enumerate(begun)]
    result = {
        "seconds_per_step": statistics.median(steps),
        "samples_per_second": BATCH / statistics.median(steps),
        "wait_share": sum(waits) / sum(steps),
        "wait_share_without_first_step": sum(waits[1:]) / sum(steps[1:]),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    np.savez(folder / "example.npz", measured=examples[-1][0], synthesised=examples[-1][1])
    return result


def tracking(folder: Path) -> dict[str, float]:
    """Seconds of an epoch's callback, and of opening and closing a run, with MLflow on SQLite."""
    import mlflow

    from eeg2fmri.config import Calhas2022Config
    from eeg2fmri.pipeline.train import _epoch_logger
    from eeg2fmri.tracking import tracked_run

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.create_experiment("tracking", artifact_location=(folder / "artifacts").as_uri())
    with np.load(folder / "example.npz") as arrays:
        example = arrays["measured"], arrays["synthesised"]
    names = ("loss", "mae", "cosine")
    metrics = {f"{part}/{name}": 0.5 for part in ("train", "val") for name in names}
    metrics |= {"val/r2_temporal": 0.1, "train/learning_rate": 0.003, "train/samples_per_second": 17.0}
    config = Calhas2022Config()
    with tracked_run("warm", experiment="tracking") as log:  # the first figure and the first run load libraries
        _epoch_logger(log, config)(0, metrics, example)
    epochs = []
    start = time.perf_counter()
    with tracked_run("train", experiment="tracking", params={f"key.{n}": n for n in range(80)}) as log:
        opened = time.perf_counter() - start
        logger = _epoch_logger(log, config)
        for epoch in range(REFERENCE_EPOCHS):
            begin = time.perf_counter()
            logger(epoch, metrics, example)
            epochs.append(time.perf_counter() - begin)
        end = time.perf_counter()
    return {"run": opened + time.perf_counter() - end, "epoch": statistics.median(epochs), "epochs": sum(epochs)}


def update() -> dict[str, float]:
    """Seconds of an optimiser's update of all weights of the model, fused and as Keras has it."""
    import keras
    import tensorflow as tf

    from eeg2fmri.config import Calhas2022Config
    from eeg2fmri.models.calhas2022 import build
    from eeg2fmri.training.backend import FusedAdam
    from eeg2fmri.training.pairs import pair_model

    seconds = {}
    for name, kind in (("fused", FusedAdam), ("keras", keras.optimizers.Adam)):
        model = pair_model(build(Calhas2022Config(), (*EEG, CONTEXT), GRID))
        optimizer = kind(0.001)
        optimizer.build(model.trainable_variables)
        gradients = [tf.ones_like(v.value) for v in model.trainable_variables]
        apply = tf.function(
            lambda optimizer=optimizer, gradients=gradients, model=model: optimizer.apply(
                gradients, model.trainable_variables
            )
        )
        times = []
        for _ in range(12):
            start = time.perf_counter()
            apply()
            times.append(time.perf_counter() - start)
        seconds[name] = statistics.median(times[2:])
    return seconds


def alone(work: str, folder: Path, count: int) -> Any:
    """One part of the benchmark in a process of its own."""
    command = [sys.executable, __file__, "--work", work, "--folder", str(folder), "--windows", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])


def rounded(value: Any) -> Any:
    """Four digits after the point."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def report(count: int) -> dict[str, Any]:
    """All parts, and the ratios between them."""
    import keras
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        windows(folder, "train", count), windows(folder, "validate", 12)
        rounds = [{way: alone(way, folder, count) for way in WAYS} for _ in range(2)]
        ways = {way: min((r[way] for r in rounds), key=lambda found: found["seconds_per_step"]) for way in WAYS}
        memory = alone("memory", folder, count)["peak_gib"]
        logged, updates = alone("tracking", folder, count), alone("update", folder, count)
    step = ways["ahead"]["seconds_per_step"]
    epochs = REFERENCE_EPOCHS * REFERENCE_STEPS * step
    return rounded(
        {
            "training": ways,
            "input_wait_share": ways["ahead"]["wait_share"],
            "peak_gib_of_a_full_training": memory,
            "deterministic_over_plain": ways["deterministic"]["seconds_per_step"] / step,
            "tracking_seconds": logged,
            "tracking_share": (logged["run"] + logged["epochs"]) / epochs,
            "update_seconds": updates,
            "update_share_of_step": updates["fused"] / step,
            "windows": count,
            "batch": BATCH,
            "cores": os.cpu_count(),
            "load_at_the_end": os.getloadavg()[0],  # with two cores, more than about 2 is a busy machine
            "versions": {"python": platform.python_version(), "keras": keras.__version__, "tensorflow": tf.__version__},
        }
    )


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=100, help="training instances")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work == "tracking":
        print(json.dumps(tracking(args.folder)))
    elif args.work == "update":
        print(json.dumps(update()))
    elif args.work:
        print(json.dumps(training(args.folder, args.windows, args.work)))
    else:
        text = json.dumps(report(args.windows), indent=2)
        args.out.write_text(text + "\n")
        print(text)


if __name__ == "__main__":
    main()
