"""Costs of a search: workers, overhead, pruning, and what a killed worker loses.

    python experiments/benchmarks/search.py workers|overhead|pruning|kills [--first 0] [--count N] [--out search.json]

Everything runs on one small simulated dataset (six subjects of 120 volumes). Each part adds its rows to the JSON, so
it may run in pieces: rows --first to --first + --count.

- workers: trials of `factorised` per second with one process and with two, one thread each. The time counts from the
  start of the first trial to the end of the last one, so the start of the processes is left out.
- overhead: time of a study that is not training: the median of each trial, which includes its null, and start and end,
  which include the import of TensorFlow and the plots. Both beside a study of 30 trials of 20 s. The trials are real;
  they are shorter than 20 s, and the overhead does not depend on their length.
- pruning: epochs until a study with the default pruner has the best score of the unpruned one, as a share of the epochs
  of the unpruned one; same seeds. It ends then, or after twice as many trials. Beside it stand the share that the
  unpruned study itself needed, and that until the score is within the noise of the best trial. A part that was stopped
  continues.
- kills: two commands in one study, one killed at a random time; what is lost or done twice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
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
from optuna.trial import TrialState

from eeg2fmri.config import Config, DataConfig, SimulationConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.search import search_step
from eeg2fmri.simulation import is_simulated, simulate
from eeg2fmri.store import Store, build_store

GRID = (24, 24, 12)
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STUDY_TRIALS = 30
WORKER_TRIALS, OVERHEAD_TRIALS, TRIALS, EPOCHS, KILL_TRIALS, KILL_WITHIN_S = 24, 12, 16, 9, 6, 8.0
FACTORISED = {"family": "factorised", "components": 32}
# Trained from the start, so that its trials have epochs to save.
DEEP = {
    "family": "calhas2022", "variant": "lp", "decoder": "pca", "components": 16, "latent": (4, 4, 4), "filters": 2,
    "bold_scaling": "voxel",
}  # fmt: skip
RANGES = {"calhas2022": {"architectures": False, "batch_size": [8, 16, 32], "latent_side": [4, 6], "filters": [2, 4],
                         "learning_rate": [1e-5, 1e-1]}}  # fmt: skip


def the_store(work: Path) -> Store:
    """The dataset, simulated and preprocessed once."""
    simulation = SimulationConfig(grid=GRID, channels=16)
    if not is_simulated(work / "dataset", simulation):
        simulate(simulation, work / "dataset")
    return build_store(find_recordings(work / "dataset")[0], work / "store", DataConfig(grid=GRID), name="small").store


def config_of(model: dict[str, Any], seed: int = 0, **search: Any) -> Config:
    """A search around one model."""
    tree = {"models": [model], "data": {"grid": GRID}, "run": {"seed": seed}, "split": {"validation": 2, "test": 1}}
    return Config.model_validate(tree | {"search": {"ranges": RANGES} | search})


def study_of(work: Path, name: str) -> optuna.Study:
    """A finished study."""
    return optuna.load_study(study_name=name, storage=f"sqlite:///{work}/optuna.db")


def search(work: Path, name: str, config: Config, trials: int, **options: Any) -> float:
    """Run a new study; its seconds."""
    store, start = the_store(work), time.monotonic()
    search_step(config, store, study=name, storage=f"sqlite:///{work}/optuna.db", trials=trials, timeout=None,
                out=work / "best.yaml", **options)  # fmt: skip
    return time.monotonic() - start


def span(study: optuna.Study) -> float:
    """Seconds from the start of the first trial to the end of the last one."""
    first = min(t.datetime_start for t in study.trials if t.datetime_start)
    return (max(t.datetime_complete for t in study.trials if t.datetime_complete) - first).total_seconds()


def workers(work: Path, number: int) -> dict[str, Any]:
    """Rates of one process and of two, one after the other."""
    row: dict[str, Any] = {"round": number, "load": os.getloadavg()}
    for count in (1, 2):
        name = f"workers-{count}-{number}-{time.time():.0f}"
        config = config_of(FACTORISED, sampler="random", pruner="none", epochs=10)
        search(work, name, config, WORKER_TRIALS, workers=count)
        row[f"trials_per_s_{count}"] = WORKER_TRIALS / span(study_of(work, name))
    return row | {"ratio": row["trials_per_s_2"] / row["trials_per_s_1"]}


def overhead(work: Path, number: int) -> dict[str, Any]:
    """Seconds of a study that are not training: those of each trial, and those of start and end."""
    name = f"overhead-{number}-{time.time():.0f}"
    whole = search(work, name, config_of(FACTORISED, number, epochs=10, pruner="none"), OVERHEAD_TRIALS)
    trials = study_of(work, name).trials
    training = [t.user_attrs["judged"]["seconds"] for t in trials]
    ends = [t.datetime_complete for t in trials]
    between = [(after - before).total_seconds() for before, after in itertools.pairwise(ends)]
    per_trial = statistics.median(all_of - own for all_of, own in zip(between, training[1:], strict=True))
    fixed = whole - sum(training) - OVERHEAD_TRIALS * per_trial
    share = (per_trial + fixed / STUDY_TRIALS) / 20
    return {"seed": number, "trials": OVERHEAD_TRIALS, "study_s": whole, "training_s": sum(training),
            "per_trial_s": per_trial, "start_and_end_s": fixed, f"share_of_{STUDY_TRIALS}_trials_of_20_s": share,
            "load": os.getloadavg()}  # fmt: skip


def pruning(work: Path, seed: int) -> dict[str, Any]:
    """Compute that a pruned study needs for the best score of the unpruned one."""
    full, pruned = f"full-{seed}", f"pruned-{seed}"
    search(work, full, config_of(DEEP, seed, pruner="none", epochs=EPOCHS), TRIALS)
    unpruned = study_of(work, full)
    best, noise = unpruned.best_value, unpruned.best_trial.user_attrs["judged"]["noise"]
    whole, _ = epochs_until(unpruned, math.inf)
    for trials in range(TRIALS // 2, 2 * TRIALS + 1, TRIALS // 2):
        search(work, pruned, config_of(DEEP, seed, epochs=EPOCHS), trials)
        if epochs_until(study_of(work, pruned), best)[1]:
            break
    study = study_of(work, pruned)
    used, reached = epochs_until(study, best)
    row = {"seed": seed, "pruner": config_of(DEEP).search.pruner, "unpruned_best": best, "noise": noise,
           "pruned_best": study.best_value, "unpruned_epochs": whole, "pruned_epochs": used,
           "trials": sum(t.state in FINISHED for t in study.trials),
           "pruned_trials": sum(t.state == TrialState.PRUNED for t in study.trials),
           "share": used / whole if reached else None}  # fmt: skip
    row["unpruned_share"] = epochs_until(unpruned, best)[0] / whole
    used, reached = epochs_until(study, best - noise)
    return row | {"share_within_noise": used / whole if reached else None}


def epochs_until(study: optuna.Study, score: float) -> tuple[int, bool]:
    """Epochs of the finished trials until one has the score, and whether one has."""
    used = 0
    for trial in study.get_trials(states=FINISHED):
        used += len(trial.intermediate_values)
        if trial.state == TrialState.COMPLETE and trial.value >= score:
            return used, True
    return used, False


def kills(work: Path, number: int) -> dict[str, Any]:
    """Kill one of two commands at a random time."""
    the_store(work)
    config, folder = work / "kills.yaml", work / f"kill-{number}"
    found = config_of({"family": "linear", "components": 16}, heartbeat=2, sampler="random")
    config.write_text(yaml.safe_dump(found.model_dump(mode="json")))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    client = mlflow.MlflowClient(environment["MLFLOW_TRACKING_URI"])
    client.search_experiments()  # makes its tables
    command = [sys.executable, "-m", "eeg2fmri", "search", "--config", str(config), "--store", str(work / "store"),
               "--storage", f"sqlite:///{folder}/optuna.db", "--trials", str(KILL_TRIALS), "--quiet"]  # fmt: skip
    both = [subprocess.Popen([*command, "--out", f"{folder}/best-{n}.yaml"], cwd=folder, env=environment)
            for n in range(2)]  # fmt: skip
    while not (folder / "optuna.db").exists() and both[0].poll() is None:
        time.sleep(0.05)
    after = random.Random(number).uniform(0, KILL_WITHIN_S)
    time.sleep(after)
    alive = both[0].poll() is None
    both[0].send_signal(signal.SIGKILL)
    both[0].wait()
    code = both[1].wait()
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/optuna.db")
    finished = [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]
    runs = [r for e in client.search_experiments() for r in client.search_runs([e.experiment_id])]
    done = [r for r in runs if r.data.tags.get("eeg2fmri.trial_state") in ("complete", "pruned")]
    row = {
        "kill": number,
        "after_s": round(after, 2),
        "was_running": alive,
        "exit": code,
        "finished": len(finished),
        "repeated": sum("failed_trial" in t.system_attrs for t in finished),
        "open_trials": sum(t.state.name == "RUNNING" for t in study.trials),
        "open_runs": sum(r.info.status == "RUNNING" for r in runs),
        "finished_runs": len(done),
    }
    expected = {"exit": 0, "finished": KILL_TRIALS, "finished_runs": KILL_TRIALS, "open_trials": 0, "open_runs": 0}
    return row | {"nothing_lost_or_doubled": all(row[key] == value for key, value in expected.items())}


def main() -> None:
    """Run rows of one part and add them to the JSON."""
    parts = {"workers": (workers, 2), "overhead": (overhead, 1), "pruning": (pruning, 5), "kills": (kills, 20)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=parts)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, help="rows (default: all)")
    parser.add_argument("--work", type=Path, default=Path("work/search-benchmark"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    run, count = parts[args.part]
    work = args.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{work}/mlflow.db")
    for number in range(args.first, args.first + (args.count or count)):
        row = run(work, number)
        known = json.loads(args.out.read_text()) if args.out.exists() else {}
        known.setdefault(args.part, []).append(row)
        args.out.write_text(json.dumps(known, indent=1) + "\n")
        print(row, flush=True)


if __name__ == "__main__":
    main()
