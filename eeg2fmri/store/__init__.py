"""The preprocessed store: spectrograms and volumes on disk, the windows on it, and splits by subject."""

from eeg2fmri.store.build import build_store
from eeg2fmri.store.splits import Split, split_subjects
from eeg2fmri.store.store import Store, StoredRecording, check_digest, open_store, recordings_digest
from eeg2fmri.store.windows import Windows

__all__ = [
    "Split",
    "Store",
    "StoredRecording",
    "Windows",
    "build_store",
    "check_digest",
    "open_store",
    "recordings_digest",
    "split_subjects",
]
