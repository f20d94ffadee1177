"""Serving: the saved form of a model, its servers and their client, synthesis from EEG files and streams."""

from eeg2fmri.serving.bundle import Bundle, load_bundle, save_bundle
from eeg2fmri.serving.client import Client, Synthesised
from eeg2fmri.serving.dataset import Done, Item, items_of_files, items_of_root, synthesise_dataset
from eeg2fmri.serving.files import check_interval, synthesise_recording, synthesise_samples
from eeg2fmri.serving.live import LiveSynthesis, LiveVolume
from eeg2fmri.serving.recording import EegFile, open_recording
from eeg2fmri.serving.replies import region_courses
from eeg2fmri.serving.series import Courses, atlas_label, check_place, interval_path, synthesise_file, write_interval
from eeg2fmri.serving.stream import check_receivers, synthesise_stream
from eeg2fmri.serving.workers import loaded, shared

__all__ = [
    "Bundle",
    "Client",
    "Courses",
    "Done",
    "EegFile",
    "Item",
    "LiveSynthesis",
    "LiveVolume",
    "Synthesised",
    "atlas_label",
    "check_interval",
    "check_place",
    "check_receivers",
    "interval_path",
    "items_of_files",
    "items_of_root",
    "load_bundle",
    "loaded",
    "open_recording",
    "region_courses",
    "save_bundle",
    "shared",
    "synthesise_dataset",
    "synthesise_file",
    "synthesise_recording",
    "synthesise_samples",
    "synthesise_stream",
    "write_interval",
]
