"""Costs of a search: workers, overhead, pruning, and what a killed worker loses.

    python experiments/benchmarks/search.py workers|overhead|pruning|kills [--work FOLDER] [--out search.json]

Everything runs on one small simulated dataset (six subjects of 120 volumes). Each part writes its key of the JSON.

- workers: trials of `factorised` per second with one process and with two, one thread each. The time counts from the
  start of the first trial to the end of the last one, so the start of the processes is left out.
- overhead: time of a study that is not training, by trial, beside a trial of 20 s. The null of each trial counts as
  overhead. The trials are real; they are shorter than 20 s, and the overhead does not depend on their length.
- pruning: seconds of trials until a pruned study has the best score of the unpruned one, as a share of the time of
  the unpruned one; same seeds. A pruned study may have twice as many trials.
- kills: two commands in one study, one killed at a random time; what is lost or done twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import mlflow
import optuna
import yaml

from eeg2fmri.config import Config, DataConfig, SimulationConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.search import search_step
from eeg2fmri.simulation import simulate
from eeg2fmri.store import Store, build_store, open_store

GRID = (24, 24, 12)
FACTORISED = {"family": "factorised", "components": 32, "members": 1}
# Trained from the start, so that its trials have epochs to save.
DEEP = {
    "family": "calhas2022", "variant": "lp", "decoder": "pca", "components": 16, "latent": (4, 4, 4), "filters": 2,
    "bold_scaling": "voxel",
}  # fmt: skip
RANGES = {"calhas2022": {"architectures": False, "batch_size": [8, 16, 32], "latent_side": [4, 6], "filters": [2, 4],
                         "learning_rate": [1e-5, 1e-1]}}  # fmt: skip


def the_store(work: Path) -> Store:
    """The dataset, simulated and preprocessed once."""
    if not (work / "store").exists():
        simulate(SimulationConfig(grid=GRID, channels=16), work / "dataset")
        return build_store(find_recordings(work / "dataset")[0], work / "store", DataConfig(grid=GRID)).store
    return open_store(work / "store")


def config_of(model: dict[str, Any], seed: int = 0, **search: Any) -> Config:
    """A search around one model."""
    tree = {"models": [model], "data": {"grid": GRID}, "run": {"seed": seed}, "split": {"validation": 2, "test": 1}}
    return Config.model_validate(tree | {"search": {"ranges": RANGES} | search})


def study_of(work: Path, name: str) -> optuna.Study:
    """A finished study."""
    return optuna.load_study(study_name=name, storage=f"sqlite:///{work}/optuna.db")


def search(work: Path, name: str, config: Config, trials: int, **options: Any) -> float:
    """Run a new study; its seconds."""
    start = time.monotonic()
    search_step(config, the_store(work), study=name, storage=f"sqlite:///{work}/optuna.db", trials=trials, timeout=None,
                out=work / "best.yaml", **options)  # fmt: skip
    return time.monotonic() - start


def span(study: optuna.Study) -> float:
    """Seconds from the start of the first trial to the end of the last one."""
    first = min(t.datetime_start for t in study.trials if t.datetime_start)
    return (max(t.datetime_complete for t in study.trials if t.datetime_complete) - first).total_seconds()


def workers(work: Path, trials: int = 24, rounds: int = 2) -> dict[str, Any]:
    """Rates of one process and of two, in turns."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for count in (1, 2):
            name = f"workers-{count}-{number}-{time.time():.0f}"
            search(work, name, config_of(FACTORISED, sampler="random", pruner="none", epochs=10), trials, workers=count)
            rates[count].append(trials / span(study_of(work, name)))
    one, two = (statistics.mean(rates[count]) for count in (1, 2))
    return {"trials": trials, "per_second": rates, "ratio": two / one, "load": os.getloadavg()}


def overhead(work: Path, trials: int = 20) -> dict[str, Any]:
    """Seconds of a trial that are not training."""
    name = f"overhead-{time.time():.0f}"
    whole = search(work, name, config_of(FACTORISED, epochs=10, pruner="none"), trials)
    study = study_of(work, name)
    trained = sum(t.user_attrs["judged"]["seconds"] for t in study.trials if "judged" in t.user_attrs)
    complete = sum("judged" in t.user_attrs for t in study.trials)
    between = span(study) - sum(t.duration.total_seconds() for t in study.trials if t.duration)
    pruned = sum(t.duration.total_seconds() for t in study.trials if t.duration and "judged" not in t.user_attrs)
    per_trial = (whole - trained - pruned) / trials
    return {
        "trials": trials,
        "complete": complete,
        "study_s": whole,
        "training_s": trained,
        "between_trials_s": between,
        "per_trial_s": per_trial,
        "share_of_20_s": per_trial / 20,
        "load": os.getloadavg(),
    }


