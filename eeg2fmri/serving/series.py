"""Synthesis from an EEG file to a 4-D NIfTI file, and to a table of regional courses, block by block."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import numpy as np
from isal.igzip import IGzipFile

from eeg2fmri.datasets import AUTO, read_atlas
from eeg2fmri.errors import ConfigError
from eeg2fmri.evaluation import Atlas
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.serving.files import (
    INTERVAL,
    check_image,
    check_interval,
    check_own,
    courses_sidecar,
    has_own_sidecar,
    interval_sidecar,
    recording_sidecar,
    sidecar_path,
    stem,
    volumes_header,
    write_sidecar,
    written_anew,
)
from eeg2fmri.serving.recording import EegFile, OpenRecording, open_recording
from eeg2fmri.serving.replies import region_courses
from eeg2fmri.signals import nifti_image

SYNTHESISED = "_desc-synthesised"  # in the names of a BIDS derivative
LEVEL = 1  # of gzip; noise hardly compresses at any level
Progress = Callable[[int, int], None]  # called with the volumes that are done, and with all


@dataclass(frozen=True)
class Courses:
    """Regions whose mean courses are written.

    label: of the atlas in sidecars, and in file names.  regions: on the model's grid, within its brain.
    """

    label: str
    regions: Atlas

    @classmethod
    def of(cls, bundle: Bundle, path: Path) -> Courses:
        """Read a label image that file names name; errors are those of `atlas_label` and `read_atlas`."""
        return cls(atlas_label(path), _regions(bundle, path))

    @classmethod
    def of_stream(cls, bundle: Bundle, path: Path) -> Courses:
        """Read a label image that only a sidecar names, by its file; errors are those of `read_atlas`."""
        return cls(_name(path), _regions(bundle, path))

    @property
    def names(self) -> list[str]:
        """Return the names of the regions, in the order of their labels."""
        return [self.regions.names[label] for label in sorted(self.regions.names)]

    @property
    def about(self) -> dict[str, str]:
        """Return what sidecars say of the label image: label and digest of the labels on the model's grid."""
        return {"Label": self.label, "Digest": self.regions.digest}

    @property
    def head(self) -> str:
        """Return the first line of a table."""
        return "\t".join(self.names) + "\n"

    def path(self, out: Path) -> Path:
        """Return the place of the table beside an image, with the BIDS entity ``seg``."""
        return _beside(out, f"seg-{self.label}", "timeseries.tsv")

    def rows(self, volumes: np.ndarray, whole: np.ndarray) -> Iterator[str]:
        """Yield a line of means per volume (n, x, y, z); ``n/a`` for those that are not `whole` (n,)."""
        means = region_courses(volumes, self.regions.labels)[1]
        for row, there in zip(means, whole, strict=True):
            yield "\t".join(f"{value:.7g}" if there else "n/a" for value in row) + "\n"


def atlas_label(path: Path) -> str:
    """Return the label of an atlas in file names.

    Of a BIDS name it is made of the entities that distinguish parcellations, ``atlas``, ``seg``, ``scale`` and
    ``desc``: ``tpl-X_res-02_atlas-Schaefer2018_desc-100Parcels_dseg.nii.gz`` has ``Schaefer2018100Parcels``. Of another
    name it is the name.

    Raises
    ------
    ConfigError
        If it is no BIDS label. With another one in its place, tables of two atlases could have the same name.
    """
    label = _name(path)
    entities = dict(part.split("-", 1) for part in label.split("_") if "-" in part)
    if entities.get("atlas") or entities.get("seg"):
        label = "".join(entities.get(key, "") for key in ("atlas", "seg", "scale", "desc"))
    if not (label.isascii() and label.isalnum()):
        raise ConfigError(
            f"{path}: the name of an atlas becomes a BIDS label; found {label!r}, letters A to Z and digits "
            f"are expected; rename the image and its table"
        )
    return label


def _name(path: Path) -> str:
    """Return the name of a label image without ending and suffix."""
    return stem(path).removesuffix("_dseg")


def _regions(bundle: Bundle, path: Path) -> Atlas:
    return read_atlas(path, bundle.signal, bundle.model.bold_statistics.mask)


def check_place(out: Path, courses: Courses | None = None, *, interval: bool = False) -> None:
    """Refuse files of `write_series` that would replace something else, see `check_image`.

    Raises
    ------
    ConfigError
        If there is one.
    """
    check_image(out)
    if interval:
        check_image(interval_path(out))
    if courses is not None and (table := courses.path(out)).exists():
        # A killed process may leave a table without a sidecar.
        if not sidecar_path(table).exists():
            with table.open(encoding="utf-8", errors="replace") as file:
                ours = file.readline() == courses.head
        else:
            ours = has_own_sidecar(table)
        check_own(table, ours)


