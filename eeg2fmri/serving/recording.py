"""An EEG recording, opened for a model: windows and volumes block by block, so that its length needs no memory."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets import (
    AUTO,
    Alignment,
    CleanParts,
    Source,
    check_breaks,
    check_fetched,
    covered,
    first_volume_marker,
    open_clean_eeg,
    open_eeg_file,
)
from eeg2fmri.datasets.recording import eeg_companions
from eeg2fmri.errors import DatasetError, RequestError
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.signals import contexts
from eeg2fmri.signals.spectrogram import window_length

logger = logging.getLogger(__name__)
BLOCK_VOLUMES = 32  # as many as a model computes at once
BLOCK_VALUES = 1 << 23  # of EEG in a block, at most: 32 MiB
MOST_VOLUMES = 32767  # a dimension of NIfTI-1 is a 16-bit number


@dataclass(frozen=True)
class EegFile:
    """An EEG file and what describes it.

    channels, events: its BIDS tables, if there are any.  types: (index, type) of channels that only the documentation
    of its dataset gives.  volume_marker: description of the scanner's marker, or ``auto``.
    """

    path: Path
    channels: Path | None = None
    events: Path | None = None
    types: tuple[tuple[int, str], ...] = ()
    volume_marker: str = AUTO

    @classmethod
    def beside(cls, path: Path, volume_marker: str = AUTO) -> EegFile:
        """Find the tables in the file's folder."""
        return cls(path, _beside(path, "channels"), _beside(path, "events"), (), volume_marker)

    @classmethod
    def of(cls, source: Source, volume_marker: str = AUTO) -> EegFile:
        """Return the file of a dataset, with the tables and the marker that its layout knows."""
        found = source.details
        return cls(
            source.path,
            found.get("channels_path"),
            found.get("eeg_events_path"),
            found.get("channel_types", ()),
            found.get("volume_marker", volume_marker),
        )

    def digest(self) -> str:
        """Compute the digest (sha256) of the files that a recording is read from, and of the way to read them."""
        digest = hashlib.sha256(json.dumps([self.types, self.volume_marker]).encode())
        for path in (self.path, *eeg_companions(self.path), self.channels, self.events):
            if path is not None:
                check_fetched(path)
                with path.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()


@dataclass(frozen=True)
class OpenRecording:
    """The EEG of a recording, ready to be synthesised.

    onset: cleaned sample of time zero; period: samples from TR to TR.  first: TRs after time zero at which the first
    window starts.  with_eeg: (windows,) bool, those without a gap.  zero: the place of time zero, in words.
    marked: volume markers give it.  warnings: remarks on the file that a person should check.
    """

    bundle: Bundle
    path: Path
    eeg: CleanParts
    onset: float
    period: float
    first: int
    with_eeg: np.ndarray
    zero: str
    marked: bool
    warnings: tuple[str, ...]

    @property
    def whole(self) -> np.ndarray:
        """Return the volumes whose context has no gap, (volumes,) bool."""
        context = self.bundle.window_shape[2]
        return np.convolve(self.with_eeg, np.ones(context, int), "valid") == context

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return what a person should check who uses the volumes: remarks on the file, time zero and gaps."""
        total, without = len(self.whole), int((~self.whole).sum())
        zero = () if self.marked else (f"time zero is {self.zero}",)
        gaps = (f"{without} of {total} volumes have a gap of the EEG in their context; they are 0",) if without else ()
        return (*self.warnings, *zero, *gaps)

    def say_remarks(self) -> None:
        """Log the remarks, one line each."""
        for line in self.remarks:
            logger.warning("%s: %s", self.path, line)

    def volumes(self) -> Iterator[np.ndarray]:
        """Yield all volumes in their order, in blocks (n, x, y, z) float32 of scanner intensity.

        Volumes outside `whole`, and voxels outside the model's brain mask, are 0. Errors are those of `magnitudes`.
        """
        model, context, whole = self.bundle.model, self.bundle.window_shape[2], self.whole
        kept = np.empty((0, *self.bundle.window_shape[:2]), np.float32)
        done = 0
        for magnitudes in self.magnitudes():
            windows = contexts(np.concatenate([kept, magnitudes]), context)
            kept = windows[-1, :, :, 1:].transpose(2, 0, 1)
            good = whole[done : done + len(windows)]
            block = np.zeros((len(windows), *self.bundle.signal.grid), np.float32)
            block[good] = model.synthesise(windows[good]) * model.bold_statistics.mask
            done += len(windows)
            yield block

    def magnitudes(self) -> Iterator[np.ndarray]:
        """Yield the magnitudes of all windows of one TR, in blocks (n, C, F).

        The first block holds the context of its first volume as well.

        Raises
        ------
        DatasetError
            If a part of the EEG cannot be read, lacks channels, or all of it is not in µV.
        """
        means = []
        try:
            for start, stop in self._blocks():
                block = self._magnitudes(start, stop)
                means.append(block.mean(axis=2, keepdims=True, dtype=np.float64))
                yield block
            self.bundle.check_scale("eeg", np.concatenate(means))
        except RequestError as err:
            raise DatasetError(f"{self.path}: {err}") from err

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Yield first and last window of each block."""
        context, total = self.bundle.window_shape[2], len(self.with_eeg)
        step = int(BLOCK_VALUES / (len(self.eeg.channels) * self.period))
        step = max(min(step, BLOCK_VOLUMES), 1)
        stops = [*range(context - 1 + step, total, step), total]
        yield from zip([0, *stops[:-1]], stops, strict=True)

    def _magnitudes(self, start: int, stop: int) -> np.ndarray:
        """Compute the magnitudes of windows `start` to `stop`, (stop - start, C, F)."""
        at = np.rint(self.onset + (self.first + np.array([start, stop - 1])) * self.period).astype(int)
        length = window_length(self.eeg.sampling_rate, self.bundle.signal.tr)
        begin, end = max(int(at[0]), 0), min(int(at[1]) + length, self.eeg.n_samples)
        return self.bundle.magnitudes(
            self.eeg.read(begin, end), self.eeg.sampling_rate, self.eeg.channels, self.with_eeg[start:stop],
            onset=self.onset, period=self.period, first=self.first + start, skipped=begin,
        )  # fmt: skip


