"""Check of a recording from headers and markers, before anything is read."""

from __future__ import annotations

import numpy as np

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets.alignment import covered
from eeg2fmri.datasets.bold_run import BoldHeader
from eeg2fmri.datasets.cleaned import check_eeg
from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.recording import Alignment, Recording
from eeg2fmri.errors import AlignmentError, ConfigError, DatasetError
from eeg2fmri.signals import check_positions, frequencies


def check_recording(raw: RawEeg, found: Alignment, config: DataConfig) -> float:
    """Refuse EEG with channels or markers that do not allow the settings.

    Parameters
    ----------
    raw, found : the EEG, opened; the place of the BOLD run in it.
    config : settings for the preparation of recordings.

    Returns
    -------
    Sampling rate (Hz) of the cleaned EEG.

    Raises
    ------
    DatasetError, AlignmentError, ConfigError
        If these settings cannot clean it, or it holds none of the wanted channels.
    """
    rate, names = check_eeg(raw, config.channel_types, found.onsets, config.cleaning)
    if config.current_source_density:
        try:
            check_positions(names)
        except DatasetError as err:
            raise DatasetError(f"{raw.path}: {err}") from err
    return rate


def usable_windows(
    raw: RawEeg, recording: Recording, header: BoldHeader, found: Alignment, config: DataConfig
) -> np.ndarray:
    """Return the EEG windows of a recording that can be part of a context.

    Parameters
    ----------
    raw, recording : the EEG, opened; its files.
    header, found : of the BOLD file; the place of its run in the EEG.
    config : how recordings are prepared.

    Returns
    -------
    (volumes - dropped - 1,) bool; false for a window that is not inside the EEG or touches a gap.

    Raises
    ------
    DatasetError, AlignmentError, ConfigError
        If the recording is refused by `check_recording`, is too short or sampled too slowly for the settings,
        or has no volume with a whole context.
    """
    rate = check_recording(raw, found, config)
    needed = config.dropped_volumes + config.context + 1
    if header.n_volumes < needed:
        raise DatasetError(
            f"{recording.bold_path}: {header.n_volumes} volumes, at least {needed} are needed "
            f"(dropped {config.dropped_volumes} + context {config.context} + 1); shorten data.context or leave the "
            f"recording out"
        )
    try:
        frequencies(rate, header.tr, config.frequencies)
    except ConfigError as err:
        raise ConfigError(f"{raw.path}: {err}") from err
    windows = covered(raw, found, header.n_volumes)[config.dropped_volumes : -1]
    whole = np.convolve(windows, np.ones(config.context, int), "valid") == config.context
    if not whole.any():
        raise AlignmentError(
            f"{raw.path}: no volume has {config.context} EEG windows before it ({windows.sum()} of {len(windows)} "
            f"windows have EEG); shorten data.context or leave the recording out"
        )
    return windows
