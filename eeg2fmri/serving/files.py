"""Synthesis from an EEG file to a 4-D NIfTI file."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets import (
    AUTO,
    Alignment,
    check_breaks,
    covered,
    first_volume_marker,
    open_eeg_file,
    read_clean_eeg,
)
from eeg2fmri.errors import ConfigError, DatasetError, RequestError
from eeg2fmri.files import written_whole
from eeg2fmri.serving.bundle import Bundle
from eeg2fmri.signals import nifti_image

if TYPE_CHECKING:
    from nibabel import Nifti1Image


@dataclass(frozen=True)
class Synthesis:
    """A synthesised series of volumes.

    image: (x, y, z, volumes) on the grid of the model's store, RAS+.  sidecar: its BIDS JSON.
    """

    image: Nifti1Image
    sidecar: dict[str, Any]

    def write(self, out: Path) -> None:
        """Write the image, and the sidecar beside it, each whole or not at all."""
        import nibabel

        with written_whole(out) as part:
            nibabel.save(self.image, part)
        name = out.name.removesuffix(".gz").removesuffix(".nii")
        with written_whole(out.with_name(f"{name}.json")) as part:
            part.write_text(json.dumps(self.sidecar, indent=2), encoding="utf-8")


def synthesise_file(bundle: Bundle, eeg_path: Path, out: Path, volume_marker: str = AUTO) -> tuple[int, ...]:
    """Synthesise every volume that an EEG recording allows and write them as NIfTI.

    The EEG is cleaned as the model's training data were. The first volume starts `context` TRs after the first volume
    marker, or after the file's start if there is no marker. The ``StartTime`` (seconds) of a JSON sidecar beside the
    image says so. Volumes with a gap of the EEG in their context are 0, and the sidecar lists them
    (``VolumesWithoutEEG``). The image has the grid of the model's store, with the affine of its first recording,
    RAS+; voxels outside the model's brain mask are 0.

    Parameters
    ----------
    bundle : the model.
    eeg_path : EEG file that `open_eeg_file` reads. Its BIDS tables are read from the same folder:
        ``_channels.tsv``, and ``_events.tsv`` if the file itself has no volume marker.
    out : ``.nii`` or ``.nii.gz``.
    volume_marker : description of the scanner's marker, or ``auto``, as ``dataset.volume_marker``.

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
    synthesis = synthesise_recording(bundle, eeg_path, volume_marker)
    synthesis.write(out)
    return tuple(synthesis.image.shape)


def check_image_name(out: Path) -> None:
    """Refuse a name that is not a NIfTI file's."""
    if not out.name.endswith((".nii", ".nii.gz")):
        raise ConfigError(f"{out}: the output must end in .nii or .nii.gz")


def synthesise_recording(bundle: Bundle, eeg_path: Path, volume_marker: str = AUTO) -> Synthesis:
    """Synthesise what `synthesise_file` writes; parameters and errors as there."""
    windows, whole, zero = read_windows(bundle, eeg_path, volume_marker)
    if not whole.any():
        raise DatasetError(f"{eeg_path}: every context has a gap of the EEG; give EEG without so many gaps")
    volumes = np.zeros((len(whole), *bundle.signal.grid), np.float32)
    volumes[whole] = bundle.model.synthesise(windows[whole])
    sidecar = {**_sidecar(bundle, zero), "Sources": [eeg_path.name]}
    if not whole.all():
        sidecar["VolumesWithoutEEG"] = np.flatnonzero(~whole).tolist()
        logging.getLogger(__name__).warning(
            "%s: %d of %d volumes have a gap of the EEG in their context; they are 0",
            eeg_path,
            (~whole).sum(),
            len(whole),
        )
    return Synthesis(volumes_image(bundle, volumes), sidecar)


