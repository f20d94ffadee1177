"""What minutes of a subject's own recording bring: scores on the rest of it, beside best reachable.

    python experiments/benchmarks/adapt.py [--seeds 947 948] [--models linear factorised] [--work FOLDER]

Each seed makes 24 subjects of 20.9 minutes (580 volumes; 32 channels at 125 Hz and a coarse grid, to be quick). Twelve
of them train and validate the models of `hard.yaml`, with the first 300 volumes of each. The other twelve are fresh:
the first 0, 2, 5 and 10 minutes of each adapt the models, and what follows the tenth minute and a gap scores all of
them. The training subjects choose the penalty, for each number of minutes. The summary is over the fresh subjects of
all seeds. `--work` keeps the data sets; a second call uses them again. The JSON keeps other models and seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from coarse import COARSE, prepared

from eeg2fmri.config import Config, load_config
from eeg2fmri.evaluation import r2_of_shifts, r2_temporal
from eeg2fmri.families import FitSettings, Penalty, adapt_model, choose_penalty, fit
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.scoring import subject_interval
from eeg2fmri.signals import drift_waves
from eeg2fmri.simulation import best_r2_temporal, power_of_waves, read_truth
from eeg2fmri.store import Store, StoredRecording, Windows, divided

MINUTES = (2, 5, 10)
TRAINING_VOLUMES = 300
HERE = Path(__file__)
Rows = list[dict[str, float | str]]
SIZES = {
    **COARSE,
    "simulation.subjects": 24,
    "simulation.volumes": 580,
    "simulation.channels": 32,
}


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


def curve(model: FittedModel, penalties: Mapping[int, Penalty], recordings: list[StoredRecording], dataset: Path,
          store: Store, cutoff: float) -> Rows:  # fmt: skip
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
                adapt_model(model, own, penalties[minutes], cutoff).model, rest, cutoff
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


def measured(config: Config, folder: Path, models: list[str]) -> Iterator[tuple[str, dict[str, Any], Rows]]:
    """Give name, penalties by minutes, and scores of the fresh subjects of each model, on one data set."""
    cutoff = config.evaluation.drift_cutoff
    store = prepared(config, folder)
    short = [replace(r, part=(0, TRAINING_VOLUMES)) for r in store.recordings[:12]]
    windows = [Windows(part, store.context) for part in (short[:10], short[10:], short)]
    for name in models:
        model = fit(config.model(name), *windows[:2], FitSettings.of(config)).model
        penalties = {
            minutes: choose_penalty(config.model(name), windows[2], round(minutes * 60 / store.signal.tr), cutoff)
            for minutes in MINUTES
        }
        rows = curve(model, penalties, list(store.recordings[12:]), folder / "dataset", store, cutoff)
        yield name, {f"{minutes}": asdict(penalty) for minutes, penalty in penalties.items()}, rows


def main() -> None:
    """Run the curve of each model on each data set, and write the JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[947, 948])
    parser.add_argument("--models", nargs="+", default=["linear", "factorised"], choices=("linear", "factorised"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=HERE.with_suffix(".json"))
    args = parser.parse_args()
    found: dict[str, Any] = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in args.seeds:
            config = load_config(HERE.parents[1] / "hard.yaml", {"simulation.seed": seed, **SIZES})
            for name, penalties, rows in measured(config, (args.work or Path(scratch)) / str(seed), args.models):
                print(seed, name, penalties, flush=True)
                own = found.setdefault(name, {"penalties": {}, "scores": {}})
                own["penalties"][str(seed)], own["scores"][str(seed)] = penalties, rows
                own["summary"] = summary([row for rows in own["scores"].values() for row in rows])
                own["by_seed"] = {seed: summary(rows) for seed, rows in own["scores"].items()}
                args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
                print(json.dumps(own["summary"], indent=1), flush=True)


if __name__ == "__main__":
    main()
