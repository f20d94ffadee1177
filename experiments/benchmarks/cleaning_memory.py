"""Memory and time of cleaning raw EEG: a whole recording, as `preprocess`, and part by part, as `synthesize`.

    python experiments/benchmarks/cleaning_memory.py [--minutes 10 60] [--rate 250]

31 channels of noise and an ECG at 5 kHz with a volume every 2.16 s, made as they are read; once the gradient artefact
is removed, once that of the pulse too. Each measurement is a process of its own. Memory is the largest of that process,
above that of its imports [MiB].
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from itertools import product
from pathlib import Path

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.signals import CleanedParts, Marks, clean_eeg

RATE, CHANNELS, TR = 5000.0, 32, 2.16
PART = 32  # volumes, as in `synthesize`
NOISE = 1 << 16  # samples, which repeat
BEAT = 4321  # samples from beat to beat
HERE = Path(__file__)


def measure(way: str, pulse: bool, minutes: float, rate: float) -> dict[str, float]:
    """Clean a recording in one way: peak memory above the imports [MiB], and seconds."""
    n, noise = int(minutes * 60 * RATE), 20 * np.random.default_rng(0).standard_normal((CHANNELS, NOISE), np.float32)
    marks = Marks(np.arange(500, n - TR * RATE, TR * RATE))
    names, types = [f"E{row}" for row in range(CHANNELS)], [*["eeg"] * (CHANNELS - 1), "ecg"]
    config = CleaningConfig(gradient=True, pulse=pulse, sampling_rate=rate)

    def read(rows: list[int], first: int = 0, last: int = n) -> np.ndarray:
        at = np.arange(first, last)
        eeg = noise[rows].take(at % NOISE, axis=1)
        if CHANNELS - 1 in rows:
            eeg[rows.index(CHANNELS - 1)] += 1000 * (at % BEAT < 0.04 * RATE)
        return eeg

    about = (n, RATE, names, types, (), marks, config)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    if way == "whole":
        clean_eeg(read, *about)
    else:
        parts, step = CleanedParts(read, *about), int(PART * TR * rate)
        for first in range(0, parts.n_samples, step):
            parts.read(first, min(first + step, parts.n_samples))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"mib": round((peak - before) / 1024), "seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    """Measure both ways for each length, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 60])
    parser.add_argument("--rate", type=float, default=250.0)
    parser.add_argument("--out", type=Path, default=HERE.with_suffix(".json"))
    args = parser.parse_args()
    result = {}
    for pulse, minutes, way in product((False, True), args.minutes, ("whole", "parts")):
        name = f"{way}, {minutes:g} min" + (", pulse" if pulse else "")
        with multiprocessing.get_context("spawn").Pool(1) as process:
            result[name] = process.apply(measure, (way, pulse, minutes, args.rate))
        print(name, result[name], flush=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
