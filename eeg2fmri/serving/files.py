"""From an EEG file to a 4-D NIfTI file."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.errors import ConfigError, DatasetError, RequestError
from eeg2fmri.serving.bundle import Bundle


def synthesise_file(bundle: Bundle, eeg_path: Path, out: Path) -> tuple[int, ...]:
    """Synthesise every volume that an EEG recording allows and write them as NIfTI.

    The EEG is cleaned as the model's training data were. The first volume starts `context` TRs after
    the first volume marker, or after the file's start where there is no marker. A JSON sidecar beside
    the image says so (``StartTime``, seconds).

    Parameters
    ----------
    bundle : the model.
    eeg_path : EEG file that MNE reads, with a ``_channels.tsv`` beside it if it is BIDS.
    out : ``.nii`` or ``.nii.gz``.

    Returns
    -------
    Shape of the image, (x, y, z, volumes).

    Raises
    ------
    ConfigError
        If `out` is not named as a NIfTI file.
    DatasetError
        If the EEG is missing, damaged, too short, or lacks channels.
    """
    if not out.name.endswith((".nii", ".nii.gz")):
        raise ConfigError(f"{out}: the output must end in .nii or .nii.gz")
    volumes = bundle.model.synthesise(_read_windows(bundle, eeg_path))
    tr = float(bundle.signal["tr"])
    sidecar = {
        "RepetitionTime": tr,
        "StartTime": bundle.window_shape[2] * tr,
        "Description": "BOLD synthesised from EEG; times count from the first volume marker of the EEG",
        "Sources": [eeg_path.name],
    }
    _write_nifti(out, volumes, np.asarray(bundle.signal["affine"]), tr)
    name = out.name.removesuffix(".gz").removesuffix(".nii")
    out.with_name(f"{name}.json").write_text(json.dumps(sidecar, indent=2), encoding="utf-8")
    return *volumes.shape[1:], len(volumes)


def _read_windows(bundle: Bundle, path: Path) -> np.ndarray:
    """EEG windows of a recording, cleaned as those of the store were, from its first volume marker on."""
    from eeg2fmri.datasets import open_eeg_file, read_clean_eeg

    if not path.exists():
        raise DatasetError(f"{path}: no such EEG file")
    beside = path.with_name(path.name.rsplit("_", 1)[0] + "_channels.tsv")
    raw = open_eeg_file(path, beside if beside.exists() else None)
    cleaning = CleaningConfig.model_validate(bundle.settings["cleaning"])
    eeg = read_clean_eeg(
        raw, tuple(bundle.settings["channel_types"]), raw.markers, float(bundle.signal["tr"]), cleaning
    )
    if not len(raw.markers):
        logging.getLogger(__name__).warning("%s: no volume marker; the first TR starts with the file", path)
    onset = float(raw.markers[0]) / eeg.factor if len(raw.markers) else 0.0
    try:
        return bundle.windows(eeg.data, eeg.sampling_rate, eeg.channels, onset)
    except RequestError as err:
        raise DatasetError(f"{path}: {err}") from err


def _write_nifti(out: Path, volumes: np.ndarray, affine: np.ndarray, tr: float) -> None:
    """Write (volumes, x, y, z) as a 4-D image, whole or not at all."""
    import nibabel

    image: Any = nibabel.Nifti1Image(np.moveaxis(volumes, 0, 3), affine)
    image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"synthesised from EEG by eeg2fmri"
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".part-{out.name}")
    try:
        nibabel.save(image, part)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
