"""Datasets on disk: recordings of simultaneous EEG and BOLD, how they are read, and their common clock."""

from eeg2fmri.datasets.adapter import Adapter, Source
from eeg2fmri.datasets.alignment import Alignment, align, volume_markers, volume_onsets
from eeg2fmri.datasets.bold import Bold, BoldHeader, load_bold, load_mask, read_bold_header
from eeg2fmri.datasets.channels import common_channels
from eeg2fmri.datasets.cleaned import read_clean_eeg
from eeg2fmri.datasets.eeg import Eeg, RawEeg, load_eeg, open_eeg, open_eeg_file, read_eeg
from eeg2fmri.datasets.files import check_fetched
from eeg2fmri.datasets.find import find_recordings, list_recordings
from eeg2fmri.datasets.orientation import voxel_sizes
from eeg2fmri.datasets.overview import Overview, survey
from eeg2fmri.datasets.recording import VOLUME_MARKER, Recording, Skipped

__all__ = [
    "VOLUME_MARKER",
    "Adapter",
    "Alignment",
    "Bold",
    "BoldHeader",
    "Eeg",
    "Overview",
    "RawEeg",
    "Recording",
    "Skipped",
    "Source",
    "align",
    "check_fetched",
    "common_channels",
    "find_recordings",
    "list_recordings",
    "load_bold",
    "load_eeg",
    "load_mask",
    "open_eeg",
    "open_eeg_file",
    "read_bold_header",
    "read_clean_eeg",
    "read_eeg",
    "survey",
    "volume_markers",
    "volume_onsets",
    "voxel_sizes",
]
