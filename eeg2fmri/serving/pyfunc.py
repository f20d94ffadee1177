"""The MLflow model: requests in; replies, or clear refusals, out."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, cast

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import BaseModel, Field, SkipValidation

from eeg2fmri.config import ServingConfig, parse
from eeg2fmri.devices import return_freed_memory
from eeg2fmri.errors import Eeg2FmriError, one_line
from eeg2fmri.serving.bundle import load_bundle
from eeg2fmri.serving.requests import answer

SERVER = "mlflow.pyfunc.scoring_server.app"  # the program of `mlflow models serve`, in an image too


class Refusal(MlflowException):
    """A refusal whose message stays short: otherwise MLflow's server puts the whole request before it."""

    @property
    def message(self) -> str:
        """Return the reason, as it was first given."""
        return self._reason

    @message.setter
    def message(self, value: str) -> None:
        if not hasattr(self, "_reason"):
            self._reason = value


class EegRecord(BaseModel, extra="allow"):
    """Names and types of a record's fields, for MLflow to show; `requests` explains them.

    MLflow checks nothing with it, because its refusals repeat the whole request; `answer` does the checks.
    """

    eeg_npy: SkipValidation[str | None] = None
    eeg: SkipValidation[list[list[float]] | None] = None
    sampling_rate: SkipValidation[float | None] = None
    channels: SkipValidation[list[str] | None] = None
    windows_npy: SkipValidation[str | None] = None
    windows: SkipValidation[list[list[list[float]]] | None] = None
    labels_npy: SkipValidation[str | None] = None


class VolumesRecord(BaseModel):
    """Reply to one record; the option `reply` decides which form the volumes have."""

    shape: list[int] = Field(description="of the volumes: n, x, y, z")
    affine: list[list[float]] = Field(description="4 × 4, from voxels to mm")
    tr: float = Field(description="from volume to volume (s)")
    start_time: float = Field(description="of the first volume, counted from the first sample of the EEG (s)")
    interpolated: list[str] = Field(description="channels that were missing")
    volumes_npy: str | None = Field(default=None, description="base64 of a .npy file, scanner intensity")
    volumes_npz: str | None = Field(default=None, description="base64 of a .npz file, array `volumes`")
    volumes_nii_gz: str | None = Field(default=None, description="base64 of a .nii.gz file")
    volumes: list[list[list[list[float]]]] | None = Field(default=None, description="n × x × y × z")
    courses: list[list[float]] | None = Field(default=None, description="mean of each region in the brain, n × regions")
    regions: list[int] | None = Field(default=None, description="labels of the regions")


class SynthesiserModel(PythonModel):
    """Answers records of EEG with volumes; see `requests` for fields and options.

    One object serves all threads: `predict` changes nothing.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle and the limits (MLflow's `model_config`), once, when the server starts."""
        if SERVER in sys.modules:  # the process of `mlflow models serve` never trains
            return_freed_memory()
        self.bundle = load_bundle(Path(context.artifacts["bundle"]))
        self.limits = parse(ServingConfig, dict(context.model_config or {}), "model_config")

    def predict(  # type: ignore[override]  # MLflow reads this signature as the request's schema
        self, model_input: list[EegRecord], params: dict[str, Any] | None = None
    ) -> list[VolumesRecord]:
        """Answer every record, with the options `params`; MLflow fills in those that are not given."""
        try:
            sent = [{name: value for name, value in r if name in r.model_fields_set} for r in model_input]
            # Plain dictionaries: the server writes them as JSON with the fields that are there.
            return cast(list[VolumesRecord], answer(self.bundle, sent, params, self.limits))
        except Eeg2FmriError as err:
            raise Refusal(one_line(err), error_code=INVALID_PARAMETER_VALUE) from None
        except Exception as err:
            logging.getLogger(__name__).exception("prediction failed")
            raise Refusal(f"internal error: {type(err).__name__}", error_code=INTERNAL_ERROR) from None
