"""The preprocessed store: spectrograms and volumes on disk, the windows on it, and splits by subject."""

from eeg2fmri.store.build import Built, build_store, say_left_out
from eeg2fmri.store.folds import folds_content, make_folds, read_folds
from eeg2fmri.store.info import describe, recordings_table, summary
from eeg2fmri.store.location import Location
from eeg2fmri.store.parts import divided
from eeg2fmri.store.prepare import Prepared, prepare
from eeg2fmri.store.splits import Split, settled, split_store, split_subjects
from eeg2fmri.store.store import Store, StoredRecording, check_digest, open_store, recordings_digest
from eeg2fmri.store.study import SIMULATED, dataset_name, named, with_names
from eeg2fmri.store.windows import Windows, split_windows
from eeg2fmri.store.write import Outcome

__all__ = [
    "SIMULATED",
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
    "dataset_name",
    "describe",
    "divided",
    "folds_content",
    "make_folds",
    "named",
    "open_store",
    "prepare",
    "read_folds",
    "recordings_digest",
    "recordings_table",
    "say_left_out",
    "settled",
    "split_store",
    "split_subjects",
    "split_windows",
    "summary",
    "with_names",
]
