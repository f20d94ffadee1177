"""Reading EEG whole, for tests: the wanted channels, uncleaned, and the volume markers."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets import RawEeg, Recording, open_eeg, open_eeg_file, read_clean_eeg


def markers(raw: RawEeg, label: str = "R128") -> np.ndarray:
    """Samples (fractional) of the markers whose description ends with `label`."""
    return np.array([time * raw.sampling_rate for time, text in raw.events if text.rpartition("/")[2] == label])


def read_whole(raw: RawEeg, types: tuple[str, ...]) -> SimpleNamespace:
    """Channels of the wanted types: data, sampling_rate, channels, types, markers."""
    eeg = read_clean_eeg(raw, types, np.empty(0), CleaningConfig(interpolate_bads=False))
    return SimpleNamespace(
        data=eeg.data, sampling_rate=eeg.sampling_rate, channels=eeg.channels, types=eeg.types, markers=markers(raw)
    )


def load(header: Path, channels: Path | None, types: tuple[str, ...]) -> SimpleNamespace:
    """`read_whole` of a file and its channel table."""
    return read_whole(open_eeg_file(header, channels), types)


def load_recording(recording: Recording, types: tuple[str, ...]) -> SimpleNamespace:
    """`read_whole` of a recording."""
    return read_whole(open_eeg(recording), types)
