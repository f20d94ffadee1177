"""Models in MLflow: logging and registering bundles, and loading them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

import eeg2fmri
from eeg2fmri.config import ServingConfig, family_path
from eeg2fmri.devices import DEVICE_VARIABLE
from eeg2fmri.errors import Eeg2FmriError, ModelError, one_line
from eeg2fmri.families import family_of
from eeg2fmri.server import TRACKED_SCHEMES, check_place
from eeg2fmri.serving import Bundle, save_bundle
from eeg2fmri.serving.arrays import encode
from eeg2fmri.serving.requests import Options
from eeg2fmri.tracking.database import open_tracking
from eeg2fmri.tracking.notes import describe_model
from eeg2fmri.tracking.runs import STEP_KEY

# Packages that every served model imports; a family adds its own.
SERVING_PACKAGES = ("isal", "mlflow", "mne", "nibabel", "numpy", "scipy", "pandas", "psutil", "pydantic", "pyyaml")
DATASET_TAG = "eeg2fmri.dataset"  # of a registered model: by it this package's are known


def log_bundle(
    bundle: Bundle,
    register_as: str,
    *,
    dataset: str | None,
    example: np.ndarray,
    metadata_: dict[str, Any],
    step: int = 0,
    key: str = "",
    tags: Mapping[str, str] = MappingProxyType({}),
) -> ModelVersion:
    """Log a model in the active run and register it.

    Parameters
    ----------
    bundle : the model and its settings.
    register_as : name in the registry.
    dataset : name of the data set; ``None`` for a subject's version, so that commands do not choose it on their own.
    example : (C, F, T), an EEG window for the input example.
    metadata_ : facts stored with the model.
    step : the epoch of the model; MLflow shows the run's metrics of this step as the model's own.
    key : of the step that makes it, for `version_of_step`; the version has it from its first moment on.
    tags : of the version.

    Returns
    -------
    The new version.
    """
    uri = log_unregistered(bundle, example=example, metadata_=metadata_, step=step)
    return register(uri, register_as, dataset=dataset, key=key, tags=tags)


def register(
    model_uri: str,
    register_as: str,
    *,
    dataset: str | None,
    key: str = "",
    tags: Mapping[str, str] = MappingProxyType({}),
) -> ModelVersion:
    """Make a version of a model that `log_unregistered` has logged; parameters as `log_bundle`."""
    made = mlflow.register_model(model_uri, register_as, tags={**tags, **({STEP_KEY: key} if key else {})})
    describe_model(register_as)
    if dataset is not None:
        mlflow.MlflowClient().set_registered_model_tag(register_as, DATASET_TAG, dataset)
    return mlflow.MlflowClient().get_model_version(register_as, str(made.version))


def version_of_step(name: str, key: str) -> ModelVersion | None:
    """Return the newest version of a registered model that a step with this key has made."""
    found = mlflow.MlflowClient().search_model_versions(f"name = '{name}' and tags.`{STEP_KEY}` = '{key}'")
    return max(found, key=lambda version: int(version.version), default=None)


def subject_model(name: str, subject: str) -> str:
    """Return the registered model that holds a subject's versions of the model `name`."""
    return f"{name}-{subject}"


def log_unregistered(bundle: Bundle, *, example: np.ndarray, metadata_: dict[str, Any], step: int = 0) -> str:
    """Do as `log_bundle`, but the registry learns nothing of the model; gives its address, ``models:/m-…``."""
    return str(_log(bundle, example, metadata=metadata_, step=step).model_uri)


