"""Files that grow with a stream: volumes as NIfTI, regional courses as a table.

A file is called ``NAME.part.nii`` or ``NAME.part.tsv`` until the stream ends, and NAME then. It is complete after
every volume, so nothing is lost if the process is killed: rename it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from eeg2fmri.errors import ConfigError, StreamError
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.files import series_sidecar, volumes_header, write_sidecar
from eeg2fmri.serving.live import LiveVolume

MOST_VOLUMES = 32767  # a dimension of NIfTI-1 is a 16-bit number


class Sink(Protocol):
    """A receiver of the volumes of a stream."""

    def add(self, volume: LiveVolume) -> None:
        """Take the next volume."""
        ...

    def close(self) -> None:
        """End, whole."""
        ...


class _Growing:
    """A file that has another name until it is closed."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.part = out.with_name(f"{out.stem}.part{out.suffix}")
        for path in (out, self.part):
            if path.exists():
                raise ConfigError(f"{path}: it exists, and a stream cannot be repeated; give another name")
        out.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.part.open("xb")
        self.count = 0

    def close(self) -> None:
        """Give the file its name; remove one without a volume."""
        self.file.close()
        if self.count:
            os.replace(self.part, self.out)
        else:
            self.part.unlink(missing_ok=True)


class GrowingImage:
    """A 4-D NIfTI file, uncompressed; a volume with a gap in its context is 0, and the sidecar lists it.

    Parameters
    ----------
    bundle : the model.
    out : ``.nii``.
    """

    def __init__(self, bundle: Bundle, out: Path) -> None:
        self._bundle, self._growing = bundle, _Growing(out)
        self._zero = 0.0
        self._without_eeg: list[int] = []

    def add(self, volume: LiveVolume) -> None:
        """Append a volume, then count it in the header."""
        growing, grid = self._growing, self._bundle.signal.grid
        if growing.count == MOST_VOLUMES:
            raise StreamError(f"{growing.out}: a NIfTI file has at most {MOST_VOLUMES} volumes; start again")
        values = np.zeros(grid, np.float32) if volume.values is None else volume.values
        header = volumes_header(self._bundle, growing.count + 1)
        if not growing.count:
            self._zero = volume.time - self._bundle.window_shape[2] * self._bundle.signal.tr
            growing.file.write(header)
        growing.file.seek(0, os.SEEK_END)
        growing.file.write(values.astype(np.float32).tobytes(order="F"))
        growing.file.flush()
        growing.file.seek(0)
        growing.file.write(header)
        growing.file.flush()
        if volume.values is None:
            self._without_eeg.append(growing.count)
        growing.count += 1

    def close(self) -> None:
        """Give the image its name, and write its sidecar."""
        self._growing.close()
        if not self._growing.count:
            return
        content = series_sidecar(self._bundle, f"the first sample of the stream, at {self._zero:.6f} s on its clock")
        if self._without_eeg:
            content["VolumesWithoutEEG"] = self._without_eeg
        write_sidecar(self._growing.out, content)


class GrowingTable:
    """A table of regional courses: a row per volume with its time on the stream's clock; ``n/a`` for a gap.

    Parameters
    ----------
    out : ``.tsv``.
    names : (r,) of the regions.
    """

    def __init__(self, out: Path, names: Sequence[str]) -> None:
        self._growing, self._names = _Growing(out), names

    def add(self, volume: LiveVolume) -> None:
        """Append the row of a volume whose values are (r,) regional means."""
        if not self._growing.count:
            self._write("time", *self._names)
        values = ["n/a"] * len(self._names) if volume.values is None else [f"{value:.7g}" for value in volume.values]
        self._write(f"{volume.time:.6f}", *values)
        self._growing.file.flush()
        self._growing.count += 1

    def _write(self, *cells: str) -> None:
        self._growing.file.write(("\t".join(cells) + "\n").encode())

    def close(self) -> None:
        """Give the table its name."""
        self._growing.close()
