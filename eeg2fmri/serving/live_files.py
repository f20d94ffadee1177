"""Files that grow with a stream: volumes as NIfTI, regional courses as a table.

A file is called ``NAME.part.nii`` or ``NAME.part.tsv`` until the stream ends, and NAME then. It is complete after
every volume, so nothing is lost if the process is killed: rename it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eeg2fmri.errors import ConfigError, StreamError
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.files import courses_sidecar, series_sidecar, sidecar_path, volumes_header, write_sidecar
from eeg2fmri.serving.live import LiveVolume
from eeg2fmri.serving.series import Courses

MOST_VOLUMES = 32767  # a dimension of NIfTI-1 is a 16-bit number
TIME = "time"  # the first column of a table


class Sink(Protocol):
    """A receiver of the volumes of a stream."""

    def add(self, volume: LiveVolume) -> None:
        """Take the next volume."""
        ...

    def close(self) -> None:
        """End, whole."""
        ...


def check_new(out: Path) -> None:
    """Refuse the name of a file that is there, of its sidecar too."""
    for path in (out, _part(out), sidecar_path(out)):
        if path.exists():
            raise ConfigError(f"{path}: it exists, and a stream cannot be repeated; give another name")


def _part(out: Path) -> Path:
    """Return the name of a file that grows."""
    return out.with_name(f"{out.stem}.part{out.suffix}")


class _Growing:
    """A file that has another name until it is closed, and what its sidecar says."""

    def __init__(self, bundle: Bundle, out: Path, more: Mapping[str, Any]) -> None:
        check_new(out)
        self._bundle, self._more = bundle, more
        self.out = out
        self.part = _part(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.part.open("xb")
        self.count = 0
        self._zero = 0.0
        self._without_eeg: list[int] = []

    def added(self, volume: LiveVolume) -> None:
        """Count a volume that is in the file."""
        if not self.count:
            self._zero = volume.time - self._bundle.window_shape[2] * self._bundle.signal.tr
        if volume.values is None:
            self._without_eeg.append(self.count)
        self.count += 1

    def sidecar(self) -> dict[str, Any]:
        """Return the sidecar of the volumes."""
        zero = f"the first sample of the stream, at {self._zero:.6f} s on its clock"
        gaps = {"VolumesWithoutEEG": self._without_eeg} if self._without_eeg else {}
        return {**series_sidecar(self._bundle, zero), **gaps, **self._more}

    def close(self, sidecar: Mapping[str, Any]) -> None:
        """Give the file its name, then write its sidecar; remove a file without a volume."""
        self.file.close()
        if self.count:
            os.replace(self.part, self.out)
            write_sidecar(self.out, sidecar)
        else:
            self.part.unlink(missing_ok=True)


class GrowingImage:
    """A 4-D NIfTI file, uncompressed; a volume with a gap in its context is 0, and the sidecar lists it.

    Parameters
    ----------
    bundle : the model.
    out : ``.nii``.
    more : further fields of the sidecar.
    """

    def __init__(self, bundle: Bundle, out: Path, more: Mapping[str, Any]) -> None:
        self._bundle, self._growing = bundle, _Growing(bundle, out, more)

    def add(self, volume: LiveVolume) -> None:
        """Append a volume, then count it in the header."""
        growing, grid = self._growing, self._bundle.signal.grid
        if growing.count == MOST_VOLUMES:
            raise StreamError(f"{growing.out}: a NIfTI file has at most {MOST_VOLUMES} volumes; start again")
        values = np.zeros(grid, np.float32) if volume.values is None else volume.values
        header = volumes_header(self._bundle, growing.count + 1)
        if not growing.count:
            growing.file.write(header)
        growing.file.seek(0, os.SEEK_END)
        growing.file.write(values.astype(np.float32).tobytes(order="F"))
        growing.file.flush()
        growing.file.seek(0)
        growing.file.write(header)
        growing.file.flush()
        growing.added(volume)

    def close(self) -> None:
        """Give the image its name, and write its sidecar."""
        self._growing.close(self._growing.sidecar())


class GrowingTable:
    """A table of regional courses: a row per volume with its time on the stream's clock; ``n/a`` for a gap.

    Parameters
    ----------
    bundle : the model.
    out : ``.tsv``.
    courses : the regions.
    more : further fields of the sidecar.
    """

    def __init__(self, bundle: Bundle, out: Path, courses: Courses, more: Mapping[str, Any]) -> None:
        if TIME in courses.names:
            raise ConfigError(f"a region of the atlas is named {TIME!r}, as the first column of {out}; rename it")
        self._growing, self._courses = _Growing(bundle, out, more), courses

    def add(self, volume: LiveVolume) -> None:
        """Append the row of a volume whose values are (r,) regional means."""
        names = self._courses.names
        if not self._growing.count:
            self._write(TIME, *names)
        values = ["n/a"] * len(names) if volume.values is None else [f"{value:.7g}" for value in volume.values]
        self._write(f"{volume.time:.6f}", *values)
        self._growing.file.flush()
        self._growing.added(volume)

    def _write(self, *cells: str) -> None:
        self._growing.file.write(("\t".join(cells) + "\n").encode())

    def close(self) -> None:
        """Give the table its name, and write its sidecar."""
        of_time = {"Description": "Start of the volume on the clock of the stream", "Units": "s"}
        self._growing.close({**courses_sidecar(self._growing.sidecar(), self._courses.about), TIME: of_time})
