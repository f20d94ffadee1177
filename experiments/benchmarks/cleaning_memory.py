"""Memory and time of removing the gradient artefact: from a whole recording, as `preprocess`, and from parts of it.

    python experiments/benchmarks/cleaning_memory.py [--minutes 10 60] [--rate 250]

32 channels of noise at 5 kHz with a volume every 2.16 s, made as they are read. Each measurement is a process of its
own. Memory is the largest of that process, above that of its imports [MiB].
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.signals import Marks, clean_eeg, clean_part, find_epochs
from eeg2fmri.signals.resample_eeg import resampling_ratio

RATE, CHANNELS, TR = 5000.0, 32, 2.16
PART = 32  # volumes, as in `synthesize`
NOISE = 1 << 16  # samples, which repeat
HERE = Path(__file__)


def measure(way: str, minutes: float, rate: float) -> dict[str, float]:
    """Clean a recording in one way: peak memory above the imports [MiB], and seconds."""
    n, noise = int(minutes * 60 * RATE), 20 * np.random.default_rng(0).standard_normal((CHANNELS, NOISE), np.float32)
    marks = Marks(np.arange(500, n - TR * RATE, TR * RATE))
    names, types = [f"E{row}" for row in range(CHANNELS)], ["eeg"] * CHANNELS
    config = CleaningConfig(gradient=True, sampling_rate=rate)

    def read(first: int, last: int, rows: list[int]) -> np.ndarray:
        return noise[rows].take(np.arange(first, last) % NOISE, axis=1)

    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    if way == "whole":
        clean_eeg(lambda rows: read(0, n, rows), n, RATE, names, types, (), marks, config)
    else:
        ratio = resampling_ratio(RATE, rate)
        epochs = find_epochs(lambda first, last: read(first, last, [0])[0], n, marks, config)
        total, step = -(-n * ratio.numerator // ratio.denominator), int(PART * TR * rate)
        every = list(range(CHANNELS))
        for first in range(0, total, step):
            clean_part(lambda a, b: read(a, b, every), first, min(first + step, total), n, ratio, names, types, (),
                       epochs, config)  # fmt: skip
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
    for minutes in args.minutes:
        for way in ("whole", "parts"):
            with multiprocessing.get_context("spawn").Pool(1) as process:
                result[f"{way}, {minutes:g} min"] = process.apply(measure, (way, minutes, args.rate))
            print(way, minutes, result[f"{way}, {minutes:g} min"], flush=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
