"""What is lost or doubled when a command is killed (SIGKILL) at a random moment and given again.

    python experiments/benchmarks/kills.py [train evaluate promote synthesize main] [--kills 20]

Each command runs once from a prepared study without a kill: its results and its time are the reference. Then it is
killed at moments that a fixed seed draws within that time, each in a fresh copy of the study, and given again. The
commands are forks of one process that has imported everything, so kills hit the work rather than the imports.
`kills.json` counts by command: kills that hit a running process, commands that then finished, results equal to the
reference to the last bit, runs left open, files left half-written, versions or finished runs made twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import nibabel
import yaml

SEED = 16
OUT = Path(__file__).with_suffix(".json")
GRID = (12, 13, 8)
CONFIG = {
    "simulation": {"subjects": 5, "volumes": 100, "grid": GRID, "channels": 12, "sampling_rate": 100, "coupling": 1.0},
    "data": {"grid": GRID, "frequencies": 30, "context": 5},
    "split": {"validation": 1, "test": 2},
    "models": [
        {"family": "factorised", "components": 4, "sources": 2, "hidden": 4, "members": 1, "training": {"epochs": 4}},
        {"family": "linear", "components": 5},
    ],
    "evaluation": {"shuffles": 2, "permutations": 39},
    "run": {"deterministic": True, "device": "cpu"},
    "policy": {"level": 0.9, "nulls": []},  # a gate that always opens
}
EEG = "work/dataset/sub-01/eeg/sub-01_task-rest_eeg.vhdr"
STEPS: dict[str, tuple[str, ...]] = {
    "simulate": ("--config", "c.yaml"),
    "preprocess": ("--config", "c.yaml"),
    "train": ("--config", "c.yaml", "--variant", "factorised"),
    "evaluate": ("--config", "c.yaml"),
    "promote": ("--config", "c.yaml"),
    "synthesize": ("--config", "c.yaml", "--eeg", EEG, "--out", "out/image.nii"),
}
COMMANDS = {**{verb: STEPS[verb] for verb in ("train", "evaluate", "promote", "synthesize")},
            "main": ("--config", "c.yaml")}  # fmt: skip
KEY_TAG = "mlflow.eeg2fmri.step_key"
TIMED = ("samples_per_second", "system/")


def start(study: Path, verb: str) -> int:
    """Fork a command in the study; return the number of its process."""
    if child := os.fork():
        return child
    os.chdir(study)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from eeg2fmri.cli import main

    os._exit(main([verb, *COMMANDS.get(verb, STEPS.get(verb, ()))]))


def run(study: Path, verb: str) -> int:
    """Exit status of a command that is not killed."""
    return os.waitstatus_to_exitcode(os.waitpid(start(study, verb), 0)[1])


def kill(study: Path, verb: str, seconds: float) -> bool:
    """Start a command and kill it after so many seconds; return whether it still ran."""
    child = start(study, verb)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def rows(study: Path, query: str) -> list[tuple[Any, ...]]:
    """Answer of the tracking database."""
    with closing(sqlite3.connect(study / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def results(study: Path) -> dict[str, Any]:
    """Numbers of a study: last metrics of its versions' runs and evaluations, aliases, verdicts, the image."""
    finished = "SELECT r.run_uuid, t.value FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid " \
               "WHERE r.status = 'FINISHED' AND t.key = 'eeg2fmri.entry_point'"  # fmt: skip
    found: dict[str, Any] = {}
    for run_id, step in rows(study, finished):
        metrics = rows(study, f"SELECT key, value FROM latest_metrics WHERE run_uuid = '{run_id}' ORDER BY key")
        named = sorted((key, value) for key, value in metrics if not any(each in key for each in TIMED))
        variant = rows(study, f"SELECT value FROM tags WHERE run_uuid = '{run_id}' AND key = 'variant'")
        found[f"{step} {variant[0][0] if variant else ''}"] = named
    found["aliases"] = rows(study, "SELECT name, alias, version FROM registered_model_aliases ORDER BY alias")
    tags = "SELECT version, key, value FROM model_version_tags WHERE key IN ('eeg2fmri.verdict', 'test.r2_temporal') " \
           "ORDER BY version, key"  # fmt: skip
    found["tags"] = rows(study, tags)
    image = study / "out/image.nii"
    if image.exists():
        found["image"] = hashlib.sha256(nibabel.load(image).get_fdata().tobytes()).hexdigest()
    return json.loads(json.dumps(found))


