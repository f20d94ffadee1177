"""A search on one simulated dataset, and its best model on subjects of fresh datasets, which chose nothing.

    python experiments/search.py [--config experiments/search.yaml] [--trials 30] [--seeds 8]

A search runs on one simulated dataset. Then the configured model and the best one are trained and scored on the test
subjects of fresh datasets, of other seeds. The gain in the search minus the gain there is the selection bias.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import mlflow
import optuna
from scipy.stats import wilcoxon

from eeg2fmri.config import Config, ModelConfig, load_config, parse_overrides
from eeg2fmri.datasets import find_recordings
from eeg2fmri.evaluation import r2_temporal
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.search import search_step
from eeg2fmri.signals import drift_waves
from eeg2fmri.simulation import simulate
from eeg2fmri.store import Store, Windows, build_store, split_windows


def make_store(config: Config, seed: int, folder: Path) -> Store:
    """One simulated dataset, preprocessed."""
    assert config.simulation is not None
    simulate(config.simulation.model_copy(update={"seed": seed}), folder / "dataset")
    return build_store(find_recordings(folder / "dataset")[0], folder / "store", config.data, name="simulated").store


def test_score(model: ModelConfig, config: Config, store: Store) -> float:
    """Mean `r2_temporal` of the test recordings."""
    train, validation, test = split_windows(store, config.split)
    return mean_score(fit(model, train, validation, FitSettings.of(config)).model, test, config)


def mean_score(fitted: FittedModel, windows: Windows, config: Config) -> float:
    """Mean `r2_temporal` of some recordings."""
    scores = []
    for number, recording in enumerate(windows.recordings):
        rows = windows.indices(number)
        synthesised = fitted.standard_units(fitted.synthesise(windows.eeg(rows)))
        waves = drift_waves(len(rows), recording.signal.tr, config.evaluation.drift_cutoff)
        scores.append(r2_temporal(windows.standardised(rows, "recording"), synthesised, recording.mask, waves))
    return statistics.mean(scores)


def markdown(result: dict[str, object]) -> str:
    """A row per fresh dataset, and what the search said."""
    rows = result["fresh"]
    assert isinstance(rows, list)
    lines = ["| dataset | configured | best of the search | difference |", "|---|---|---|---|"]
    lines.append("| searched (its judging subjects) | {configured:+.4f} | {best:+.4f} | {gain:+.4f} |".format(**result))
    lines += ["| {seed} | {configured:+.4f} | {best:+.4f} | {gain:+.4f} |".format(**row) for row in rows]
    lines.append("| mean of fresh | {:+.4f} | {:+.4f} | {:+.4f} |".format(
        *(statistics.mean(row[key] for row in rows) for key in ("configured", "best", "gain"))))  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    """Search, confirm, and write JSON and table."""
    here = Path(__file__)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=here.with_suffix(".yaml"))
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", default="", help="further settings, KEY=VALUE;KEY=VALUE")
    parser.add_argument("--out", type=Path, default=here.with_suffix(".json"))
    args = parser.parse_args()
    config = load_config(args.config, parse_overrides(args.set))
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        mlflow.set_tracking_uri(f"sqlite:///{work}/mlflow.db")
        assert config.simulation is not None
        searched = make_store(config, config.simulation.seed, work / "searched")
        storage, start = f"sqlite:///{work}/optuna.db", time.monotonic()
        tuned = search_step(config, searched, study="experiment", storage=storage, trials=args.trials, timeout=None,
                            out=work / "best.yaml", workers=args.workers)  # fmt: skip
        seconds = time.monotonic() - start
        study = optuna.load_study(study_name="experiment", storage=storage)
        first, best = study.trials[0], study.best_trial
        base = config.model(config.search.variant)
        result: dict[str, object] = {
            "trials": len(study.trials),
            "search_s": round(seconds, 1),
            "best_trial": best.number,
            "changes": {k: v for k, v in best.params.items() if first.params.get(k) != v},
            "noise": best.user_attrs["judged"]["noise"],
            "configured": first.value,
            "best": best.value,
            "gain": best.value - first.value,
        }
        rows: list[dict[str, float]] = []
        result["fresh"] = rows
        for number in range(1, args.seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                seed = config.simulation.seed + number
                store = make_store(config, seed, Path(folder))
                before, after = (test_score(model, config, store) for model in (base, tuned.models[0]))
            rows.append({"seed": seed, "configured": before, "best": after, "gain": after - before})
            result["fresh_gain"] = statistics.mean(row["gain"] for row in rows)
            result["selection_bias"] = best.value - first.value - statistics.mean(row["gain"] for row in rows)
            if len(rows) > 1 and any(row["gain"] for row in rows):
                result["p_value"] = float(wilcoxon([row["gain"] for row in rows]).pvalue)
            args.out.write_text(json.dumps(result, indent=1) + "\n")
            args.out.with_suffix(".md").write_text(markdown(result))
            print(markdown(result), flush=True)


if __name__ == "__main__":
    main()
