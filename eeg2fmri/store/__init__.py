"""The preprocessed store: spectrograms and volumes on disk, the windows on it, and splits by subject."""

from eeg2fmri.store.build import Built, build_store, say_left_out
from eeg2fmri.store.folds import folds_content, make_folds, read_folds
from eeg2fmri.store.info import describe, recordings_table, summary
from eeg2fmri.store.location import Location
from eeg2fmri.store.prepare import Prepared, prepare
from eeg2fmri.store.splits import Split, split_store, split_subjects
from eeg2fmri.store.store import Store, StoredRecording, check_digest, open_store, recordings_digest
from eeg2fmri.store.windows import Windows, split_windows
from eeg2fmri.store.write import Outcome

__all__ = [
    "Built",
    "Location",
    "Outcome",
    "Prepared",
    "Split",
    "Store",
    "StoredRecording",
    "Windows",
    "build_store",
    "check_digest",
    "describe",
    "folds_content",
    "make_folds",
    "open_store",
    "prepare",
    "read_folds",
    "recordings_digest",
    "recordings_table",
    "say_left_out",
    "split_store",
    "split_subjects",
    "split_windows",
    "summary",
]
