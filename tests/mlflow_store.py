"""A tracking database per test, and a store and a model in memory to put into it.

MLflow takes seconds to create its tables: they are made once a session and copied from then on.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

import mlflow
import pytest

from eeg2fmri.config import Config, DataConfig, LinearConfig
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Store, Windows
from eeg2fmri.tracking import Evidence
from tests.fakes import CONTEXT, SIGNAL, recording

SETTINGS = DataConfig(context=CONTEXT).model_dump(mode="json")
LINEAR = {"family": "linear", "components": 4}


@functools.cache
def _template() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="eeg2fmri-mlflow-")
    mlflow.MlflowClient(f"sqlite:///{folder.name}/mlflow.db").search_experiments()
    return folder


def use_tracking(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make `folder` the working directory with an empty tracking database of its own; returns its address."""
    shutil.copy(Path(_template().name) / "mlflow.db", folder / "mlflow.db")
    uri = f"sqlite:///{folder}/mlflow.db"
    monkeypatch.chdir(folder)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


def memory_store(subjects: int = 6, *, coupling: float = 1.0, windows: int = 40, digest: str = "d" * 64) -> Store:
    """A store that lies in memory; the last subject has a second, shorter recording."""
    recordings = [recording(f"sub-{n:02d}", n, windows=windows, coupling=coupling) for n in range(1, subjects + 1)]
    last = recording(f"sub-{subjects:02d}", 50, windows=windows - 9, coupling=coupling, run=2)
    return Store(Path("memory"), digest, SETTINGS, SIGNAL, (*recordings, last), name="memory")


def linear_bundle(seed: int = 0) -> Bundle:
    """A linear model that was fitted on four subjects."""
    recordings = [recording(f"sub-0{n}", seed + n) for n in (1, 2, 3, 4)]
    train, validation = Windows(recordings[:3], CONTEXT), Windows(recordings[3:], CONTEXT)
    config = Config.model_validate({"models": [LINEAR]}).models[0]
    assert isinstance(config, LinearConfig)
    model = fit(config, train, validation, FitSettings()).model
    provenance = {"data_digest": "d" * 64, "recordings": {"train": [], "validation": []}}
    return Bundle(model, SIGNAL, SETTINGS, provenance)


def evidence(version: str, score: float = 0.05, shuffled: float = -0.01, **changes: object) -> Evidence:
    """What `evaluate` would have found of a version."""
    overall = {"model": {"r2_temporal": score, "skill": 0.1}, "mean_volume": {"r2_temporal": 0.0, "skill": 0.0},
               "shuffled": {"r2_temporal": shuffled, "skill": -0.1}}  # fmt: skip
    facts = {
        "p_value": 0.001,
        "smallest_p": 0.0005,
        "subjects": 2,
        "data_digest": "d" * 64,
        "scoring": "s",
        "space": "x" * 64,
    }
    return Evidence(version, overall, **(facts | changes))
