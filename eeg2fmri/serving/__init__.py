"""Serving: the saved form of a model, its servers and their client, and synthesis from an EEG file."""

from eeg2fmri.serving.bundle import Bundle, load_bundle, save_bundle
from eeg2fmri.serving.client import Client, Synthesised
from eeg2fmri.serving.files import (
    check_image_name,
    read_windows,
    synthesise_file,
    synthesise_recording,
    synthesise_samples,
)
from eeg2fmri.serving.replies import region_courses

__all__ = [
    "Bundle",
    "Client",
    "Synthesised",
    "check_image_name",
    "load_bundle",
    "read_windows",
    "region_courses",
    "save_bundle",
    "synthesise_file",
    "synthesise_recording",
    "synthesise_samples",
]