def faults(study: Path, files: set[str]) -> dict[str, int]:
    """Count what a study must not hold."""
    keys = Counter(rows(study, f"SELECT t.value FROM tags t JOIN runs r ON r.run_uuid = t.run_uuid WHERE t.key = "
                               f"'{KEY_TAG}' AND r.status = 'FINISHED'"))  # fmt: skip
    versions = rows(study, "SELECT value FROM model_version_tags WHERE key = 'mlflow.eeg2fmri.step_key'")
    return {
        "open_runs": len(rows(study, "SELECT 1 FROM runs WHERE status NOT IN ('FINISHED', 'FAILED', 'KILLED')")),
        "half_files": len(names(study) ^ files),
        "doubled": sum(n - 1 for n in keys.values()) + len(versions) - len(set(versions)),
    }


def names(study: Path) -> set[str]:
    """Files of a study but MLflow's."""
    found = {str(path.relative_to(study)) for path in study.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(("mlruns", "log.txt"))}


def prepare(study: Path, kept: Path) -> None:
    """Run all steps once; keep a copy of the study before each command."""
    study.mkdir()
    (study / "c.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(CONFIG))))
    shutil.copytree(study, kept / "main")
    for verb in STEPS:
        if verb in COMMANDS:
            shutil.copytree(study, kept / verb)
        if status := run(study, verb):
            sys.exit(f"{verb} ends with {status}: {(study / 'log.txt').read_text()[-1000:]}")


def measure(verb: str, study: Path, kept: Path, kills: int) -> dict[str, Any]:
    """Count what is well after each kill of a command and its repetition."""

    def fresh() -> None:
        shutil.rmtree(study)
        shutil.copytree(kept / verb, study)  # to the same place: MLflow keeps absolute paths

    fresh()
    began = time.monotonic()
    if run(study, verb):
        sys.exit((study / "log.txt").read_text()[-1000:])
    seconds = time.monotonic() - began
    reference, files = results(study), names(study)
    draw = random.Random(f"{SEED} {verb}")
    total: Counter[str] = Counter()
    for number in range(kills):
        fresh()
        moment = draw.uniform(0, seconds)
        hit = kill(study, verb, moment)
        finished = run(study, verb) == 0
        equal = results(study) == reference
        found = faults(study, files)
        total.update(kills=1, hit=hit, finished=finished, same_results=equal, **found)
        print(f"{verb} {number}: {moment:.2f} s, {hit=} {finished=} {equal=} {found}", flush=True)
        if not (finished and equal) or any(found.values()):
            print((study / "log.txt").read_text()[-2000:], names(study) ^ files, flush=True)
    return {"seconds": round(seconds, 2), **total}


def main() -> None:
    """Measure the commands that are named and write their counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", default=list(COMMANDS), choices=[*COMMANDS, []])
    parser.add_argument("--kills", type=int, default=20)
    args = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import keras  # noqa: F401
    import mlflow.pyfunc  # noqa: F401
    import tensorflow  # noqa: F401

    import eeg2fmri.pipeline  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        study, kept = Path(folder, "study"), Path(folder, "kept")
        kept.mkdir()
        prepare(study, kept)
        for verb in args.commands or COMMANDS:
            counts = measure(verb, study, kept, args.kills)
            written = json.loads(OUT.read_text()) if OUT.exists() else {}
            OUT.write_text(json.dumps(written | {verb: counts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
