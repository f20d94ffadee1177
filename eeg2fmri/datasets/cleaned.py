"""EEG of a recording, ready for the spectrogram: the wanted channels, cleaned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets.amplitudes import Amplitudes
from eeg2fmri.datasets.eeg import RawEeg, wanted_channels
from eeg2fmri.errors import DatasetError, Eeg2FmriError
from eeg2fmri.signals import CleanedParts, CleanEeg, Marks, check_cleaning, clean_eeg

R_PEAK = "Pulse Artifact/R"  # as BrainVision Analyzer marks heart beats


def read_clean_eeg(
    raw: RawEeg, channel_types: tuple[str, ...], volumes: np.ndarray, config: CleaningConfig
) -> CleanEeg:
    """Read the channels of the wanted types and clean them.

    `pulse` uses the R peaks that the file marks (``Pulse Artifact/R``). If the file marks none, it uses those of the
    ECG, which is then read even if it is not wanted.

    Parameters
    ----------
    raw : the EEG, opened.
    channel_types : types kept, in lower case, e.g. ``("eeg", "ecg")``.
    volumes : samples at which the scanner starts each volume (`Alignment.onsets`).
    config : the cleaning steps and their settings.

    Raises
    ------
    DatasetError, AlignmentError, ConfigError
        If the file cannot be read or cleaned, holds none of the wanted channels, or is not in µV.
    """
    kept = wanted_channels(raw, channel_types)
    amplitudes = Amplitudes(raw, kept)
    needed = _needed(raw, kept, config)

    def read(picks: list[int]) -> np.ndarray:
        channels = [needed[pick] for pick in picks]
        data = raw.read(channels)
        amplitudes.measure(channels, data)
        return data

    with _errors_of(raw):
        eeg = clean_eeg(
            read, raw.n_samples, raw.sampling_rate, [raw.channels[index] for index in needed],
            [raw.types[index] for index in needed], raw.bads, _marks(raw, volumes), config,
        )  # fmt: skip
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


@dataclass(frozen=True)
class CleanParts:
    """Cleaned EEG of a recording that is read part by part.

    sampling_rate: Hz.  channels: (C,) names.  factor: sample s of the file is ``s / factor`` here.  n_samples: m.
    read: gives samples (start, stop), (C, stop - start) float32 in µV; `DatasetError` if the file cannot be read.
    """

    sampling_rate: float
    channels: tuple[str, ...]
    factor: float
    n_samples: int
    read: Callable[[int, int], np.ndarray]


def open_clean_eeg(
    raw: RawEeg, channel_types: tuple[str, ...], volumes: np.ndarray, config: CleaningConfig
) -> CleanParts:
    """Open the EEG that `read_clean_eeg` reads; its parts are equal to those of the whole.

    A part is read and cleaned when it is asked for. Parameters and errors are those of `read_clean_eeg`.
    """
    kept = wanted_channels(raw, channel_types)
    needed = _needed(raw, kept, config)
    rows = [row for row, index in enumerate(needed) if index in kept]
    Amplitudes(raw, kept).check()

    def read_part(picks: list[int], start: int, stop: int) -> np.ndarray:
        return raw.read([needed[pick] for pick in picks], start, stop)

    def read(start: int, stop: int) -> np.ndarray:
        with _errors_of(raw):
            return parts.read(start, stop)[rows]

    with _errors_of(raw):
        parts = CleanedParts(
            read_part, raw.n_samples, raw.sampling_rate, [raw.channels[index] for index in needed],
            [raw.types[index] for index in needed], raw.bads, _marks(raw, volumes), config,
        )  # fmt: skip
    names = tuple(raw.channels[index] for index in kept)
    return CleanParts(parts.sampling_rate, names, parts.factor, parts.n_samples, read)


def read_ecg(raw: RawEeg, volumes: np.ndarray, config: CleaningConfig) -> CleanEeg:
    """Read the first good ECG channel alone, cleaned as the EEG is, and its R peaks; parameters as `read_clean_eeg`.

    Raises
    ------
    DatasetError, AlignmentError, ConfigError
        If there is none, it cannot be read, or no heart beats are found.
    """
    good = [
        row
        for row, (name, kind) in enumerate(zip(raw.channels, raw.types, strict=True))
        if kind == "ecg" and name not in raw.bads
    ][:1]
    if not good:
        raise DatasetError(f"{raw.path}: no good ECG channel")
    alone = config.model_copy(update={"pulse": True, "interpolate_bads": False, "average_reference": False})
    with _errors_of(raw):
        return clean_eeg(
            lambda _: raw.read(good), raw.n_samples, raw.sampling_rate, [raw.channels[good[0]]], ["ecg"], (),
            _marks(raw, volumes), alone,
        )  # fmt: skip


def check_eeg(
    raw: RawEeg, channel_types: tuple[str, ...], volumes: np.ndarray, config: CleaningConfig
) -> tuple[float, list[str]]:
    """Refuse what `read_clean_eeg` would refuse, before it reads a sample.

    Returns
    -------
    Sampling rate (Hz) of the cleaned EEG, and the names of its EEG channels.
    """
    kept = wanted_channels(raw, channel_types)
    needed = _needed(raw, kept, config)
    with _errors_of(raw):
        ratio = check_cleaning(
            raw.n_samples, raw.sampling_rate, [raw.channels[index] for index in needed],
            [raw.types[index] for index in needed], raw.bads, _marks(raw, volumes), config,
        )  # fmt: skip
    return raw.sampling_rate * float(ratio), [raw.channels[i] for i in kept if raw.types[i] == "eeg"]


def _needed(raw: RawEeg, kept: list[int], config: CleaningConfig) -> list[int]:
    """List the channels to read: the wanted ones, and the ECG if the pulse is cleaned."""
    ecg = [index for index, kind in enumerate(raw.types) if kind == "ecg"] if config.pulse else []
    return sorted({*kept, *ecg})


def _marks(raw: RawEeg, volumes: np.ndarray) -> Marks:
    peaks = [time * raw.sampling_rate for time, text in raw.events if text == R_PEAK]
    return Marks(volumes, np.array(peaks), raw.gaps)


@contextmanager
def _errors_of(raw: RawEeg) -> Iterator[None]:
    """Let errors begin with the file."""
    try:
        yield
    except Eeg2FmriError as err:
        message = str(err)
        raise type(err)(message if message.startswith(str(raw.path)) else f"{raw.path}: {message}") from err
