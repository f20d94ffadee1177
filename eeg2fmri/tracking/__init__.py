"""MLflow: the one door to runs, logged models, the registry and its gate."""

from eeg2fmri.tracking.gate import Scores, check_gate
from eeg2fmri.tracking.notes import describe_experiment, describe_model, describe_version
from eeg2fmri.tracking.registry import load_model, log_bundle, promote, resolve_version, version_scores
from eeg2fmri.tracking.runs import RunLog, finished_run, tracked_run

__all__ = [
    "RunLog",
    "Scores",
    "check_gate",
    "describe_experiment",
    "describe_model",
    "describe_version",
    "finished_run",
    "load_model",
    "log_bundle",
    "promote",
    "resolve_version",
    "tracked_run",
    "version_scores",
]
