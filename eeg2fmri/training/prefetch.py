"""Batches that are built before the step that takes them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras

from eeg2fmri.training.pairs import PairData

WORKERS = 2
AHEAD = 4


class Prefetched(keras.utils.PyDataset):
    """`PairData` with the next `AHEAD` batches built in threads, in the same order on every backend.

    `start` sets the epoch, nothing counts it: Keras asks for batches and ends epochs on its own
    before the first one, and backends differ in this.

    Parameters
    ----------
    data : the batches.
    devices : devices that share a batch equally; the last batch of an epoch is cut to a multiple.
    """

    def __init__(self, data: PairData, devices: int = 1) -> None:
        super().__init__()
        self.data, self.devices = data, devices
        self.pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="batches")
        self.waiting: dict[int, Future[Any]] = {}

    def __len__(self) -> int:
        left = self.instances % self.data.batch_size
        return len(self.data) - (0 < left < self.devices)

    @property
    def instances(self) -> int:
        """Return the instances of an epoch, before the cut."""
        return len(self.data.order)

    def __getitem__(self, index: int) -> Any:
        for number in range(index, min(index + 1 + AHEAD, len(self))):
            if number not in self.waiting:
                self.waiting[number] = self.pool.submit(self._batch, number)
        return self.waiting.pop(index).result()

    def start(self, epoch: int) -> None:
        """Order the windows of this epoch, at or after the current one of `data`."""
        self.drop()
        while self.data.epoch < epoch:
            self.data.on_epoch_end()

    def drop(self) -> None:
        """Forget the batches built ahead, once none is being built."""
        futures, self.waiting = list(self.waiting.values()), {}
        for future in futures:
            if not future.cancel():
                future.exception()

    def close(self) -> None:
        """End the threads."""
        self.drop()
        self.pool.shutdown()

    def _batch(self, number: int) -> Any:
        return keras.tree.map_structure(lambda v: v[: len(v) - len(v) % self.devices], self.data[number])
