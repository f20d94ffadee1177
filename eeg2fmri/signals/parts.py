"""Cleaning of EEG part by part, as it is read: the result of `clean_eeg`, in memory that does not grow with the length.

Symbols: C channels, n samples of the file, m samples afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.signals.cleaning import (
    Marks,
    check_cleaning,
    check_finite,
    ecg_row,
    eeg_rows,
    find_epochs,
    finish,
    scanned,
)
from eeg2fmri.signals.gradient import remove_gradient
from eeg2fmri.signals.pulse import PulseBlock, find_r_peaks, plausible, pulse_artefact, pulse_blocks
from eeg2fmri.signals.resample_eeg import resample, support

STEP_S = 30.0  # read at once at the rate of the file


class ReadPart(Protocol):
    """Reads samples `start` to `stop` of the channels `picks`, float32 in µV."""

    def __call__(self, picks: list[int], start: int, stop: int) -> np.ndarray: ...


class CleanedParts:
    """Parts of a recording, cleaned as `clean_eeg` cleans all of it.

    The pulse artefact of a block of beats is found when one of its samples is asked for, and kept for the next part.
    The ECG is read once more before, to find the R peaks.

    Parameters
    ----------
    read : gives samples of channels; a pick is an index into `channels`.
    n_samples, sampling_rate, channels, types, bads, marks, config : as `clean_eeg`, with its errors.

    Attributes
    ----------
    sampling_rate : Hz, of the cleaned EEG.
    factor : sample s of the file is ``s / factor`` here.
    n_samples : m.
    """

    def __init__(
        self,
        read: ReadPart,
        n_samples: int,
        sampling_rate: float,
        channels: Sequence[str],
        types: Sequence[str],
        bads: Sequence[str],
        marks: Marks,
        config: CleaningConfig,
    ) -> None:
        self._ratio = ratio = check_cleaning(n_samples, sampling_rate, channels, types, bads, marks, config)
        self.sampling_rate, self.factor = sampling_rate * float(ratio), float(1 / ratio)
        self.n_samples = -(-n_samples * ratio.numerator // ratio.denominator)
        self._read, self._total = read, n_samples
        self._channels, self._types, self._bads, self._config = channels, types, bads, config
        self._epochs = None
        if config.gradient:
            self._epochs = find_epochs(lambda start, stop: read([0], start, stop)[0], n_samples, marks, config)
        self._blocks: tuple[PulseBlock, ...] = ()
        if config.pulse:
            if plausible(marks.r_peaks, sampling_rate):
                r_peaks = marks.r_peaks * float(ratio)
            else:
                start, stop = scanned(marks, n_samples, ratio)
                ecg = ecg_row(channels, types, bads)
                r_peaks = start + find_r_peaks(
                    lambda first, last: self._long([ecg], start + first, start + last)[0],
                    stop - start,
                    self.sampling_rate,
                )
            self._blocks = pulse_blocks(r_peaks, self.sampling_rate, self.n_samples)
        # A part lies in two blocks at most, and the next one in the second of them.
        self._artefact = lru_cache(maxsize=2)(self._find_artefact)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples `start` to `stop`, (C, stop - start) float32 in µV, equal to those of `CleanEeg.data`.

        With `gradient` the last bits may differ, because means over other stretches are rounded differently.

        Raises
        ------
        DatasetError
            If samples are not finite.
        """
        data = self._prepared(list(range(len(self._channels))), start, stop)
        for number, block in enumerate(self._blocks):
            begin, end = max(start, block.start), min(stop, block.stop)
            if begin < end:
                artefact = self._artefact(number)[:, begin - block.start : end - block.start]
                data[eeg_rows(self._types), begin - start : end - start] -= artefact
        finish(data, self._channels, self._types, self._bads, self._config)
        return data

    def _find_artefact(self, number: int) -> np.ndarray:
        block = self._blocks[number]
        eeg = self._long(eeg_rows(self._types), block.first, block.last)
        return pulse_artefact(eeg, self.sampling_rate, block, self._config.pulse_components)

    def _long(self, picks: list[int], start: int, stop: int) -> np.ndarray:
        """Return a stretch that may be too long for memory at the rate of the file."""
        step = round(STEP_S * self.sampling_rate)
        data = np.empty((len(picks), stop - start), np.float32)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            data[:, first - start : last - start] = self._prepared(picks, first, last)
        return data

    def _prepared(self, picks: list[int], start: int, stop: int) -> np.ndarray:
        """Return channels without gradient artefact at the new rate, (picks, stop - start)."""
        first, last = support(self._ratio, start, stop, self._total)
        around = self._epochs.around(first, last) if self._epochs else None
        begin, end = (min(first, int(around.starts[0])), max(last, around.stop)) if around else (first, last)
        block = self._read(picks, begin, end)
        check_finite(block, [self._channels[pick] for pick in picks])
        if around:
            block = remove_gradient(block, around.counted_from(begin))[:, first - begin : last - begin]
        before = int(first * self._ratio)
        return resample(block, self._ratio)[:, start - before : stop - before]
