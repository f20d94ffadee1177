"""How often the gate passes a model that knows something, and one that cannot.

    python experiments/benchmarks/gate_power.py [--seeds 20] [--out experiments/benchmarks/gate_power.json]

Simulates datasets of the demo's size (6 subjects, 120 volumes, 63 channels; a coarser grid to be quick) with
full coupling and with none, fits the `linear` family, and applies the gate's criteria to the unseen subjects.
Each dataset has its own seed; seed 0 is the demo's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from eeg2fmri.config import Config, DataConfig, EvaluationConfig, LinearConfig, PolicyConfig, SimulationConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.scoring import score_windows
from eeg2fmri.simulation import read_best_r2, simulate
from eeg2fmri.store import Windows, build_store, split_subjects
from eeg2fmri.tracking.gate import Evidence, argue

GRID = (24, 24, 12)


def one_dataset(coupling: float, seed: int, folder: Path) -> dict[str, float | bool]:
    """Scores of the linear family on the test subjects of one simulated dataset."""
    simulate(SimulationConfig(coupling=coupling, seed=seed, grid=GRID), folder / "dataset")
    store = build_store(find_recordings(folder / "dataset")[0], folder / "store", DataConfig(grid=GRID)).store
    split = split_subjects(store.subjects, Config().split)
    train, validation, test = (Windows(store.of(split.part(p)), store.context) for p in ("train", "validation", "test"))
    model = fit(LinearConfig(), train, validation, FitSettings()).model
    scored = score_windows(model, test, EvaluationConfig(), train, validation)
    overall, null = scored.overall, scored.null
    score, shuffled = (overall[condition]["r2_temporal"] for condition in ("model", "shuffled"))
    best = read_best_r2(folder / "dataset", EvaluationConfig().drift_cutoff)
    found = Evidence("1", overall, null.p_value, null.smallest_p, len(split.test), "-", "-", "-")
    return {
        "r2_temporal": round(score, 4),
        "shuffled": round(shuffled, 4),
        "p_value": null.p_value,
        "best_reachable": round(float(np.mean([best[s] for s in split.test])), 4),
        "passes": argue(PolicyConfig(), found).passes,
    }


def main() -> None:
    """Run all datasets and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    result: dict[str, object] = {"grid": GRID, "seeds": args.seeds}
    for coupling in (1.0, 0.0):
        rows = []
        for seed in range(args.seeds):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(one_dataset(coupling, seed, Path(folder)))
            print(f"coupling {coupling:g}, seed {seed}: {rows[-1]}", flush=True)
        result[f"coupling {coupling:g}"] = {
            "passed": sum(bool(r["passes"]) for r in rows),
            "mean_r2_temporal": round(float(np.mean([r["r2_temporal"] for r in rows])), 4),
            "mean_best_reachable": round(float(np.mean([r["best_reachable"] for r in rows])), 4),
            "datasets": rows,
        }
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
