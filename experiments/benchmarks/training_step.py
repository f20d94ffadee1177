"""Time of a training step at the published configuration, against the published way of stepping.

    python experiments/benchmarks/training_step.py [--steps 15] [--out experiments/benchmarks/training_step.json]

The first two train the same Keras parts (same architecture, same shapes, batch 4) in one process, in turns:

- "published way", after the description of the published code: eager execution, a persistent
  gradient tape, the EEG encoder run twice in a step, garbage collected after every batch, Keras' Adam;
- "eeg2fmri": `training.pairs.PairModel` compiled as `training.fit` compiles it;
- "eeg2fmri, decoder pca": the same with 64 principal components in the place of the dense decoder, and
  targets of 64 numbers (random ones here: what they are makes no difference to the time).

Peak memory is that of a process of its own for each way, after three steps.

The published way is rebuilt from its description, without running the original code, and it already
has this project's merged first convolution of a block; so the ratio is a lower bound for what the
whole of this project's step gains. Only the ratio within one run means something.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as eeg2fmri does, which is imported after TensorFlow here

import keras
import numpy as np
import tensorflow as tf

from eeg2fmri.config import Calhas2022Config
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.training import backend
from eeg2fmri.training.fluctuations import Components
from eeg2fmri.training.losses import cosine_distance, mean_absolute_error
from eeg2fmri.training.pairs import pair_model

EEG, GRID, BATCH = (64, 134, 10), (64, 64, 30), 4


def published_step(config: Calhas2022Config, data: dict[str, np.ndarray]) -> Callable[[], float]:
    """One step after the description of the published training loop."""
    parts = build(config, EEG, GRID)
    optimizer = keras.optimizers.Adam(config.training.learning_rate)
    models = (parts.eeg_encoder, parts.fmri_encoder, parts.decoder)
    variables = [v for model in models for v in model.trainable_variables]
    eeg, fmri = tf.constant(data["eeg"]), tf.constant(data["fmri"])

    def step() -> float:
        with tf.GradientTape(persistent=True) as tape:
            z_x, _ = parts.eeg_encoder(eeg, training=True)
            volume = parts.decoder(parts.eeg_encoder(eeg, training=True), training=True)
            z_y = parts.fmri_encoder(fmri, training=True)
            loss = mean_absolute_error(fmri, volume) + cosine_distance(z_x, z_y)
        optimizer.apply(tape.gradient(loss, variables), variables)
        del tape
        gc.collect()
        return float(loss)

    return step


def our_step(config: Calhas2022Config, data: dict[str, np.ndarray]) -> Callable[[], float]:
    """One step of this project's training on the CPU."""
    model = pair_model(build(config, EEG, GRID))
    optimizer = backend.adam(config.training.learning_rate, "cpu")
    model.compile(optimizer=optimizer, jit_compile=backend.compile_with_xla("cpu"))
    return lambda: float(model.train_on_batch(data, return_dict=True)["loss"])


def pca_step(config: Calhas2022Config, data: dict[str, np.ndarray]) -> Callable[[], float]:
    """One step with the decoder of principal components, on their coefficients."""
    config = config.model_copy(update={"decoder": "pca"})
    rng, voxels = np.random.default_rng(1), math.prod(GRID)
    basis = np.linalg.qr(rng.standard_normal((voxels, config.components), dtype=np.float32))[0].T
    components = Components(np.zeros(voxels, np.float32), basis, np.ones(config.components, np.float32), 1.0)
    model = pair_model(build(config, EEG, GRID, basis=components.scaled), components)
    model.compile(optimizer=backend.adam(config.training.learning_rate, "cpu"), jit_compile=False)
    coefficients, outside = components.project(data["fmri"].reshape(BATCH, -1))
    targets = {"coefficients": coefficients, "outside": outside}
    eeg = {"eeg": data["eeg"]}
    return lambda: float(model.train_on_batch(eeg, targets, return_dict=True)["loss"])


WAYS = {"published way": published_step, "eeg2fmri": our_step, "eeg2fmri, decoder pca": pca_step}


def example() -> dict[str, np.ndarray]:
    """One batch."""
    rng = np.random.default_rng(0)
    return {
        "eeg": rng.standard_normal((BATCH, *EEG), dtype=np.float32),
        "fmri": rng.standard_normal((BATCH, *GRID), dtype=np.float32),
    }


def peak_memory(way: str) -> float:
    """Peak resident memory (MiB) of a process that takes three steps."""
    done = subprocess.run([sys.executable, __file__, "--peak", way], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure in turns and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--peak", choices=WAYS, help="take three steps and print the peak memory (MiB)")
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    config, data = Calhas2022Config(), example()
    if args.peak:
        step = WAYS[args.peak](config, data)
        for _ in range(3):
            step()
        # Not getrusage: its peak outlives exec, and would be this script's own.
        status = Path("/proc/self/status").read_text()
        print(round(int(status.split("VmHWM:")[1].split()[0]) / 1024))
        return
    ways = {name: way(config, data) for name, way in WAYS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(args.steps + 2):
        for name, step in ways.items():
            start = time.perf_counter()
            step()
            if number >= 2:  # the first steps trace and allocate
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "seconds_per_step": {name: round(value, 4) for name, value in medians.items()},
        "spread": {name: [round(min(v), 4), round(max(v), 4)] for name, v in seconds.items()},
        "samples_per_second": {name: round(BATCH / value, 2) for name, value in medians.items()},
        "ratio": {name: round(medians["published way"] / value, 2) for name, value in medians.items()},
        "peak_rss_mib": {name: peak_memory(name) for name in WAYS},
        "steps": args.steps,
        "batch": BATCH,
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), "keras": keras.__version__, "tensorflow": tf.__version__},
    }
    args.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
