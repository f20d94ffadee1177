"""The published decoder and the decoder of principal components side by side, on a simulated dataset.

    python experiments/decoders.py [--subjects 6] [--volumes 120] [--epochs 4] [--seeds 1] [--work FOLDER]

Trains the published configuration with either decoder on the same subjects and writes a Markdown table
and a JSON of the validation scores and the training time of each. Only what differs between the rows of
one run means something; `r2_temporal` of the mean volume is 0. `seconds` is the whole fit: statistics,
principal components, training, and a validation after every epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from eeg2fmri.config import (
    Calhas2022Config,
    DataConfig,
    EvaluationConfig,
    SimulationConfig,
    SplitConfig,
    TrainingConfig,
)
from eeg2fmri.datasets import find_recordings
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.simulation import read_best_r2, simulate
from eeg2fmri.store import Windows, build_store, split_subjects

DECODERS: dict[str, dict[str, Any]] = {
    "dense (published)": {},
    "pca": {"decoder": "pca"},
}
COLUMNS = ("r2_temporal", "mae", "samples_per_second", "seconds", "parameters")


def data(args: argparse.Namespace, folder: Path) -> tuple[Windows, Windows, np.ndarray, float]:
    """Training and validation windows of a simulated dataset, and the best reachable score."""
    simulate(SimulationConfig(subjects=args.subjects, volumes=args.volumes), folder / "dataset")
    store = build_store(find_recordings(folder / "dataset")[0], folder / "store", DataConfig()).store
    split = split_subjects(store.subjects, SplitConfig())
    train, validation = (Windows(store.of(split.part(part)), store.context) for part in ("train", "validation"))
    best = read_best_r2(folder / "dataset", EvaluationConfig().drift_cutoff)
    reachable = float(np.mean([best[subject] for subject in split.validation]))
    return train, validation, reachable


def score(config: Calhas2022Config, train: Windows, validation: Windows, seed: int) -> dict:
    """Scores of the best epoch of one fit, and what it took."""
    started = time.perf_counter()
    settings = FitSettings(seed=seed, device="cpu", progress=sys.stderr.isatty())
    result = fit(config, train, validation, settings)
    seconds = time.perf_counter() - started
    history, best = result.history, result.best_epoch
    return {
        "r2_temporal": history["val/r2_temporal"][best],
        "mae": history["val/mae"][best],
        "samples_per_second": statistics.median(history["train/samples_per_second"]),
        "seconds": seconds,
        "parameters": result.facts["parameters"],
        "r2_by_epoch": [round(value, 4) for value in history["val/r2_temporal"]],
    }


def markdown(rows: dict[str, list[dict]], sizes: dict[str, Any]) -> str:
    """One row per decoder; the mean over seeds."""
    lines = [
        f"{sizes['subjects']} simulated subjects of {sizes['volumes']} volumes, {sizes['epochs']} epochs of "
        f"{sizes['training_windows']} windows, batch {sizes['batch_size']}, mean over {sizes['seeds']} seed(s); one "
        f"validation subject, best reachable r2_temporal {sizes['best_reachable']:.4f}.",
        "",
        "| decoder | " + " | ".join(COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name, fits in rows.items():
        means = {column: statistics.mean(f[column] for f in fits) for column in COLUMNS}
        shown = f"{means['r2_temporal']:+.4f} | {means['mae']:.4f} | {means['samples_per_second']:.1f} | "
        lines.append(f"| {name} | {shown}{means['seconds']:.0f} | {means['parameters']:,.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train every decoder with every seed and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=6)
    parser.add_argument("--volumes", type=int, default=120)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for dataset and store; a temporary one without")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        train, validation, reachable = data(args, args.work or Path(scratch))
        training = TrainingConfig(epochs=args.epochs, patience=args.epochs)
        rows: dict[str, list[dict]] = {}
        for seed in range(args.seeds):  # seeds outside, so that load on the machine falls on all decoders
            for name, changes in DECODERS.items():
                config = Calhas2022Config(training=training, **changes)
                rows.setdefault(name, []).append(score(config, train, validation, seed))
        sizes = {
            "subjects": args.subjects,
            "volumes": args.volumes,
            "epochs": args.epochs,
            "seeds": args.seeds,
            "training_windows": len(train),
            "batch_size": training.batch_size,
            "best_reachable": reachable,
            "cores": os.cpu_count(),
        }
    args.out.write_text(json.dumps({"sizes": sizes, "fits": rows}, indent=2) + "\n", encoding="utf-8")
    table = markdown(rows, sizes)
    args.out.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
