"""What minutes of a subject's own recording bring: scores on the rest of it, beside best reachable.

    python experiments/benchmarks/adapt.py [--seed 940] [--models linear factorised] [--work FOLDER]

Simulates 24 subjects of 20.9 minutes (580 volumes; 32 channels at 125 Hz and a coarse grid, to be quick). Twelve of
them train and validate the models of `hard.yaml`, with the first 300 volumes of each. The other twelve are fresh: the
first 0, 2, 5 and 10 minutes of each adapt the models, and what follows the tenth minute and a gap scores all of
them. The penalty is chosen by the training subjects. `--work` keeps the data set; a second call uses it again.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from eeg2fmri.config import Config, load_config
from eeg2fmri.datasets import find_recordings
from eeg2fmri.evaluation import r2_of_shifts, r2_temporal
from eeg2fmri.families import FitSettings, adapt_model, choose_penalty, fit
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.scoring import subject_interval
from eeg2fmri.signals import drift_waves
from eeg2fmri.simulation import best_r2_temporal, is_simulated, power_of_waves, read_truth, simulate
from eeg2fmri.store import Store, StoredRecording, Windows, build_store, divided, open_store

MINUTES = (2, 5, 10)
TRAINING_VOLUMES = 300
HERE = Path(__file__)
SIZES = {
    "simulation.subjects": 24,
    "simulation.volumes": 580,
    "simulation.channels": 32,
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


def score(model: FittedModel, rest: Windows, cutoff: float) -> tuple[float, float]:
    """`r2_temporal` on the rest of a recording, and its mean over circular shifts of more than a context."""
    rows, mask = np.arange(len(rest)), rest.recordings[0].mask
    waves = drift_waves(len(rows), rest.signal.tr, cutoff)
    measured, synthesised = rest.standardised(rows, "recording"), model.standard_units(model.synthesise(rest.eeg(rows)))
    shifts = r2_of_shifts(measured, synthesised, mask, waves)
    return r2_temporal(measured, synthesised, mask, waves), float(shifts[rest.context : -rest.context].mean())


def reachable(rest: Windows, recording: StoredRecording, dataset: Path, dropped: int, cutoff: float) -> float:
    """`r2_temporal` on the rest of a prediction that knows the truth of the subject, except the noise."""
    first = len(recording.volumes) - len(rest)  # of the scored volumes, which end with the recording
    driven = read_truth(dataset, recording.subject)[dropped + first :]
    power = power_of_waves(rest.volumes(np.arange(len(rest))), driven, recording.mask)
    return best_r2_temporal(power, rest.signal.tr, cutoff)


def curve(model: FittedModel, penalty: Any, recordings: list[StoredRecording], dataset: Path, store: Store,
          cutoff: float) -> list[dict[str, float | str]]:  # fmt: skip
    """Scores of each fresh subject by minutes."""
    rows = []
    for recording in recordings:
        tr, context = recording.signal.tr, store.context
        rest = divided(recording, round(max(MINUTES) * 60 / tr), context)[1]
        assert rest is not None
        best = reachable(rest, recording, dataset, int(store.settings["dropped_volumes"]), cutoff)
        before, shuffled = score(model, rest, cutoff)
        row: dict[str, float | str] = {"subject": recording.subject, "best": best, "0": before, "shuffled 0": shuffled}
        for minutes in MINUTES:
            own = divided(recording, round(minutes * 60 / tr), context)[0]
            assert own is not None
            row[f"{minutes}"], row[f"shuffled {minutes}"] = score(
                adapt_model(model, own, penalty, cutoff).model, rest, cutoff
            )
        rows.append(row)
        print("  ".join(f"{k} {v if isinstance(v, str) else f'{v:+.4f}'}" for k, v in row.items()), flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means, intervals over subjects, subjects that got better, and the share of the distance to best reachable."""
    column = {key: np.array([row[key] for row in rows]) for key in rows[0] if key != "subject"}
    distance = (column["best"] - column["0"]).mean()
    found: dict[str, Any] = {"best reachable": float(column["best"].mean()), "subjects": len(rows)}
    for minutes in ("0", *map(str, MINUTES)):
        gain = column[minutes] - column["0"]
        found[minutes] = {
            "r2_temporal": float(column[minutes].mean()),
            "interval": subject_interval(column[minutes].tolist()),
            "shuffled": float(column[f"shuffled {minutes}"].mean()),
            "gain": float(gain.mean()),
            "gain_interval": subject_interval(gain.tolist()) if gain.any() else None,
            "better": int((gain > 0).sum()),
            "distance_closed": float(gain.mean() / distance),
        }
    return found


def main() -> None:
    """Run the curve of each model and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=940)
    parser.add_argument("--models", nargs="+", default=["linear"], choices=("linear", "factorised"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=HERE.with_suffix(".json"))
    args = parser.parse_args()
    config = load_config(HERE.parents[1] / "hard.yaml", {"simulation.seed": args.seed, **SIZES})
    cutoff = config.evaluation.drift_cutoff
    result = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.work or Path(scratch)
        store = prepared(config, folder)
        short = [replace(r, part=(0, TRAINING_VOLUMES)) for r in store.recordings[:12]]
        windows = [Windows(part, store.context) for part in (short[:10], short[10:], short)]
        for name in args.models:
            model = fit(config.model(name), *windows[:2], FitSettings.of(config)).model
            penalty = choose_penalty(config.model(name), windows[2], cutoff)
            print(name, penalty, flush=True)
            rows = curve(model, penalty, list(store.recordings[12:]), folder / "dataset", store, cutoff)
            facts = {"penalty": penalty.value, "gain_in_training_subjects": penalty.gain, "subjects": penalty.subjects}
            result[name] = {"seed": args.seed, "penalty": facts, **summary(rows), "scores": rows}
            args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            print(json.dumps(summary(rows), indent=1), flush=True)


if __name__ == "__main__":
    main()
