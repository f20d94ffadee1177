"""Instances of a set of recordings: an EEG context and the volume that follows it.

For volume v the context is windows v - context … v - 1. Contexts are views on the spectrograms; nothing is copied
before a batch is read. A recording with gaps in its EEG counts as several, one for each stretch without a gap: no
instance touches a gap, and instances follow each other without a break.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from eeg2fmri.config import SplitConfig
from eeg2fmri.errors import StoreError
from eeg2fmri.signals import BoldStatistics, EegStatistics, Signal, bold_scaling, contexts
from eeg2fmri.store.splits import split_store
from eeg2fmri.store.store import Store, StoredRecording

RUN = 32  # volumes read at once: 16 MB at the published size


class Windows:
    """Instances of `recordings`, in order of recording and time.

    Attributes
    ----------
    recordings : the recordings, or their stretches.
    owner : (n,) index of each instance's recording.
    volume : (n,) index of each instance's volume within its recording.
    """

    def __init__(self, recordings: Sequence[StoredRecording], context: int) -> None:
        if not recordings:
            raise StoreError("no recording in this part of the split; name its subjects in `split`")
        self.recordings = tuple(stretch for recording in recordings for stretch in recording.stretches(context))
        self.context = context
        counts = [len(r.volumes) - context for r in self.recordings]
        self.owner = np.repeat(np.arange(len(counts)), counts)
        self.volume = np.concatenate([np.arange(context, context + n) for n in counts])
        self._contexts = [contexts(r.spectrogram, context) for r in self.recordings]

    def __len__(self) -> int:
        return len(self.owner)

    @property
    def signal(self) -> Signal:
        """Meaning of the windows and volumes: equal for all recordings, except sampling rate and affine."""
        return self.recordings[0].signal

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one window: (channels, frequencies, context)."""
        _, channels, frequencies = self.recordings[0].spectrogram.shape
        return channels, frequencies, self.context

    def indices(self, recording: int) -> np.ndarray:
        """Return instances of one recording, in time order."""
        return np.flatnonzero(self.owner == recording)

    def eeg(self, indices: np.ndarray) -> np.ndarray:
        """Return contexts, (n, channels, frequencies, context) in µV."""
        return np.stack([self._contexts[self.owner[i]][self.volume[i] - self.context] for i in indices])

    def volumes(self, indices: np.ndarray) -> np.ndarray:
        """Return volumes, (n, x, y, z), scanner intensity."""
        return np.concatenate([recording.volumes[run] for recording, run in self._runs(indices)])

    def standardised(self, indices: np.ndarray, kind: str) -> np.ndarray:
        """Return volumes, (n, x, y, z), each standardised by its own recording's statistics."""
        scaling = bold_scaling(kind)
        parts = [scaling.standardise(recording.volumes[run], recording.statistics)
                 for recording, run in self._runs(indices)]  # fmt: skip
        return np.concatenate(parts).astype(np.float32, copy=False)

    def _runs(self, indices: np.ndarray) -> Iterator[tuple[StoredRecording, slice]]:
        """Return volumes of the instances; those that follow each other are read together, at hardly more cost than
        one.
        """
        owner, volume = self.owner[indices], self.volume[indices]
        starts = np.flatnonzero((np.diff(volume, prepend=-1) != 1) | (np.diff(owner, prepend=-1) != 0))
        for start, stop in pairwise([*starts.tolist(), len(owner)]):
            for first in range(start, stop, RUN):
                yield self.recordings[owner[first]], slice(volume[first], volume[first] + min(RUN, stop - first))

    def bold_statistics(self) -> BoldStatistics:
        """Compute the average of the recordings' statistics; the mask is brain in most recordings."""
        each = [r.statistics for r in self.recordings]
        return BoldStatistics(
            mean=float(np.mean([s.mean for s in each])),
            sd=float(np.mean([s.sd for s in each])),
            voxel_mean=np.stack([s.voxel_mean for s in each]).mean(axis=0),
            voxel_sd=np.stack([s.voxel_sd for s in each]).mean(axis=0),
            mask=np.mean([s.mask for s in each], axis=0) > 0.5,
        )

    def eeg_statistics(self) -> EegStatistics:
        """Compute mean and deviation of the spectrograms per (channel, frequency), over all windows."""
        windows = np.concatenate([r.spectrogram for r in self.recordings])
        return EegStatistics(
            mean=windows.mean(axis=0, dtype=np.float64).astype(np.float32),
            sd=windows.std(axis=0, dtype=np.float64).astype(np.float32),
        )

    def mean_volume(self, kind: str) -> np.ndarray:
        """Compute the mean over the instances of the standardised volumes, (x, y, z)."""
        total = np.zeros(self.recordings[0].mask.shape, np.float64)
        for start in range(0, len(self), 64):
            total += self.standardised(np.arange(start, min(start + 64, len(self))), kind).sum(axis=0, dtype=np.float64)
        return (total / len(self)).astype(np.float32)


def split_windows(store: Store, config: SplitConfig) -> tuple[Windows, Windows, Windows]:
    """Return instances of the training, validation and test subjects.

    Raises
    ------
    ConfigError, LeakageError
        As `split_store`.
    StoreError
        If a part has no subject.
    """
    split = split_store(store, config)
    train, validation, test = (
        Windows(store.of(part), store.context) for part in (split.train, split.validation, split.test)
    )
    return train, validation, test
