"""MLflow runs: how to open, fill and find them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import mlflow
import mlflow.data.numpy_dataset
from mlflow.entities import Experiment

import eeg2fmri
from eeg2fmri.errors import without_secrets
from eeg2fmri.processes import Owner
from eeg2fmri.provenance import code_digest, package_versions
from eeg2fmri.server import answered_elsewhere
from eeg2fmri.tracking.database import OWNER, open_tracking
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
DEFAULT = Experiment.DEFAULT_EXPERIMENT_NAME
# The run whose children are opened here, though another process may hold it, and what their names end with.
_outer: ContextVar[tuple[str, str] | None] = ContextVar("outer", default=None)


class RunLog:
    """The run of a step, and the calls that write into it."""

    def __init__(self, run_id: str, experiment_id: str = "") -> None:
        self.run_id, self.experiment_id = run_id, experiment_id

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters (dotted names, so they never meet those of `mlflow run`), without passwords."""
        texts = {key: json.dumps(v) if isinstance(v, (list, tuple)) else str(v) for key, v in values.items()}
        items = [(key, without_secrets(text)) for key, text in texts.items()]
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
        mlflow.set_tags({key: without_secrets(value) for key, value in values.items()})

    def describe(self, text: str) -> None:
        """Describe the run in Markdown, on top of its page."""
        self.tags({NOTE_TAG: text})

    def figure(self, figure: Figure, path: str) -> None:
        """Log a figure as a PNG artifact."""
        mlflow.log_figure(figure, path)

    def file(self, content: bytes, path: str) -> None:
        """Log the content of a file as an artifact."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, PurePosixPath(path).name)
            file.write_bytes(content)
            folders = PurePosixPath(path).parent.parts
            mlflow.log_artifact(str(file), "/".join(folders) or None)

    def image(self, figure: Figure, key: str, step: int) -> None:
        """Log a figure as the image of an epoch; the UI shows one panel per key with a step slider."""
        from eeg2fmri.plotting import figure_to_rgb

        mlflow.log_image(figure_to_rgb(figure), key=key, step=step)

    def table(self, table: pd.DataFrame, path: str) -> None:
        """Log a table that the UI shows and compares."""
        mlflow.log_table(table, path)

    def text(self, text: str, path: str) -> None:
        """Log a text artifact."""
        mlflow.log_text(without_secrets(text), path)

    def numbers(self, content: Mapping[str, Any], path: str) -> None:
        """Log numbers as a JSON artifact, to the bit, without passwords in their texts."""
        mlflow.log_dict(_without_secrets(content), path)

    def dataset(self, digest: str, location: str, name: str, context: str, sample: Any) -> Dataset:
        """Log and return the data a step used, by the store's own digest (MLflow's own only samples the array)."""
        with warnings.catch_warnings():  # a path is one kind of source to MLflow, registered twice
            warnings.filterwarnings("ignore", message=".*can be interpreted in multiple ways")
            data = mlflow.data.numpy_dataset.from_numpy(
                sample, source=without_secrets(location), name=name, digest=digest[:DIGEST_LENGTH]
            )
        mlflow.log_input(data, context=context)
        return data


@contextmanager
def tracked_run(
    entry_point: str,
    *,
    experiment: str | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    system_metrics: bool = False,
) -> Iterator[RunLog]:
    """Open the run of a step; an error closes it as failed, an interruption as killed.

    Within another run, or `children_of` one, the new one is its child; only other runs need an `experiment`. A run
    that `mlflow run` has opened in an experiment that somebody chose is adopted. One in MLflow's Default says where
    this one is.
    With `system_metrics` MLflow logs processor, memory, disk and network every 10 s.

    Raises
    ------
    TrackingError
        If the tracking server does not answer.
    """
    open_tracking()
    outer, ending = _outer.get() or (None, "")
    nested = bool(mlflow.active_run() or outer)
    project = None if nested else os.environ.get("MLFLOW_RUN_ID")
    adopted = project is not None and (experiment == DEFAULT or not _in_default(project))
    if not nested and not adopted:
        os.environ.pop("MLFLOW_RUN_ID", None)  # MLflow would adopt that run
        describe_experiment(mlflow.set_experiment(experiment).experiment_id)
    name = (name or entry_point) + ending
    # With the run, not after it: a kill must not leave a run without the name of its process.
    first = _without_secrets({OWNER: str(Owner.here()), ENTRY_POINT: entry_point, **(tags or {})})
    with mlflow.start_run(run_name=None if adopted else name, nested=nested, parent_run_id=outer,
                          experiment_id=mlflow.get_run(outer).info.experiment_id if outer else None, tags=first,
                          log_system_metrics=system_metrics or None) as run:  # fmt: skip
        log = RunLog(run.info.run_id, run.info.experiment_id)
        if project and not adopted:
            _point_to(log, project, name)
        if adopted:  # `mlflow run` has given it a name at random
            log.tags({"mlflow.runName": name})
        try:
            log.params({**(params or {}), **versions()})
            yield log
        except KeyboardInterrupt:
            mlflow.end_run("KILLED")  # MLflow itself would call it failed
            raise


def _without_secrets(content: Any) -> Any:
    """Return a JSON value whose texts have no passwords."""
    if isinstance(content, str):
        return without_secrets(content)
    if isinstance(content, Mapping):
        return {key: _without_secrets(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_without_secrets(value) for value in content]
    return content


def _in_default(run_id: str) -> bool:
    """Say whether a run is in the experiment that MLflow takes where nobody chooses one."""
    return bool(mlflow.get_experiment(mlflow.get_run(run_id).info.experiment_id).name == DEFAULT)


def _point_to(log: RunLog, project: str, name: str) -> None:
    """Name the run that `mlflow run` has opened after the step's own, and say in it where that is."""
    client = mlflow.MlflowClient()
    experiment = client.get_experiment(log.experiment_id).name
    link = f"[{name}](#/experiments/{log.experiment_id}/runs/{log.run_id})"
    client.set_tag(project, "mlflow.runName", name)
    client.set_tag(project, NOTE_TAG, f"`mlflow run` has opened this run; the work is in {link}, "
                                      f"experiment {experiment}.")  # fmt: skip


@contextmanager
def children_of(run_id: str, tracking_uri: str, registry_uri: str, ending: str = "") -> Iterator[None]:
    """Open runs as children of one that another process, or this one, has open.

    Parameters
    ----------
    run_id : the parent.
    tracking_uri, registry_uri : where its process keeps runs and models.
    ending : what the names of the children end with.
    """
    if mlflow.get_tracking_uri() != tracking_uri:
        mlflow.set_tracking_uri(tracking_uri)
    if mlflow.get_registry_uri() != registry_uri:
        mlflow.set_registry_uri(registry_uri)
    answered_elsewhere()  # a server that restarts when a worker begins must not end the work
    token = _outer.set((run_id, ending))
    try:
        yield
    finally:
        _outer.reset(token)


@contextmanager
def children_ended(run_id: str, stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the end, and close as killed the children of a run that other processes have left open.

    What a process that is stopped makes of its run is left to chance, so it is said again after it.
    """
    client = mlflow.MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    mine = f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'RUNNING'"
    try:
        yield
    finally:
        left = client.search_runs([experiment], mine)
        stop()
        for run in left:
            if STEP_KEY not in client.get_run(run.info.run_id).data.tags:  # it may just have finished
                client.set_terminated(run.info.run_id, "KILLED")


def finished_run(step_key: str) -> Run | None:
    """Return the newest finished run of a step with this key, in any experiment."""
    open_tracking()
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
