"""MLflow runs: how to open, fill and find them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import mlflow
import mlflow.data.numpy_dataset

import eeg2fmri
from eeg2fmri.provenance import code_digest, package_versions
from eeg2fmri.server import check_server
from eeg2fmri.tracking.notes import NOTE_TAG, describe_experiment

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow.data.dataset import Dataset
    from mlflow.entities import Run

# MLflow hides tags with a name that starts with `mlflow.`, so long digests go there.
STEP_KEY = "mlflow.eeg2fmri.step_key"
DATA_DIGEST = "mlflow.eeg2fmri.data_digest"
PREPROCESS_RUN = "mlflow.eeg2fmri.preprocess_run"
ENTRY_POINT = "eeg2fmri.entry_point"
PACKAGES = ("eeg2fmri", "mlflow", "keras", "tensorflow", "numpy", "scipy", "optuna", "mne", "nibabel", "zarr")
PARAMS_AT_ONCE = 100
DIGEST_LENGTH = 36


class RunLog:
    """The run of a step, and the calls that write into it."""

    def __init__(self, run_id: str, experiment_id: str = "") -> None:
        self.run_id, self.experiment_id = run_id, experiment_id

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters (dotted names, so they never meet those of `mlflow run`)."""
        items = [(key, json.dumps(v) if isinstance(v, (list, tuple)) else v) for key, v in values.items()]
        for start in range(0, len(items), PARAMS_AT_ONCE):
            mlflow.log_params(dict(items[start : start + PARAMS_AT_ONCE]))

    def metrics(
        self,
        values: Mapping[str, float],
        step: int | None = None,
        model_id: str | None = None,
        dataset: Dataset | None = None,
    ) -> None:
        """Log metrics; the part of a name before ``/`` groups them in the UI.

        With `model_id` they belong to a logged model, on `dataset`; its page and the list of models show them.
        """
        mlflow.log_metrics(dict(values), step=step, model_id=model_id, dataset=dataset)

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        mlflow.set_tags(dict(values))

    def describe(self, text: str) -> None:
        """Describe the run in Markdown, on top of its page."""
        mlflow.set_tag(NOTE_TAG, text)

    def figure(self, figure: Figure, path: str) -> None:
        """Log a figure as a PNG artifact."""
        mlflow.log_figure(figure, path)

    def file(self, content: bytes, path: str) -> None:
        """Log the content of a file as an artifact."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, PurePosixPath(path).name)
            file.write_bytes(content)
            mlflow.log_artifact(str(file), str(PurePosixPath(path).parent))

    def image(self, figure: Figure, key: str, step: int) -> None:
        """Log a figure as the image of an epoch; the UI shows one panel per key with a step slider."""
        from eeg2fmri.plotting import figure_to_rgb

        mlflow.log_image(figure_to_rgb(figure), key=key, step=step)

    def table(self, table: pd.DataFrame, path: str) -> None:
        """Log a table that the UI shows and compares."""
        mlflow.log_table(table, path)

    def text(self, text: str, path: str) -> None:
        """Log a text artifact."""
        mlflow.log_text(text, path)

    def numbers(self, content: Mapping[str, Any], path: str) -> None:
        """Log numbers as a JSON artifact, to the bit."""
        mlflow.log_dict(dict(content), path)

    def dataset(self, digest: str, location: str, name: str, context: str, sample: Any) -> Dataset:
        """Log and return the data a step used, by the store's own digest (MLflow's own only samples the array)."""
        data = mlflow.data.numpy_dataset.from_numpy(sample, source=location, name=name, digest=digest[:DIGEST_LENGTH])
        mlflow.log_input(data, context=context)
        return data


@contextmanager
def tracked_run(
    entry_point: str,
    *,
    experiment: str,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    system_metrics: bool = False,
) -> Iterator[RunLog]:
    """Open the run of a step; an error closes it as failed, an interruption as killed.

    Within another run the new one is its child. A run that `mlflow run` has opened is adopted.
    With `system_metrics` MLflow logs processor, memory, disk and network every 10 s.

    Raises
    ------
    TrackingError
        If the tracking server does not answer.
    """
    check_server()
    nested = mlflow.active_run() is not None
    adopted = not nested and bool(os.environ.get("MLFLOW_RUN_ID"))
    if not nested and not adopted:
        describe_experiment(mlflow.set_experiment(experiment).experiment_id)
    with mlflow.start_run(run_name=None if adopted else name or entry_point, nested=nested,
                          log_system_metrics=system_metrics or None) as run:  # fmt: skip
        log = RunLog(run.info.run_id, run.info.experiment_id)
        log.tags({ENTRY_POINT: entry_point, **(tags or {})})
        if adopted:  # `mlflow run` has given it a name at random
            log.tags({"mlflow.runName": name or entry_point})
        try:
            log.params({**(params or {}), **versions()})
            yield log
        except KeyboardInterrupt:
            mlflow.end_run("KILLED")  # MLflow itself would call it failed
            raise


def finished_run(step_key: str) -> Run | None:
    """Return the newest finished run of a step with this key, in any experiment."""
    check_server()
    runs: Sequence[Run] = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.`{STEP_KEY}` = '{step_key}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    return runs[0] if runs else None


def step_key(entry_point: str, code: Sequence[str], *inputs: Any) -> str:
    """Return the key of a step: its inputs and settings, and the code that it reaches from these entries."""
    content = json.dumps([entry_point, code_digest(*code), *inputs], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return versions of Python, of the packages that shape a result and of this code, as dotted parameters."""
    found = {f"version.{package}": version for package, version in package_versions(PACKAGES).items()}
    return {"version.python": platform.python_version(), **found, "version.git_commit": git_commit()}


def git_commit() -> str:
    """Return the commit of the package's checkout, with ``-dirty`` for uncommitted changes, or unknown."""
    folder = Path(eeg2fmri.__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
