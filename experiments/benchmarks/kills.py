"""What is lost or doubled when a command is killed (SIGKILL) at a random moment and given again.

    python experiments/benchmarks/kills.py [synthesize adapt promote train evaluate simulate main] [--kills 20]

Each command runs once from a prepared study without a kill: its results and its time are the reference. Then it is
killed at moments that a fixed seed draws within that time, each in a fresh copy of the study, and given again. A kill
that comes after the command has ended does not count: moments are drawn until `--kills` have hit. The commands are
forks of one process that has imported everything, so kills hit the work rather than the imports.
`kills.json` counts by command: kills that hit a running process, commands that then finished, results equal to the
reference to the last bit, aliases of versions without a whole model (also right after the kill), runs left open, files
left half-written, versions or finished runs made twice.
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
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

SEED = 16
OUT = Path(__file__).with_suffix(".json")
GRID = (12, 13, 8)
CONFIG = {
    "simulation": {"subjects": 6, "volumes": 100, "grid": GRID, "channels": 12, "sampling_rate": 100, "coupling": 1.0},
    "data": {"grid": GRID, "frequencies": 30, "context": 5},
    "split": {"validation": ["04"], "test": ["05", "06"]},
    "models": [
        {"family": "linear", "components": 5},
        {"family": "factorised", "components": 4, "sources": 2, "hidden": 4, "training": {"epochs": 4}},
    ],
    "evaluation": {"shuffles": 2, "permutations": 39},
    "run": {"deterministic": True, "device": "cpu"},
    "policy": {"level": 0.9, "nulls": []},  # a gate that nearly always opens
}
OPTIONS = ("--config", "c.yaml")
EEG = "work/dataset/sub-05/eeg/sub-05_task-rest_eeg.vhdr"
# In this order they make a study; the newest version, a linear model, is promoted and adapted.
STEPS: dict[str, tuple[str, ...]] = {
    "simulate": ("simulate", *OPTIONS),
    "preprocess": ("preprocess", *OPTIONS),
    "train": ("train", *OPTIONS, "--variant", "factorised"),
    "train linear": ("train", *OPTIONS, "--variant", "linear"),
    "evaluate": ("evaluate", *OPTIONS),
    "promote": ("promote", *OPTIONS),
    "adapt": ("adapt", *OPTIONS, "--subject", "05", "--minutes", "1"),
    "synthesize": ("synthesize", *OPTIONS, "--model-uri", "models:/eeg2fmri@champion", "--eeg", EEG,
                   "--out", "out/image.nii"),
    "main": ("main", *OPTIONS),
}  # fmt: skip
MEASURED = ("synthesize", "adapt", "promote", "train", "evaluate", "simulate", "main")
KEY_TAG = "mlflow.eeg2fmri.step_key"
TIMED = ("samples_per_second", "system/")


def start(study: Path, step: str, log: str = "log.txt") -> int:
    """Fork a command in the study; return the number of its process."""
    if child := os.fork():
        return child
    os.chdir(study)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from eeg2fmri.cli import main

    os._exit(main(STEPS[step]))


def status(child: int) -> int:
    """Exit status of a process, when it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill(study: Path, step: str, seconds: float) -> bool:
    """Start a command and kill it after so many seconds; return whether it still ran."""
    child = start(study, step)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return status(child) == -signal.SIGKILL