def _log(bundle: Bundle, example: np.ndarray, **options: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return mlflow.pyfunc.log_model(
            name=bundle.model.config.variant, **options, **pyfunc_model(bundle, Path(folder), example)
        )


def pyfunc_model(bundle: Bundle, folder: Path, example: np.ndarray) -> dict[str, Any]:
    """Write a bundle into an empty folder; return MLflow's arguments to log or save it with all code that it needs."""
    config = bundle.model.config
    save_bundle(folder, bundle)
    return {
        "python_model": str(Path(eeg2fmri.__file__).parent / "serving" / "model_code.py"),
        "artifacts": {"bundle": str(folder)},
        "code_paths": [str(path) for path in _code(config.family)],
        "pip_requirements": [_pinned(name) for name in (*SERVING_PACKAGES, *family_of(config).packages)],
        "input_example": ([{"windows_npy": encode(example)}], Options().model_dump()),
        "model_config": ServingConfig().model_dump(),
    }


def _code(family: str) -> list[Path]:
    """Return folders of the packages that a family needs: its own, which may be a single file, beside this one."""
    found = {}
    for name in ("eeg2fmri", family_path(family).partition(":")[0].partition(".")[0]):
        module = sys.modules[name]
        found[name] = Path(module.__path__[0] if hasattr(module, "__path__") else str(module.__file__))
    return list(found.values())


def _pinned(package: str) -> str:
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError as err:
        raise ModelError(f"package {package} of the family's `packages` is not installed; correct them") from err


def load_model(model_uri: str, device: str = "auto") -> tuple[Bundle, ModelVersion | None]:
    """Load a logged model, and its registered version if `model_uri` names one.

    Parameters
    ----------
    model_uri : its address in MLflow, for instance ``models:/eeg2fmri@champion``.
    device : ``"auto"`` uses ``EEG2FMRI_DEVICE``; another value replaces it in this process.

    Raises
    ------
    ModelError
        If there is no such model, version or alias, or it is not one of this package's.
    """
    if device != "auto":
        os.environ[DEVICE_VARIABLE] = device
    if model_uri.partition(":")[0] in TRACKED_SCHEMES:
        open_tracking()
    check_place(model_uri, ModelError)
    version = resolve_version(model_uri) if model_uri.startswith("models:/") else None
    source = f"models:/{version.name}/{version.version}" if version else model_uri
    try:
        loaded: Any = mlflow.pyfunc.load_model(source).unwrap_python_model()
    except Eeg2FmriError:
        raise
    except Exception as err:  # MLflow and the drivers of other places raise many kinds
        raise ModelError(f"{model_uri}: no such model ({one_line(err)})") from err
    if not isinstance(getattr(loaded, "bundle", None), Bundle):
        raise ModelError(f"{model_uri}: not a model of eeg2fmri; give a model that `train` has registered")
    return loaded.bundle, version


def logged_model_id(model_uri: str) -> str | None:
    """Return the logged model behind an address; MLflow attaches a model's metrics to it."""
    return mlflow.models.get_model_info(model_uri).model_id


def resolve_version(model_uri: str) -> ModelVersion | None:
    """Return the version behind ``models:/NAME/VERSION``, ``models:/NAME/latest`` or ``models:/NAME@ALIAS``.

    ``None`` for ``models:/m-…``, a logged model that need not be registered.
    """
    open_tracking()
    client = mlflow.MlflowClient()
    target = model_uri.removeprefix("models:/")
    if target.startswith("m-") and "/" not in target and "@" not in target:
        return None
    try:
        if "@" in target:
            name, alias = target.split("@", 1)
            return client.get_model_version_by_alias(name, alias)
        name, _, number = target.partition("/")
        if number in ("", "latest"):
            return latest_version(name)
        return client.get_model_version(name, number)
    except MlflowException as err:
        raise ModelError(f"{model_uri}: {one_line(err)}; list the models with: mlflow ui") from err


def only_model(option: str) -> str:
    """Name of the only registered model that this package made; models of others in the registry do not count.

    Parameters
    ----------
    option : what to give where there are several, e.g. ``--name NAME``.

    Raises
    ------
    ModelError
        If there is none, or there are several.
    """
    open_tracking()
    names = sorted(model.name for model in mlflow.search_registered_models() if DATASET_TAG in model.tags)
    if not names:
        raise ModelError(f"no registered model of eeg2fmri; train one with: eeg2fmri train, or give {option}")
    if len(names) > 1:
        raise ModelError(f"{len(names)} registered models ({', '.join(names)}); give {option}")
    return names[0]


def experiment_of(name: str, version: str | None) -> str:
    """Name of the experiment in which a version was trained; ``None`` for the newest one."""
    found = resolve_version(f"models:/{name}/{version or 'latest'}")
    assert found is not None  # a NAME/VERSION address always names a registered version
    try:
        run = mlflow.get_run(found.run_id or "")
    except MlflowException:  # it is deleted for good
        return name
    return str(mlflow.get_experiment(run.info.experiment_id).name)


def latest_version(name: str) -> ModelVersion:
    """Return the newest version of a registered model."""
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
    if not versions:
        raise ModelError(f"no registered model {name!r}; train one with: eeg2fmri train --register-as {name}")
    return max(versions, key=lambda v: int(v.version))


def model_exists(model_uri: str) -> bool:
    """Say whether a registered version, or a logged model, is still there."""
    try:
        mlflow.models.get_model_info(model_uri)
    except (MlflowException, OSError):
        return False
    return True


def champion(name: str, alias: str) -> ModelVersion | None:
    """Return the version that carries the alias, or ``None``."""
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    except MlflowException as err:
        if err.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
