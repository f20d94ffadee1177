"""Synthesis from an EEG file to a 4-D NIfTI file, and to a table of regional courses, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from isal.igzip import IGzipFile

from eeg2fmri.datasets import AUTO
from eeg2fmri.files import written_whole
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.files import (
    check_image_name,
    recording_sidecar,
    sidecar_path,
    volumes_header,
    write_sidecar,
)
from eeg2fmri.serving.recording import EegFile, OpenRecording, open_recording

LEVEL = 1  # of gzip; noise hardly compresses at any level
Progress = Callable[[int, int], None]  # called with the volumes that are done, and with all


def synthesise_file(
    bundle: Bundle,
    eeg_path: Path,
    out: Path,
    volume_marker: str = AUTO,
    *,
    model: Mapping[str, Any] | None = None,
    on_volumes: Progress | None = None,
) -> tuple[int, ...]:
    """Synthesise every volume that an EEG recording allows and write them as NIfTI.

    The EEG is read, and the volumes are written, in blocks, so memory does not depend on the length of the recording;
    but the cleaning steps `gradient` and `pulse` need all of it. The EEG is cleaned as the model's training data were.
    The first volume starts `context` TRs after the first volume marker, or after the file's start if there is no
    marker. The ``StartTime`` (seconds) of a JSON sidecar beside the image says so. Volumes with a gap of the EEG in
    their context are 0, and the sidecar lists them (``VolumesWithoutEEG``). The image has the grid of the model's
    store, with the affine of its first recording, RAS+; voxels outside the model's brain mask are 0.

    Parameters
    ----------
    bundle : the model.
    eeg_path : EEG file that `open_eeg_file` reads. Its BIDS tables are read from the same folder:
        ``_channels.tsv``, and ``_events.tsv`` if the file itself has no volume marker.
    out : ``.nii`` or ``.nii.gz``.
    volume_marker : description of the scanner's marker, or ``auto``, as ``dataset.volume_marker``.
    model : what the sidecar says of the model, e.g. its name and version.
    on_volumes : called after each block.

    Returns
    -------
    Shape of the image, (x, y, z, volumes).

    Raises
    ------
    ConfigError
        If `out` is not named as a NIfTI file.
    DatasetError
        If the EEG is missing, damaged, too short, or lacks channels.
    AlignmentError
        If two markers have the rhythm of the volumes, the given one does not, or the EEG is interrupted.
    """
    check_image_name(out)
    opened = open_recording(bundle, EegFile.beside(eeg_path, volume_marker))
    opened.say_warnings()
    write_series(opened, out, {"Model": dict(model)} if model else {}, on_volumes)
    return (*bundle.signal.grid, len(opened.whole))


def write_series(opened: OpenRecording, out: Path, more: Mapping[str, Any], on_volumes: Progress | None = None) -> None:
    """Write the image of a recording, and then its sidecar; each is whole or absent.

    Parameters
    ----------
    opened : the recording.
    out : ``.nii`` or ``.nii.gz``.
    more : fields of the sidecar besides those of `recording_sidecar`.
    on_volumes : called after each block.

    Raises
    ------
    DatasetError
        If a part of the EEG cannot be used; what was there before stays.
    """
    total, done = len(opened.whole), 0
    blocks = opened.volumes()
    first = next(blocks)  # most faults show in it, before there is a file
    with _image_file(out) as image:
        image.write(volumes_header(opened.bundle, total))
        for block in itertools.chain([first], blocks):
            image.write(np.ascontiguousarray(block.transpose(0, 3, 2, 1)).data)
            done += len(block)
            if on_volumes:
                on_volumes(done, total)
        sidecar_path(out).unlink(missing_ok=True)  # it would describe another image if the process died now
    write_sidecar(out, {**recording_sidecar(opened), **more})


@contextmanager
def _image_file(out: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when it is whole, and compress what is written if it ends in ``.gz``."""
    with written_whole(out) as part, part.open("wb") as file:
        if out.name.endswith(".gz"):
            with IGzipFile("", "wb", LEVEL, file, 0) as packed:
                yield cast(BinaryIO, packed)
        else:
            yield file