def pruning(work: Path, trials: int = 16, seeds: int = 5, epochs: int = 9) -> dict[str, Any]:
    """Compute that a pruned study needs for the best score of the unpruned one."""
    rows = []
    for seed in range(seeds):
        stamp = f"{seed}-{time.time():.0f}"
        search(work, f"full-{stamp}", config_of(DEEP, seed, pruner="none", epochs=epochs), trials)
        search(work, f"pruned-{stamp}", config_of(DEEP, seed, pruner="hyperband", epochs=epochs), 2 * trials)
        full, pruned = study_of(work, f"full-{stamp}"), study_of(work, f"pruned-{stamp}")
        epochs_of = {s.study_name: [len(t.intermediate_values) for t in s.trials] for s in (full, pruned)}
        target, needed = full.best_value, 0
        reached = None
        for trial, own in zip(pruned.trials, epochs_of[pruned.study_name], strict=True):
            needed += own
            if trial.state.name == "COMPLETE" and trial.value >= target:
                reached = needed
                break
        whole = sum(epochs_of[full.study_name])
        rows.append({"seed": seed, "unpruned_best": target, "pruned_best": pruned.best_value, "unpruned_epochs": whole,
                     "pruned_epochs_until_it": reached, "share": reached / whole if reached else None,
                     "pruned_epochs": sum(epochs_of[pruned.study_name]),
                     "pruned_trials": sum(t.state.name == "PRUNED" for t in pruned.trials)})  # fmt: skip
    return {"trials": trials, "epochs": epochs, "studies": rows}


def kills(work: Path, times: int = 20, trials: int = 6) -> dict[str, Any]:
    """Kill one of two commands at random times."""
    the_store(work)
    rng, rows = random.Random(0), []
    config = work / "kills.yaml"
    config.write_text(yaml.safe_dump(config_of({"family": "linear", "components": 16}, heartbeat=2,
                                               sampler="random").model_dump(mode="json")))  # fmt: skip
    for number in range(times):
        folder = work / f"kill-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        mlflow.MlflowClient(environment["MLFLOW_TRACKING_URI"]).search_experiments()  # makes its tables
        command = [sys.executable, "-m", "eeg2fmri", "search", "--config", str(config), "--store", str(work / "store"),
                   "--storage", f"sqlite:///{folder}/optuna.db", "--trials", str(trials), "--quiet"]  # fmt: skip
        both = [subprocess.Popen([*command, "--out", f"{folder}/best-{n}.yaml"], cwd=folder, env=environment)
                for n in range(2)]  # fmt: skip
        database = folder / "optuna.db"
        while not database.exists() and both[0].poll() is None:
            time.sleep(0.05)
        after = rng.uniform(0, 8)
        time.sleep(after)
        alive = both[0].poll() is None
        both[0].send_signal(signal.SIGKILL)
        both[0].wait()
        code = both[1].wait()
        study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/optuna.db")
        finished = [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]
        client = mlflow.MlflowClient(environment["MLFLOW_TRACKING_URI"])
        runs = [r for e in client.search_experiments() for r in client.search_runs([e.experiment_id])]
        done = [r for r in runs if r.data.tags.get("eeg2fmri.trial_state") in ("complete", "pruned")]
        rows.append({"after_s": round(after, 2), "was_running": alive, "exit": code, "finished": len(finished),
                     "repeated": sum("failed_trial" in t.system_attrs for t in finished),
                     "open_trials": sum(t.state.name == "RUNNING" for t in study.trials),
                     "open_runs": sum(r.info.status == "RUNNING" for r in runs),
                     "finished_runs": len(done)})  # fmt: skip
        print(rows[-1], flush=True)
    good = [r for r in rows if r["exit"] == 0 and r["finished"] == r["finished_runs"] == trials
            and not r["open_trials"] and not r["open_runs"]]  # fmt: skip
    return {"times": times, "trials": trials, "nothing_lost_nothing_doubled": len(good), "kills": rows}


def main() -> None:
    """Run one part and write its key of the JSON."""
    parts = {"workers": workers, "overhead": overhead, "pruning": pruning, "kills": kills}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=parts)
    parser.add_argument("--work", type=Path, default=Path("work/search-benchmark"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    work = args.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{work}/mlflow.db")
    result = parts[args.part](work)
    known = json.loads(args.out.read_text()) if args.out.exists() else {}
    args.out.write_text(json.dumps(known | {args.part: result}, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
