"""Time of a network's synthesis as one TensorFlow graph, as `KerasNetwork` computes it, and layer by layer.

    python experiments/benchmarks/inference.py [--windows 1 8 32] [--rounds 12] [--out FILE.json]

`calhas2022` at the published size (64 × 134 × 10 EEG, 64 × 64 × 30 volumes), with random weights: the time does not
depend on them. Both ways take turns in one process; medians in milliseconds, and the largest difference of the volumes
over the largest volume.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from eeg2fmri.config import Calhas2022Config
from eeg2fmri.devices import use_device
from eeg2fmri.models.calhas2022 import build
from eeg2fmri.models.fitted import KerasNetwork

EEG_SHAPE, GRID = (64, 134, 10), (64, 64, 30)


def main() -> None:
    """Measure both ways for each number of windows, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    use_device("cpu")
    model = build(Calhas2022Config(), EEG_SHAPE, GRID).synthesiser()
    ways = {"graph_ms": KerasNetwork(model).predict, "layers_ms": lambda eeg: np.asarray(model(eeg, training=False))}
    result: dict[str, object] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    for count in args.windows:
        eeg = np.random.default_rng(0).random((count, *EEG_SHAPE), np.float32)
        graph, layers = (way(eeg) for way in ways.values())  # the first call is slower
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way(eeg)
                times[name].append(1e3 * (time.perf_counter() - start))
        medians = {name: round(statistics.median(values), 1) for name, values in times.items()}
        difference = float(np.abs(graph - layers).max() / np.abs(layers).max())
        result[f"{count} windows"] = medians | {"largest_difference": difference}
        print(count, result[f"{count} windows"], flush=True)
    result["load_after"] = os.getloadavg()[0]
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
