"""EEG of a recording as the spectrogram takes it: the wanted channels, cleaned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets.eeg import RawEeg, wanted_channels
from eeg2fmri.errors import Eeg2FmriError
from eeg2fmri.signals import CleanEeg, clean_eeg


def read_clean_eeg(
    raw: RawEeg, channel_types: tuple[str, ...], markers: np.ndarray, tr: float, config: CleaningConfig
) -> CleanEeg:
    """Read the channels of the wanted types and clean them.

    The ECG that `pulse` needs is read whether or not it is wanted.

    Parameters
    ----------
    raw : the EEG, opened.
    channel_types : types kept, in lower case, e.g. ``("eeg", "ecg")``.
    markers : samples of the onsets of the volumes (see `volume_onsets`).
    tr : seconds between volumes.
    config : what is done.

    Raises
    ------
    DatasetError, AlignmentError, ConfigError
        If the file cannot be read or cleaned, or holds none of the wanted channels.
    """
    kept = wanted_channels(raw, channel_types)
    ecg = [index for index, kind in enumerate(raw.types) if kind == "ecg"] if config.pulse else []
    needed = sorted({*kept, *ecg})

    def read(picks: list[int], start: int = 0, stop: int | None = None) -> np.ndarray:
        return raw.read([needed[pick] for pick in picks], start, stop)

    try:
        eeg = clean_eeg(
            read, raw.n_samples, raw.sampling_rate, [raw.channels[index] for index in needed],
            [raw.types[index] for index in needed], raw.bads, markers, tr, config,
        )  # fmt: skip
    except Eeg2FmriError as err:
        message = str(err)
        raise type(err)(message if message.startswith(str(raw.path)) else f"{raw.path}: {message}") from err
    if needed == kept:
        return eeg
    rows = [row for row, index in enumerate(needed) if index in kept]
    return replace(
        eeg,
        data=eeg.data[rows],
        channels=tuple(eeg.channels[row] for row in rows),
        types=tuple(eeg.types[row] for row in rows),
        spectrum_before=eeg.spectrum_before[rows],
        spectrum_after=eeg.spectrum_after[rows],
    )