def synthesise_samples(
    bundle: Bundle, eeg: np.ndarray, sampling_rate: float, channels: Sequence[str] | None = None
) -> Synthesis:
    """Synthesise every volume that clean EEG allows; time zero is its first sample.

    Parameters
    ----------
    bundle : the model.
    eeg, sampling_rate, channels : as `Bundle.windows`.

    Raises
    ------
    RequestError
        As `Bundle.windows`.
    """
    volumes = bundle.model.synthesise(bundle.windows(np.asarray(eeg), sampling_rate, channels))
    return Synthesis(volumes_image(bundle, volumes), _sidecar(bundle, "the first sample of the EEG"))


def _sidecar(bundle: Bundle, zero: str) -> dict[str, Any]:
    tr = bundle.signal.tr
    return {
        "RepetitionTime": tr,
        "StartTime": bundle.window_shape[2] * tr,
        "Description": f"BOLD synthesised from EEG; times count from {zero}",
    }


def read_windows(
    bundle: Bundle,
    path: Path,
    volume_marker: str = AUTO,
    *,
    channels_path: Path | None = None,
    eeg_events_path: Path | None = None,
    channel_types: tuple[tuple[int, str], ...] = (),
) -> tuple[np.ndarray, np.ndarray, str]:
    """Read the EEG windows of a recording from its first volume marker on, cleaned like those of the store.

    Parameters
    ----------
    bundle, path, volume_marker : as in `synthesise_file`.
    channels_path, eeg_events_path : BIDS tables; by default those beside the file.
    channel_types : as `open_eeg_file`.

    Returns
    -------
    (n, C, F, T) windows; (n,) bool, those without a gap of the EEG; the place of time zero, in words.

    Raises
    ------
    DatasetError, AlignmentError
        If the file cannot be read, or is too short or sampled too slowly for the model.
    """
    if not path.exists():
        raise DatasetError(f"{path}: no such EEG file; correct the path")
    tr = bundle.signal.tr
    raw = open_eeg_file(path, channels_path or _beside(path, "channels"), channel_types)
    found = first_volume_marker(raw, eeg_events_path or _beside(path, "events"), volume_marker, tr)
    zero = f"the first volume marker ({found.source})" if found else "the start of the EEG file"
    found = found or Alignment(0.0, tr * raw.sampling_rate, "file start")
    first = max(0, int(np.ceil(-(found.onset + 0.5) / found.period)))  # the EEG begins later
    n_windows = int(np.floor(round((raw.n_samples - found.onset) / found.period, 6)))
    check_breaks(raw, found, n_windows)
    cleaning = CleaningConfig.model_validate(bundle.settings["cleaning"])
    eeg = read_clean_eeg(raw, tuple(bundle.settings["channel_types"]), found.onsets, cleaning)
    for line in (*raw.notes, *found.warnings, *([] if found.onsets.size else [f"time zero is {zero}"])):
        logging.getLogger(__name__).warning("%s: %s", path, line)
    with_eeg = covered(raw, found, n_windows)[first:]
    context = bundle.window_shape[2]
    try:
        windows = bundle.windows(
            eeg.data, eeg.sampling_rate, eeg.channels,
            found.onset / eeg.factor, found.period / eeg.factor, with_eeg, first,
        )  # fmt: skip
    except RequestError as err:
        raise DatasetError(f"{path}: {err}") from err
    return windows, np.convolve(with_eeg[: len(windows) + context - 1], np.ones(context, int), "valid") == context, zero


def _beside(path: Path, kind: str) -> Path | None:
    """Return the BIDS table of a kind beside an EEG file."""
    table = path.with_name(f"{path.name.rsplit('_', 1)[0]}_{kind}.tsv")
    return table if table.exists() or table.is_symlink() else None  # the read function refuses a link without content


def volumes_image(bundle: Bundle, volumes: np.ndarray) -> Nifti1Image:
    """Make a 4-D image of volumes (n, x, y, z), 0 outside the model's brain mask."""
    masked = np.moveaxis(volumes * bundle.model.bold_statistics.mask, 0, 3)
    return nifti_image(masked, bundle.signal, "synthesised from EEG by eeg2fmri")
