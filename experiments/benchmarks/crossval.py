"""Time of a leave-one-subject-out cross-validation at full size: twelve simulated subjects of 300 volumes.

    python experiments/benchmarks/crossval.py [--work FOLDER] [--workers 2] [--out experiments/benchmarks/crossval.json]

Runs `eeg2fmri simulate`, `preprocess` and `crossval` for `linear` and `factorised` with their default settings and all
default baselines, on the demo's grid, each as its own process with its own tracking database. Nothing in `--work` that
is finished is made again, except the cross-validation.

- seconds: wall clock; cpu_seconds: of the process and its workers, user and system. Where the load is above the cores,
  only the latter is the code's.
- crossval: the means over subjects, their intervals, p, and the two models compared by subject.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SUBJECTS, VOLUMES, SEED = 12, 300, 750
MODELS = "linear,factorised"


def timed(work: Path, *arguments: str) -> dict[str, float]:
    """Run a verb of the command; its seconds, and those of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{work}/mlflow.db"}
    subprocess.run([sys.executable, "-m", "eeg2fmri", *arguments], cwd=work, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(time.perf_counter() - start, 1), "cpu_seconds": round(cpu, 1)}


def result(work: Path) -> dict[str, Any]:
    """Means, intervals and the pair, from the artifact of the newest cross-validation."""
    newest = max(work.rglob("crossval.json"), key=lambda path: path.stat().st_mtime)
    found = json.loads(newest.read_text(encoding="utf-8"))
    scores = {model: conditions["model"] for model, conditions in found["r2_temporal"].items()}
    return {
        "mean": {model: sum(own.values()) / len(own) for model, own in scores.items()},
        "intervals": found["intervals"],
        "p_values": found["p_values"],
        "pairs": found["pairs"],
        "r2_temporal": scores,
        "report": any(newest.parent.rglob("report.html")),
    }


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="folder for dataset, store and runs; a temporary one without")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = (args.work or Path(scratch)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        steps: dict[str, Any] = {}
        if not (work / "dataset").exists():
            size = ["--subjects", str(SUBJECTS), "--volumes", str(VOLUMES), "--seed", str(SEED)]
            steps["simulate"] = timed(work, "simulate", "--out", "dataset", *size)
        if not (work / "store").exists():
            steps["preprocess"] = timed(work, "preprocess", "--root", "dataset", "--store", "store")
        load = os.getloadavg()[0]
        models = ["--models", MODELS, "--workers", str(args.workers)]
        steps["crossval"] = timed(work, "crossval", "--store", "store", "--workdir", "work", *models)
        report = {
            **steps,
            "subjects": SUBJECTS,
            "volumes": VOLUMES,
            "seed": SEED,
            "workers": args.workers,
            "cores": os.cpu_count(),
            "load_before": load,
            "load_at_the_end": os.getloadavg()[0],
            "scores": result(work),
        }
    args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