def interval_path(out: Path) -> Path:
    """Return the place of the interval's map beside an image, with the BIDS entity ``stat``."""
    return _beside(out, "stat-std", f"boldmap{out.name.removeprefix(stem(out))}")


def _beside(out: Path, entity: str, suffix: str) -> Path:
    """Name a file beside an image, with an entity more and another suffix."""
    name = stem(out).removesuffix("_bold")
    kept = name.removesuffix(SYNTHESISED)
    return out.with_name(f"{kept}_{entity}{name[len(kept) :]}_{suffix}")


def synthesise_file(
    bundle: Bundle,
    eeg_path: Path,
    out: Path,
    volume_marker: str = AUTO,
    *,
    model: Mapping[str, Any] | None = None,
    courses: Courses | None = None,
    interval: bool = False,
    on_volumes: Progress | None = None,
) -> tuple[int, ...]:
    """Synthesise every volume that an EEG recording allows and write them as NIfTI.

    The EEG is read and cleaned, and the volumes are written, in blocks, so memory does not depend on the length of the
    recording. The EEG is cleaned as the model's training data were.
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
    courses : regions whose mean courses are written beside the image.
    interval : write the map of the model's interval beside the image.
    on_volumes : called after each block.

    Returns
    -------
    Shape of the image, (x, y, z, volumes).

    Raises
    ------
    ConfigError
        If `out` is not named as a NIfTI file, or something else is there.
    ModelError
        If the interval is asked for and the model has none.
    DatasetError
        If the EEG is missing, damaged, too short, or lacks channels.
    AlignmentError
        If two markers have the rhythm of the volumes, the given one does not, or the EEG is interrupted.
    """
    check_place(out, courses, interval=interval)
    if interval:
        check_interval(bundle)
    opened = open_recording(bundle, EegFile.beside(eeg_path, volume_marker))
    opened.say_remarks()
    write_series(opened, out, {"Model": dict(model)} if model else {}, courses, on_volumes, interval=interval)
    return (*bundle.signal.grid, len(opened.whole))


def write_series(
    opened: OpenRecording,
    out: Path,
    more: Mapping[str, Any],
    courses: Courses | None = None,
    on_volumes: Progress | None = None,
    *,
    interval: bool = False,
) -> None:
    """Write the image of a recording, the courses of regions, and last the sidecars; each is whole or absent.

    Parameters
    ----------
    opened : the recording.
    out : ``.nii`` or ``.nii.gz``.
    more : fields of the sidecar besides those of `recording_sidecar`.
    courses : regions whose mean courses are written beside the image.
    on_volumes : called after each block.
    interval : write the map of the model's interval beside the image; the model has one (`check_interval`).

    Raises
    ------
    DatasetError
        If a part of the EEG cannot be used; what was there before stays.
    """
    total, done = len(opened.whole), 0
    blocks = opened.volumes()
    first = next(blocks)  # most faults show in it, before there is a file
    with ExitStack() as renames, ExitStack() as files:  # no file gets its name before all are complete
        table: TextIO = io.StringIO()
        if courses is not None:
            part = renames.enter_context(written_anew(courses.path(out)))
            table = files.enter_context(part.open("w", encoding="utf-8"))
            table.write(courses.head)
        image = files.enter_context(_image_file(renames.enter_context(written_anew(out))))
        image.write(volumes_header(opened.bundle, total))
        for block in itertools.chain([first], blocks):
            image.write(np.ascontiguousarray(block.transpose(0, 3, 2, 1)).data)
            if courses is not None:
                table.writelines(courses.rows(block, opened.whole[done : done + len(block)]))
            done += len(block)
            if on_volumes:
                on_volumes(done, total)
    sidecar = {**recording_sidecar(opened), **more}
    if courses is not None:
        write_sidecar(courses.path(out), courses_sidecar(sidecar, courses.about))
    if interval:
        write_interval(opened.bundle, out, {"Sources": sidecar["Sources"], **more})
    write_sidecar(out, sidecar)


def write_interval(bundle: Bundle, out: Path, more: Mapping[str, Any]) -> None:
    """Write the map of a model's interval beside an image, and last its sidecar with the fields `more`."""
    import nibabel

    with written_anew(interval_path(out)) as part:
        nibabel.save(nifti_image(check_interval(bundle), bundle.signal, INTERVAL), part)
    write_sidecar(interval_path(out), {**interval_sidecar(bundle), **more})


@contextmanager
def _image_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file, and compress what is written if its name ends in ``.gz``."""
    with path.open("wb") as file:
        if path.name.endswith(".gz"):
            with IGzipFile("", "wb", LEVEL, file, 0) as packed:
                yield cast(BinaryIO, packed)
        else:
            yield file