def open_recording(bundle: Bundle, file: EegFile) -> OpenRecording:
    """Open the EEG of a recording from its first volume marker on, cleaned as the model's training data were.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or too short, or every context has a gap.
    AlignmentError
        If two markers have the rhythm of the volumes, the given one does not, or the EEG is interrupted.
    """
    path, tr = file.path, bundle.signal.tr
    if not path.exists() and not path.is_symlink():
        raise DatasetError(f"{path}: no such EEG file; correct the path")
    raw = open_eeg_file(path, file.channels, file.types)
    found = first_volume_marker(raw, file.events, file.volume_marker, tr)
    zero = f"the first volume marker ({found.source})" if found else "the start of the EEG file"
    found = found or Alignment(0.0, tr * raw.sampling_rate, "file start")
    first = max(0, int(np.ceil(-(found.onset + 0.5) / found.period)))  # the EEG begins later
    n_windows = int(np.floor(round((raw.n_samples - found.onset) / found.period, 6)))
    check_breaks(raw, found, n_windows)
    cleaning = CleaningConfig.model_validate(bundle.settings["cleaning"])
    eeg = open_clean_eeg(raw, tuple(bundle.settings["channel_types"]), found.onsets, cleaning)
    with_eeg = covered(raw, found, n_windows)[first:]
    try:
        bundle.check_rate(eeg.sampling_rate)
        bundle.check_length(len(with_eeg), raw.n_samples / raw.sampling_rate)
    except RequestError as err:
        raise DatasetError(f"{path}: {err}") from err
    opened = OpenRecording(
        bundle, path, eeg, found.onset / eeg.factor, found.period / eeg.factor, first, with_eeg, zero,
        bool(found.onsets.size), (*raw.notes, *found.warnings),
    )  # fmt: skip
    total = len(opened.whole)
    if not opened.whole.any():
        raise DatasetError(f"{path}: every context has a gap of the EEG; give EEG without so many gaps")
    if total > MOST_VOLUMES:
        raise DatasetError(f"{path}: {total} volumes, a NIfTI file has at most {MOST_VOLUMES}; split the recording")
    return opened


def _beside(path: Path, kind: str) -> Path | None:
    """Return the BIDS table of a kind beside an EEG file."""
    table = path.with_name(f"{path.name.rsplit('_', 1)[0]}_{kind}.tsv")
    return table if table.exists() or table.is_symlink() else None  # the read function refuses a link without content
