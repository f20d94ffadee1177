"""An array of a store on disk, and how a lost part of it is noticed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from eeg2fmri.errors import StoreError


@dataclass(frozen=True)
class StoredArray:
    """An array of a recording on disk: read when it is indexed, and refused if something is lost.

    Whole numbers come as float32.

    where: its name in a message.  start, stop: its part of the first axis; the whole by default.
    """

    array: Any
    where: str
    start: int = 0
    stop: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape, e.g. (volumes, x, y, z)."""
        stop = self.array.shape[0] if self.stop is None else self.stop
        return (stop - self.start, *self.array.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        try:
            found = np.asarray(self.array[self._placed(index)])
        except (ValueError, OSError, RuntimeError) as err:  # a chunk that is cut short, or not available
            raise StoreError(
                f"{self.where}: cannot be read ({type(err).__name__}); preprocess the dataset again"
            ) from err
        if _has_lost(found):
            raise StoreError(
                f"{self.where}: a chunk is missing; if the store was rewritten while it was open, start again, "
                f"otherwise preprocess the dataset again"
            )
        return found.astype(np.float32) if found.dtype.kind in "iu" else found

    def _placed(self, index: Any) -> Any:
        """Translate an index into this part to one into the whole array; a part takes only whole numbers and slices."""
        if self.start == 0 and self.stop is None:
            return index
        if isinstance(index, slice):
            first, last, step = index.indices(len(self))
            return slice(first + self.start, last + self.start, step)
        return range(len(self))[index] + self.start


def lost_value(dtype: np.dtype) -> Any:
    """Return the value of a lost chunk of an array of that type: NaN, False, or the most extreme whole number."""
    if dtype.kind == "f":
        return np.nan
    if dtype.kind == "b":
        return False
    return np.iinfo(dtype).min or np.iinfo(dtype).max


def _has_lost(found: np.ndarray) -> bool:
    """Return whether a chunk of an array is lost: a whole volume of whole numbers, a whole mask, any NaN."""
    if found.dtype.kind == "f":
        return bool(np.isnan(found).any())
    return bool((found == lost_value(found.dtype)).all(axis=(-3, -2, -1)).any())
