"""Coverage of the interval of `synthesize --interval` on fresh subjects, beside the coverage that the model states.

    python experiments/benchmarks/interval.py [--seeds 980 981 982] [--models linear] [--draws 20] [--work FOLDER]

Simulates 26 subjects of 150 volumes per seed (24 channels at 125 Hz and a coarse grid, to be quick). Each draw divides
them at random: 8 train a model of `hard.yaml`, without a refit, 2, 3 or 6 validate it and make the interval, and 12
are fresh. They choose nothing. An interval holds a voxel and volume if the measured change, without mean and drifts,
is within the synthesised change ± multiplier × SD. Beside it: the coverage with the multiplier of a normal
distribution, and the multiplier that would hold 90 % in just these 12. `--work` keeps the data sets, and the JSON other
seeds and models.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from coarse import COARSE, prepared

from eeg2fmri.config import Config, load_config
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.serving import Bundle
from eeg2fmri.signals import without_drift
from eeg2fmri.store import Split, Store, StoredRecording, Windows

HERE = Path(__file__)
TRAINED, FRESH, VALIDATED = 8, 12, (2, 3, 6)
NORMAL = 1.645
SIZES = {
    **COARSE,
    "simulation.subjects": TRAINED + max(VALIDATED) + FRESH,
    "simulation.volumes": 150,
    "simulation.channels": 24,
}


def needed(bundle: Bundle, recording: StoredRecording, context: int) -> np.ndarray:
    """Return the multiplier that each voxel and volume of a recording needs, (volumes, voxels of the mask)."""
    windows, about = Windows([recording], context), bundle.provenance["interval"]
    rows, statistics = np.arange(len(windows)), bundle.model.bold_statistics
    measured = windows.standardised(rows, "recording") * np.float32(statistics.sd) + np.float32(statistics.mean)
    difference = (measured - bundle.model.synthesise(windows.eeg(rows)))[:, statistics.mask]
    assert bundle.residual_sd is not None
    error = without_drift(difference, recording.signal.tr, about["drift_cutoff"])
    return np.abs(error) / bundle.residual_sd[statistics.mask]


def draw(config: Config, store: Store, name: str, order: np.ndarray, validated: int) -> dict[str, Any]:
    """Fit one model on subjects in this order and compare the stated coverage with that on fresh subjects."""
    subjects = tuple(store.subjects[n] for n in order)
    split = Split(subjects[:TRAINED], subjects[TRAINED : TRAINED + validated], subjects[-FRESH:])
    train, validation = (Windows(store.of(part), store.context) for part in (split.train, split.validation))
    model, settings = config.model(name), FitSettings.of(config)
    if "refit" in type(model).model_fields:  # after a refit no subject is left out
        model = model.model_copy(update={"refit": False})
    bundle = Bundle.of(fit(model, train, validation, settings), store, split, settings.drift_cutoff)
    about = bundle.provenance["interval"]
    values = [needed(bundle, recording, store.context) for recording in store.of(split.test)]
    return {
        "multiplier": about["multiplier"],
        "stated": float(np.mean([*about["coverage"].values()])),
        "fresh": [float(np.mean(each <= about["multiplier"])) for each in values],
        "fresh_normal": float(np.mean([np.mean(each <= NORMAL) for each in values])),
        "multiplier_of_fresh": float(np.quantile(np.concatenate(values), about["level"])),
    }


def summary(draws: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over draws, and the ranges of coverage over draws and over fresh subjects."""
    fresh = np.array([one["fresh"] for one in draws])
    by_draw = fresh.mean(axis=1)
    multipliers = [one["multiplier"] for one in draws]
    return {
        "draws": len(draws),
        "multiplier": {"mean": np.mean(multipliers), "least": min(multipliers), "most": max(multipliers)},
        "stated": np.mean([one["stated"] for one in draws]),
        "fresh": {"mean": by_draw.mean(), "least": by_draw.min(), "most": by_draw.max()},
        "fresh_by_subject": dict(zip(("5 %", "50 %", "95 %"), np.quantile(fresh, [0.05, 0.5, 0.95]), strict=True)),
        "fresh_with_normal_multiplier": np.mean([one["fresh_normal"] for one in draws]),
        "multiplier_of_fresh": np.mean([one["multiplier_of_fresh"] for one in draws]),
    }


def main() -> None:
    """Measure each model on each data set with each number of validation subjects; write the JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[980, 981, 982])
    parser.add_argument("--models", nargs="+", default=["linear"], choices=("mean", "linear", "factorised"))
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=HERE.with_suffix(".json"))
    args = parser.parse_args()
    results: dict[str, Any] = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    for seed in args.seeds:
        config = load_config(HERE.parents[1] / "hard.yaml", {**SIZES, "simulation.seed": seed})
        with tempfile.TemporaryDirectory() as scratch:
            store = prepared(config, (args.work or Path(scratch)) / f"{seed}")
            for name in args.models:
                for validated in VALIDATED:
                    rng = np.random.default_rng(1)
                    orders = [rng.permutation(len(store.subjects)) for _ in range(args.draws)]
                    found = summary([draw(config, store, name, order, validated) for order in orders])
                    of_name = results.setdefault(f"seed {seed}", {}).setdefault(name, {})
                    of_name[f"{validated} validation subjects"] = found
                    args.out.write_text(json.dumps(results, indent=1, default=float) + "\n", encoding="utf-8")
                    print(seed, name, validated, json.dumps(found, default=float), flush=True)


if __name__ == "__main__":
    main()
