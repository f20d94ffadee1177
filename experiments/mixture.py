"""A mixture of candidate encoders beside the same candidates one by one, at equal compute.

    python experiments/mixture.py [--seeds 3] [--candidates 4] [--epochs 3]

Per simulated dataset the candidates are drawn once. The mixture trains all of them together and the heaviest once
more alone. One by one, each is trained alone, and the best on the validation subject is kept: of as many as the
mixture's CPU seconds allow, and of all. Hyper-parameters are the same everywhere. The test subject chooses nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import optuna
from search import make_store, mean_score

from eeg2fmri.config import Calhas2022Ranges, Config
from eeg2fmri.devices import forget_networks
from eeg2fmri.families import MONITOR, FitSettings, family_of, fit
from eeg2fmri.store import split_windows

GRID = (16, 16, 10)
MODEL = {"family": "calhas2022", "variant": "lp", "decoder": "pca", "components": 16, "latent": (4, 4, 4), "filters": 2,
         "bold_scaling": "voxel"}  # fmt: skip
COLUMNS = {
    "configured": "as configured",
    "mixture": "mixture, heaviest kept",
    "one_by_one": "one by one, equal compute",
    "all": "one by one, all candidates",
    "mean": "mean of all candidates",
}


def config_of(args: argparse.Namespace, seed: int) -> Config:
    """The configuration of one dataset."""
    training = {"epochs": args.epochs, "batch_size": 16, "patience": args.epochs}
    simulation = {"grid": GRID, "channels": 8, "volumes": 100, "subjects": 5, "seed": 700 + seed}
    tree = {"simulation": simulation, "data": {"grid": GRID, "frequencies": 40, "context": 6},
            "models": [MODEL | {"training": training}], "split": {"validation": 1, "test": 1},
            "run": {"seed": seed}}  # fmt: skip
    return Config.model_validate(tree)


def one_dataset(args: argparse.Namespace, seed: int, folder: Path) -> dict[str, object]:
    """Scores on validation and test subject of every way to choose, and what each took."""
    config = config_of(args, seed)
    train, validation, test = split_windows(make_store(config, 700 + seed, folder), config.split)
    base, settings = config.models[0], FitSettings.of(config)
    mixture = family_of(base).mixture(base, Calhas2022Ranges(eeg_target=(3, 6, 3)), train, args.candidates, seed)

    def alone(model) -> dict[str, float]:
        forget_networks()
        start = time.process_time()
        result = fit(model, train, validation, settings)
        seconds = time.process_time() - start
        score = mean_score(result.model, test, config)
        return {"validation": max(result.history[MONITOR]), "test": score, "seconds": seconds}

    configured = alone(base)  # the first fit of a process is slower, so it is not one that is compared
    start = time.process_time()
    mixed = mixture.fit(base, train, validation, settings, None)
    seconds = time.process_time() - start
    kept = mixture.kept(base, mixed)
    found = alone(kept)
    found["seconds"] += seconds
    each = [alone(base.model_copy(update={"eeg": spec})) for spec in mixture.candidates.eeg]
    until = list(itertools.accumulate(row["seconds"] for row in each))
    afforded = each[: max(1, sum(seconds <= found["seconds"] for seconds in until))]
    ranked = sorted(each, key=lambda row: -row["validation"])
    mean = {key: statistics.mean(row[key] for row in each) for key in ("validation", "test", "seconds")}
    return {
        "seed": seed,
        "configured": configured,
        "mixture": found,
        "one_by_one": max(afforded, key=lambda row: row["validation"]) | {"seconds": until[len(afforded) - 1]},
        "all": ranked[0] | {"seconds": until[-1]},
        "mean": mean,
        "afforded": len(afforded),
        "rank": 1 + ranked.index(each[mixture.candidates.eeg.index(kept.eeg)]),
        "heaviest": max(entry["weight"] for entry in mixture.table(mixed).values()),
    }


def markdown(rows: list[dict], candidates: int) -> str:
    """A row per way to choose, means over the datasets."""
    lines = ["| encoder | validation | test | CPU seconds |", "|---|---|---|---|"]
    for name, title in COLUMNS.items():
        mean = [statistics.mean(row[name][key] for row in rows) for key in ("validation", "test", "seconds")]
        lines.append(f"| {title} | {mean[0]:+.4f} | {mean[1]:+.4f} | {mean[2]:.1f} |")
    ranks = ", ".join(str(row["rank"]) for row in rows)
    gains = ", ".join(f"{row['mixture']['test'] - row['one_by_one']['test']:+.4f}" for row in rows)
    return "\n".join([
        *lines,
        "",
        f"{len(rows)} datasets; {candidates} candidates. The heaviest had a weight of "
        f"{statistics.mean(row['heaviest'] for row in rows):.3f} (equal weights: {1 / candidates:.3f}). Trained alone, "
        f"it was number {ranks} by validation score. Equal compute allowed "
        f"{statistics.mean(row['afforded'] for row in rows):.1f} candidates one by one. Test score of the mixture "
        f"minus one by one, per dataset: {gains}.",
    ]) + "\n"  # fmt: skip


def main() -> None:
    """Compare on one dataset after the other, and write JSON and table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows: list[dict] = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(one_dataset(args, seed, Path(folder)))
        result = {"candidates": args.candidates, "epochs": args.epochs, "rows": rows}
        args.out.write_text(json.dumps(result, indent=1) + "\n")
        print(markdown(rows, args.candidates), flush=True)


if __name__ == "__main__":
    main()
