"""Coverage of the interval of `synthesize --interval` on fresh subjects, beside the coverage that the model states.

    python experiments/benchmarks/interval.py [--seed 980] [--models mean linear] [--work FOLDER]

Simulates 26 subjects of 150 volumes (24 channels at 125 Hz and a coarse grid, to be quick): 8 train the models of
`hard.yaml`, without a refit, the next 2, 3 or 6 validate them and make the interval, and the last 12 are fresh. They
choose nothing. An interval holds a voxel and volume if the measured change, without mean and drifts, is within the
synthesised change ± multiplier × SD. `--work` keeps the data set.
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

from eeg2fmri.config import Config, load_config
from eeg2fmri.datasets import find_recordings
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.serving import Bundle
from eeg2fmri.signals import drift_waves, without_drift
from eeg2fmri.simulation import is_simulated, simulate
from eeg2fmri.store import Split, Store, StoredRecording, Windows, build_store, open_store

HERE = Path(__file__)
TRAINED, FRESH, VALIDATED = 8, 12, (2, 3, 6)
SIZES = {
    "simulation.subjects": TRAINED + max(VALIDATED) + FRESH,
    "simulation.volumes": 150,
    "simulation.channels": 24,
    "simulation.sampling_rate": 125.0,
    "simulation.grid": [24, 24, 12],
    "data.grid": [24, 24, 12],
}


def prepared(config: Config, folder: Path) -> Store:
    """Simulate and preprocess, unless `folder` holds the result already."""
    assert config.simulation is not None
    if not is_simulated(folder / "dataset", config.simulation):
        simulate(config.simulation, folder / "dataset")
    if not (folder / "store").exists():
        build_store(find_recordings(folder / "dataset")[0], folder / "store", config.data)
    return open_store(folder / "store")


def covered(bundle: Bundle, recording: StoredRecording, context: int) -> tuple[float, float]:
    """Share of voxels and volumes of a recording within the interval, in the unit of the files, and `r2_temporal`."""
    windows, about = Windows([recording], context), bundle.provenance["interval"]
    rows, statistics = np.arange(len(windows)), bundle.model.bold_statistics
    synthesised = bundle.model.synthesise(windows.eeg(rows))
    measured = windows.standardised(rows, "recording") * np.float32(statistics.sd) + np.float32(statistics.mean)
    assert bundle.residual_sd is not None
    error = without_drift(measured - synthesised, recording.signal.tr, about["drift_cutoff"])
    within = np.abs(error) <= about["multiplier"] * bundle.residual_sd
    waves = drift_waves(len(rows), recording.signal.tr, about["drift_cutoff"])
    return float(within[:, statistics.mask].mean()), r2_temporal(measured, synthesised, recording.mask, waves)


def measure(config: Config, store: Store, name: str, validated: int) -> dict[str, Any]:
    """Fit one model and compare the stated coverage with that on fresh subjects."""
    subjects = tuple(store.subjects)
    split = Split(subjects[:TRAINED], subjects[TRAINED : TRAINED + validated], subjects[-FRESH:])
    train, validation = (Windows(store.of(part), store.context) for part in (split.train, split.validation))
    model, settings = config.model(name), FitSettings.of(config)
    if "refit" in type(model).model_fields:  # after a refit no subject is left out
        model = model.model_copy(update={"refit": False})
    bundle = Bundle.of(fit(model, train, validation, settings), store, split, settings.drift_cutoff)
    about = bundle.provenance["interval"]
    each = np.array([covered(bundle, recording, store.context) for recording in store.of(split.test)])
    stated = list(about["coverage"].values())
    return {
        "multiplier": about["multiplier"],
        "stated": {"mean": np.mean(stated), "least": min(stated), "most": max(stated)},
        "fresh": {"mean": each[:, 0].mean(), "least": each[:, 0].min(), "most": each[:, 0].max(), "subjects": FRESH},
        "r2_temporal_fresh": each[:, 1].mean(),
    }


def main() -> None:
    """Measure each model with each number of validation subjects, and write the JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=980)
    parser.add_argument("--models", nargs="+", default=["mean", "linear"], choices=("mean", "linear", "factorised"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=HERE.with_suffix(".json"))
    args = parser.parse_args()
    config = load_config(HERE.parents[1] / "hard.yaml", {**SIZES, "simulation.seed": args.seed})
    results: dict[str, Any] = {"seed": args.seed}
    with tempfile.TemporaryDirectory() as scratch:
        store = prepared(config, args.work or Path(scratch))
        for name in args.models:
            for validated in VALIDATED:
                found = measure(config, store, name, validated)
                results.setdefault(name, {})[f"{validated} validation subjects"] = found
                args.out.write_text(json.dumps(results, indent=1, default=float) + "\n", encoding="utf-8")
                print(name, validated, json.dumps(found, default=float), flush=True)


if __name__ == "__main__":
    main()
