"""Datasets on disk: recordings of simultaneous EEG and BOLD, their files and their common clock."""

from eeg2fmri.datasets.adapter import Adapter, Source
from eeg2fmri.datasets.alignment import align, check_breaks, covered
from eeg2fmri.datasets.amplitudes import likely_mistake
from eeg2fmri.datasets.atlas import read_atlas, region_names
from eeg2fmri.datasets.bold import load_bold, load_mask, read_bold_header
from eeg2fmri.datasets.bold_run import Bold, BoldHeader
from eeg2fmri.datasets.channels import common_channels, foreign_channels
from eeg2fmri.datasets.cleaned import CleanParts, open_clean_eeg, read_clean_eeg
from eeg2fmri.datasets.confounds import framewise_displacement
from eeg2fmri.datasets.eeg import RawEeg, open_eeg, open_eeg_file
from eeg2fmri.datasets.files import check_fetched
from eeg2fmri.datasets.find import find_eeg, find_recordings, list_recordings
from eeg2fmri.datasets.mne_raw import remove_gradient, remove_pulse
from eeg2fmri.datasets.orientation import voxel_sizes
from eeg2fmri.datasets.overview import Overview, survey
from eeg2fmri.datasets.participants import read_labels
from eeg2fmri.datasets.recording import AUTO, Alignment, Recording, Skipped
from eeg2fmri.datasets.regressors import Regressors, read_regressors
from eeg2fmri.datasets.units import microvolts
from eeg2fmri.datasets.usable import usable_windows
from eeg2fmri.datasets.volume_markers import first_volume_marker

__all__ = [
    "AUTO",
    "Adapter",
    "Alignment",
    "Bold",
    "BoldHeader",
    "CleanParts",
    "Overview",
    "RawEeg",
    "Recording",
    "Regressors",
    "Skipped",
    "Source",
    "align",
    "check_breaks",
    "check_fetched",
    "common_channels",
    "covered",
    "find_eeg",
    "find_recordings",
    "first_volume_marker",
    "foreign_channels",
    "framewise_displacement",
    "likely_mistake",
    "list_recordings",
    "load_bold",
    "load_mask",
    "microvolts",
    "open_clean_eeg",
    "open_eeg",
    "open_eeg_file",
    "read_atlas",
    "read_bold_header",
    "read_clean_eeg",
    "read_labels",
    "read_regressors",
    "region_names",
    "remove_gradient",
    "remove_pulse",
    "survey",
    "usable_windows",
    "voxel_sizes",
]
