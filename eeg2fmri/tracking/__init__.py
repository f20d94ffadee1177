"""MLflow: all access to runs, logged models, the registry and its gate."""

from eeg2fmri.tracking.database import alone
from eeg2fmri.tracking.gate import Argument, Criterion, Evidence, argue
from eeg2fmri.tracking.notes import describe_experiment, describe_model, describe_version
from eeg2fmri.tracking.promotion import Decision, decide, promote, rollback, store_evidence, version_evidence
from eeg2fmri.tracking.registry import load_model, log_bundle, log_unregistered, register, resolve_version
from eeg2fmri.tracking.runs import RunLog, children_ended, children_of, finished_run, tracked_run

__all__ = [
    "Argument",
    "Criterion",
    "Decision",
    "Evidence",
    "RunLog",
    "alone",
    "argue",
    "children_ended",
    "children_of",
    "decide",
    "describe_experiment",
    "describe_model",
    "describe_version",
    "finished_run",
    "load_model",
    "log_bundle",
    "log_unregistered",
    "promote",
    "register",
    "resolve_version",
    "rollback",
    "store_evidence",
    "tracked_run",
    "version_evidence",
]