def rows(study: Path, query: str) -> list[tuple[Any, ...]]:
    """Answer of the tracking database; nothing if there is none."""
    if not (study / "mlflow.db").exists():
        return []
    with closing(sqlite3.connect(study / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def results(study: Path) -> dict[str, Any]:
    """Numbers of a study: last metrics of finished runs, aliases, verdicts; what is in its files."""
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
    for folder in ("work/dataset", "out"):
        contents = (path.read_bytes() for path in sorted((study / folder).rglob("*")) if path.is_file())
        found[folder] = hashlib.sha256(b"".join(contents)).hexdigest()
    return json.loads(json.dumps(found))


def faults(study: Path, files: set[str]) -> dict[str, int]:
    """Count what a study must not hold."""
    keys = Counter(rows(study, f"SELECT t.value FROM tags t JOIN runs r ON r.run_uuid = t.run_uuid WHERE t.key = "
                               f"'{KEY_TAG}' AND r.status = 'FINISHED'"))  # fmt: skip
    versions = rows(study, f"SELECT value FROM model_version_tags WHERE key = '{KEY_TAG}'")
    return {
        "broken_aliases": broken_aliases(study),
        "open_runs": len(rows(study, "SELECT 1 FROM runs WHERE status NOT IN ('FINISHED', 'FAILED', 'KILLED')")),
        "half_files": len(names(study) ^ files),
        "doubled": sum(n - 1 for n in keys.values()) + len(versions) - len(set(versions)),
    }


def broken_aliases(study: Path) -> int:
    """Count aliases of versions that do not load: no version, no logged model, or no whole folder of it."""
    found = rows(study, "SELECT m.artifact_location FROM registered_model_aliases a LEFT JOIN model_versions v ON "
                        "v.name = a.name AND v.version = a.version LEFT JOIN logged_models m ON v.source = "
                        "'models:/' || m.model_id")  # fmt: skip
    whole = ("MLmodel", "requirements.txt", "artifacts")
    return sum(not (place and all(Path(place, name).exists() for name in whole)) for (place,) in found)


def names(study: Path) -> set[str]:
    """Files of a study but MLflow's."""
    found = {str(path.relative_to(study)) for path in study.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(("mlruns", "log.txt"))}


def write_study(study: Path) -> None:
    """Make the folder of a study, which holds its configuration only."""
    study.mkdir(exist_ok=True)
    (study / "c.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(CONFIG))))


def prepare(study: Path, kept: Path, wanted: Collection[str]) -> None:
    """Run all steps once; keep a copy of the study before each command that is wanted."""
    write_study(study)
    shutil.copytree(study, kept / "main")
    for step in STEPS:
        if step in wanted and step != "main":
            shutil.copytree(study, kept / step)
        if set(wanted) <= {path.name for path in kept.iterdir()}:
            return
        if found := status(start(study, step)):
            sys.exit(f"{step} ends with {found}: {(study / 'log.txt').read_text()[-1000:]}")


def renew(study: Path, kept: Path) -> None:
    """Put a fresh copy to the same place: MLflow keeps absolute paths."""
    shutil.rmtree(study)
    shutil.copytree(kept, study)


def measure(step: str, study: Path, kept: Path, kills: int) -> dict[str, Any]:
    """Count what is well after each kill of a command and its repetition, until so many kills have hit."""
    renew(study, kept / step)
    began = time.monotonic()
    if status(start(study, step)):
        sys.exit((study / "log.txt").read_text()[-1000:])
    seconds = time.monotonic() - began
    reference, files = results(study), names(study)
    draw = random.Random(f"{SEED} {step}")
    total: Counter[str] = Counter()
    while total["hit"] < kills:
        renew(study, kept / step)
        moment = draw.uniform(0, seconds)
        hit = kill(study, step, moment)
        broken = broken_aliases(study)
        finished = status(start(study, step)) == 0
        found = faults(study, files)
        found["broken_aliases"] += broken
        equal = results(study) == reference
        total.update(kills=1, hit=hit, finished=finished, same_results=equal, **found)
        print(f"{step} {total['kills']}: {moment:.2f} s, {hit=} {finished=} {equal=} {found}", flush=True)
        if not (finished and equal) or any(found.values()):
            print((study / "log.txt").read_text()[-2000:], names(study) ^ files, flush=True)
    return {"seconds": round(seconds, 2), **total}


def load() -> None:
    """Import what the commands need; give them a tracking database of their own."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import keras  # noqa: F401
    import mlflow.pyfunc  # noqa: F401
    import tensorflow  # noqa: F401

    import eeg2fmri.pipeline  # noqa: F401


def write(out: Path, counts: dict[str, Any]) -> None:
    """Add counts to a JSON file."""
    written = json.loads(out.read_text()) if out.exists() else {}
    out.write_text(json.dumps(written | counts, indent=2) + "\n")


def main() -> None:
    """Measure the commands that are named and write their counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", choices=[*MEASURED, []])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    load()
    with tempfile.TemporaryDirectory() as folder:
        study, kept = Path(folder, "study"), Path(folder, "kept")
        kept.mkdir()
        commands = args.commands or MEASURED
        prepare(study, kept, commands)
        for step in commands:
            write(args.out, {step: measure(step, study, kept, args.kills)})


if __name__ == "__main__":
    main()
