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
from eeg2fmri.datasets import Recording, find_recordings
from eeg2fmri.errors import ConfigError, counted
from eeg2fmri.pipeline.code import SIMULATION_CODE, preprocessing_code
from eeg2fmri.pipeline.describe import paragraphs, picture
from eeg2fmri.pipeline.quality import log_quality
from eeg2fmri.progress import progress_display
from eeg2fmri.simulation import is_simulated, read_best_r2, simulate
from eeg2fmri.store import (
    SIMULATED,
    Built,
    Location,
    Outcome,
    Store,
    build_store,
    dataset_name,
    recordings_table,
    say_left_out,
    with_names,
)
from eeg2fmri.tracking import RunLog, alone, finished_run, tracked_run
from eeg2fmri.tracking.runs import DATA_DIGEST, STEP_KEY, step_key

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepResult:
    """Result of a step: the run that made it, and whether it was skipped this time."""

    run_id: str
    skipped: bool


def simulate_step(config: Config, out: Path) -> StepResult:
    """Write the simulated dataset, unless the same one is there already.

    Drifts slower than `evaluation.drift_cutoff` do not count in the ceiling that is logged.
    """
    path = out.absolute()
    with alone(path.with_name(f".{path.name}.lock"), str(out), "simulate", "give another --out"):
        return _simulate(config, out)


def _simulate(config: Config, out: Path) -> StepResult:
    experiment = with_names(config, SIMULATED).run.experiment
    settings, cutoff = config.simulation or SimulationConfig(), config.evaluation.drift_cutoff
    key = step_key("simulate", SIMULATION_CODE, settings.model_dump(mode="json"), str(out.resolve()), cutoff)
    run = finished_run(key)
    if run and (out / "dataset_description.json").exists():
        say_skipped("simulate", run.info.run_id)
        return StepResult(run.info.run_id, skipped=True)
    params = {**flatten(settings, "simulation."), "simulation.out": str(out)}
    with tracked_run("simulate", experiment=experiment, name=f"simulate · {SIMULATED}", params=params,
                     tags={"dataset": SIMULATED}) as log:  # fmt: skip
        with progress_display(visible=sys.stderr.isatty()) as display:
            task = display.add_task("simulating", total=settings.subjects, status="")
            if not is_simulated(out, settings):
                simulate(settings, out, on_progress=lambda done, total: display.update(task, completed=done))
        log.describe(_simulated(log, settings, out, cutoff))
        log.tags({STEP_KEY: key})
        logger.info("simulated %d subjects of %d volumes in %s", settings.subjects, settings.volumes, out)
        return StepResult(log.run_id, skipped=False)


def _simulated(log: RunLog, settings: SimulationConfig, out: Path, cutoff: float) -> str:
    """Log the ceiling of a dataset with BOLD, and return the description of its run."""
    if settings.groups:
        return (f"Simulates EEG of {settings.subjects} subjects without BOLD, {settings.volumes} TRs each. The column "
                "`group` of `participants.tsv` is for `classify`.")  # fmt: skip
    log.metrics({"truth/best_r2_temporal": float(np.mean(list(read_best_r2(out, cutoff).values())))})
    return (
        f"Simulates EEG and fMRI of {settings.subjects} subjects, {settings.volumes} volumes each. The metric "
        "`truth/best_r2_temporal` is the ceiling: what the best model could explain."
    )


def preprocess_step(
    config: Config,
    root: Path,
    where: str | Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    allow_failures: bool = False,
) -> tuple[Store, StepResult]:
    """Turn a dataset into a store; keep recordings that it already holds.

    Parameters
    ----------
    config, root : settings; folder of the dataset, which the store is called by. The store keeps the split that is set.
    where : folder or fsspec URL of the store.
    workers, scheduler : local processes, or the address of a Dask scheduler.
    allow_failures : continue although some recordings cannot be used.

    Raises
    ------
    DatasetError
        If no recording can be used.
    IncompleteError
        If some cannot be used, and that was not allowed; the others are in the store.
    """
    if workers > 1 and scheduler:
        raise ConfigError(f"--workers {workers} and --scheduler {scheduler}: give one of them")
    location = Location.of(where)
    if location.is_url:  # a lock needs a file system
        return _preprocess(config, root, location, workers, scheduler, allow_failures=allow_failures)
    path = Path(str(location)).absolute()
    with alone(path.with_name(f".{path.name}.lock"), str(location), "preprocess", "give another --store"):
        return _preprocess(config, root, location, workers, scheduler, allow_failures=allow_failures)


