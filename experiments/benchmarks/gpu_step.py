"""A training step at batch 64 in mixed precision on a GPU, and what bounds it.

    python experiments/benchmarks/gpu_step.py [--batch 64] [--precision mixed_bfloat16] [--out gpu_step.json]

Published configuration, JAX backend (`pip install 'eeg2fmri[jax]'` with JAX's CUDA wheels). The card's own
rates are measured first, in the same process: a product of two square matrices in the step's 16-bit type, and
a pass over a large float32 array (read once, written once). The arithmetic and the traffic of a step are what
XLA counts for the compiled step. Had the step run at the card's rate, it would take `seconds_at_matrix_rate`
or `seconds_at_bandwidth`; the longer of the two is the bound that is named, and its share of the measured step
is the fraction reached.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

EEG, GRID = (64, 134, 10), (64, 64, 30)


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median over `repeats` calls, each waited for, after two that compile and warm up."""
    import jax

    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def card(dtype: str, side: int, megabytes: int, repeats: int) -> dict[str, float]:
    """Measured matrix rate (operations a second) and bandwidth (bytes a second)."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((side, side), dtype)
    array = jnp.ones(megabytes * 2**18, "float32")
    product, add = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    return {
        "matrix_rate": 2 * side**3 / median_seconds(lambda: product(a, a), repeats),
        "bandwidth": 2 * array.nbytes / median_seconds(lambda: add(array), repeats),
    }


def step(config: Any, shapes: tuple[Any, Any], batch: int, device: str, repeats: int) -> dict[str, float]:
    """Seconds, operations and bytes of a training step as `fit` compiles it."""
    import jax

    from eeg2fmri.models.calhas2022 import build
    from eeg2fmri.training import backend
    from eeg2fmri.training.deep import in_precision, optimizer_of
    from eeg2fmri.training.pairs import pair_model

    eeg, grid = shapes
    model = pair_model(in_precision(config.training.precision, lambda: build(config, eeg, grid)))
    model.compile(optimizer=optimizer_of(config.training, 100, device), jit_compile=backend.compile_with_xla(device))
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    data = {
        "eeg": rng.standard_normal((batch, *eeg), dtype=np.float32),
        "fmri": rng.standard_normal((batch, *grid), dtype=np.float32),
    }
    trained, others = model.trainable_variables, model.non_trainable_variables
    variables = (trained, others, model.optimizer.variables, model.metrics_variables)
    state = tuple([v.value for v in part] for part in variables)
    lowered = jax.jit(model.train_step, donate_argnums=0).lower(state, (data,))
    compiled = lowered.compile()
    on_card = (jax.device_put(data),)

    def once() -> Any:
        nonlocal state
        logs, state = compiled(state, on_card)
        return logs

    return {
        "seconds": median_seconds(once, repeats),
        # Counted before compilation, which hides convolutions in library calls; traffic after it, which fuses.
        "operations": float(lowered.cost_analysis()["flops"]),
        "bytes": float(compiled.cost_analysis()["bytes accessed"]),
    }


def summary(measured: dict[str, float], rates: dict[str, float], batch: int) -> dict[str, Any]:
    """The step beside the two bounds."""
    bounds = {
        "matrix_rate": measured["operations"] / rates["matrix_rate"],
        "bandwidth": measured["bytes"] / rates["bandwidth"],
    }
    bound = max(bounds, key=lambda name: bounds[name])
    return {
        "ms_per_step": 1e3 * measured["seconds"],
        "samples_per_second": batch / measured["seconds"],
        "seconds_at_matrix_rate": bounds["matrix_rate"],
        "seconds_at_bandwidth": bounds["bandwidth"],
        "bound": bound,
        "fraction_of_bound": bounds[bound] / measured["seconds"],
        "step": measured,
        "card": rates,
        "batch": batch,
    }


def main() -> None:
    """Measure and write the JSON; refuse without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", default="mixed_bfloat16", choices=("mixed_float16", "mixed_bfloat16"))
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    from eeg2fmri.devices import use_backend, use_device
    from eeg2fmri.errors import Eeg2FmriError

    try:
        use_backend("jax")
        device = use_device("gpu")
    except Eeg2FmriError as err:
        sys.exit(f"gpu_step: {err}")
    import jax

    from eeg2fmri.config import Calhas2022Config, TrainingConfig

    config = Calhas2022Config(training=TrainingConfig(precision=args.precision))
    rates = card(args.precision.removeprefix("mixed_"), 8192, 1024, args.repeats)
    result = summary(step(config, (EEG, GRID), args.batch, device, args.repeats), rates, args.batch)
    result |= {"precision": args.precision, "gpu": jax.devices()[0].device_kind, "jax": jax.__version__}
    text = json.dumps(result, indent=2)
    args.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
