"""The steps that make data: simulate a dataset, preprocess a dataset into a store."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eeg2fmri.config import Config, SimulationConfig, flatten
from eeg2fmri.datasets import find_recordings
from eeg2fmri.progress import progress_display
from eeg2fmri.simulation import is_simulated, read_best_r2, simulate
from eeg2fmri.store import Store, build_store
from eeg2fmri.tracking import finished_run, tracked_run
from eeg2fmri.tracking.runs import STEP_KEY, step_key

logger = logging.getLogger(__name__)
SIMULATION_CODE = ("simulation",)
STORE_CODE = ("datasets", "signals", "store")


@dataclass(frozen=True)
class StepResult:
    """What a step leaves behind: the run that made it, and whether it was skipped this time."""

    run_id: str
    skipped: bool


def simulate_step(config: SimulationConfig, out: Path, experiment: str) -> StepResult:
    """Write the simulated dataset, unless the same one is there already."""
    key = step_key("simulate", SIMULATION_CODE, config.model_dump(mode="json"), str(out.resolve()))
    run = finished_run(key)
    if run and (out / "dataset_description.json").exists():
        say_skipped("simulate", run.info.run_id)
        return StepResult(run.info.run_id, skipped=True)
    params = {**flatten(config, "simulation."), "simulation.out": str(out)}
    with tracked_run("simulate", experiment=experiment, params=params) as log:
        with progress_display(visible=sys.stderr.isatty()) as display:
            task = display.add_task("simulating", total=config.subjects, status="")
            if not is_simulated(out, config):
                simulate(config, out, on_progress=lambda done, total: display.update(task, completed=done))
        log.metrics({"truth/best_r2_temporal": float(np.mean(list(read_best_r2(out).values())))})
        log.tags({STEP_KEY: key})
        logger.info("simulated %d subjects of %d volumes in %s", config.subjects, config.volumes, out)
        return StepResult(log.run_id, skipped=False)


def preprocess_step(config: Config, root: Path, store_path: Path) -> tuple[Store, StepResult]:
    """Turn a dataset into a store; recordings that are in it already are kept."""
    recordings, skipped = find_recordings(root, config.dataset)
    for item in skipped:
        logger.warning("%s: %s; skipped", item.path, item.reason)
    experiment = config.run.experiment
    params = {**flatten(config.data, "data."), **flatten(config.dataset, "dataset."), "dataset.root": str(root)}
    with progress_display(visible=sys.stderr.isatty()) as display:
        task = display.add_task("preprocessing", total=len(recordings), status="")
        kept: list[bool] = []

        def on_recording(name: str, done: bool) -> None:
            kept.append(done)
            display.update(task, advance=1, status=name)

        def build() -> Store:
            return build_store(recordings, store_path, config.data, on_recording=on_recording)

        # Digests of the source files tell whether anything is to do; only then is a run opened.
        key = step_key("preprocess", STORE_CODE, config.data.model_dump(mode="json"), _inputs(recordings))
        run = finished_run(key)
        if run and (store_path / "zarr.json").exists():
            store = build()
            if all(kept):
                say_skipped("preprocess", run.info.run_id)
                return store, StepResult(run.info.run_id, skipped=True)
            kept.clear()
        with tracked_run("preprocess", experiment=experiment, params=params) as log:
            store = build()
            log.tags({STEP_KEY: key, "eeg2fmri.data_digest": store.digest})
            log.params({"data.digest": store.digest, "data.store": str(store_path)})
            log.metrics({"data/recordings": len(store.recordings), "data/kept": sum(kept)})
            log.table(_overview(store), "recordings.json")
            log.table(pd.DataFrame({"path": [str(s.path) for s in skipped], "reason": [s.reason for s in skipped]}),
                      "skipped.json")  # fmt: skip
            logger.info("store %s: %d recordings, digest %s", store_path, len(store.recordings), store.digest[:12])
            return store, StepResult(log.run_id, skipped=False)


def say_skipped(step: str, run_id: str) -> None:
    """Tell that a step is not done again, and which run did it."""
    logger.info("%s: skipped, run %s finished it with the same inputs, settings and code", step, run_id)


def _inputs(recordings: list) -> list[list[str]]:
    """Rules, and name, size and time of every source file; the store itself checks their content."""
    return [[r.name, json.dumps(r.rules), *map(_stamp, r.files)] for r in recordings]


def _stamp(path: Path) -> str:
    if not path.exists():
        return f"{path.name}:missing"
    return f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}"


def _overview(store: Store) -> pd.DataFrame:
    rows = [
        {
            "recording": r.name,
            "windows": len(r.spectrogram) - store.context,
            "source_volumes": r.attributes["source_volumes"],
            "brain_voxels": int(r.mask.sum()),
            "mean_intensity": r.statistics.mean,
            "digest": r.digest[:12],
        }
        for r in store.recordings
    ]
    return pd.DataFrame(rows)