def _preprocess(
    config: Config, root: Path, location: Location, workers: int, scheduler: str | None, *, allow_failures: bool
) -> tuple[Store, StepResult]:
    name = dataset_name(root)
    config = with_names(config, name)
    recordings, skipped = find_recordings(root.absolute(), config.dataset)  # workers may have another working directory
    for line in counted((item.path, f"{item.reason}; skipped") for item in skipped):
        logger.warning("%s", line)
    params = {**flatten(config.data, "data."), **flatten(config.dataset, "dataset."), "dataset.root": str(root)}

    def build() -> Built:
        with progress_display(visible=sys.stderr.isatty()) as display:
            task = display.add_task("preprocessing", total=len(recordings), status="")

            def show(outcome: Outcome) -> None:
                display.update(task, advance=1, status=outcome.name)

            return build_store(recordings, location, config.data, name=name, split=config.split, workers=workers,
                               scheduler=scheduler, on_recording=show)  # fmt: skip

    # Digests of the source files show whether anything must be done; only then a run is opened.
    code = preprocessing_code(config.dataset.name)
    key = step_key("preprocess", code, config.data.model_dump(mode="json"), _inputs(recordings))
    run = finished_run(key)
    built = build() if run and location.metadata() else None
    if run and built and len(built.kept) == len(built.store.recordings):
        say_skipped("preprocess", run.info.run_id)
        say_left_out(built, allow_failures=allow_failures)
        return built.store, StepResult(run.info.run_id, skipped=True)
    with tracked_run("preprocess", experiment=config.run.experiment, name=f"preprocess · {name}", params=params,
                     tags={"dataset": name}) as log:  # fmt: skip
        built = built or build()
        store = built.store
        log.tags({STEP_KEY: key, DATA_DIGEST: store.digest})
        log.params({"data.digest": store.digest, "data.store": str(location)})
        log.metrics({"data/recordings": len(store.recordings), "data/kept": len(built.kept),
                     "data/failed": len(built.failures)})  # fmt: skip
        log.table(recordings_table(store), "recordings.json")
        log.table(pd.DataFrame({"path": [str(s.path) for s in skipped], "reason": [s.reason for s in skipped]}),
                  "skipped.json")  # fmt: skip
        log.table(pd.DataFrame({"recording": list(built.failures), "reason": list(built.failures.values())}),
                  "failures.json")  # fmt: skip
        with progress_display(visible=sys.stderr.isatty()) as display:
            task = display.add_task("drawing", total=len(store.recordings), status="")
            log_quality(log, store, on_page=lambda: display.update(task, advance=1))
        log.describe(
            paragraphs(
                f"A store of {name}: {len(store.recordings)} recordings of {len(store.subjects)} subjects: "
                f"{len(store.signal.channels)} channels, volumes of {' × '.join(map(str, store.signal.grid))} voxels, "
                f"TR {store.signal.tr:g} s. {len(built.failures)} recordings cannot be used (`failures.json`).",
                picture(log.run_id, "quality/overview.png", "quality of every recording"),
            )
        )
        logger.info("store %s: %d recordings, digest %s", location, len(store.recordings), store.digest[:12])
    say_left_out(built, allow_failures=allow_failures)
    return store, StepResult(log.run_id, skipped=False)


def say_skipped(step: str, run_id: str) -> None:
    """Log that a step is not repeated, and the run that did it."""
    logger.info("%s: skipped, run %s finished it with the same inputs, settings and code", step, run_id)


def _inputs(recordings: list[Recording]) -> list[list[str]]:
    """Return the rules, and name, size and time of every source file; the store itself checks their content."""
    return [[r.name, json.dumps(r.rules), *map(stamp, r.files)] for r in recordings]


def stamp(path: Path) -> str:
    """Return name, size and time of a file."""
    if not path.exists():
        return f"{path.name}:missing"
    return f"{path.name}:{path.stat().st_size}:{path.stat().st_mtime_ns}"
