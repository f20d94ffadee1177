"""From an EEG file to a 4-D NIfTI file."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eeg2fmri.config import CleaningConfig
from eeg2fmri.datasets import VOLUME_MARKER, open_eeg_file, read_clean_eeg, volume_markers
from eeg2fmri.errors import ConfigError, DatasetError, RequestError
from eeg2fmri.serving.bundle import Bundle


def synthesise_file(bundle: Bundle, eeg_path: Path, out: Path, volume_marker: str = VOLUME_MARKER) -> tuple[int, ...]:
    """Synthesise every volume that an EEG recording allows and write them as NIfTI.

    The EEG is cleaned as the model's training data were. The first volume starts `context` TRs after
    the first volume marker, or after the file's start where there is no marker. A JSON sidecar beside
    the image says so (``StartTime``, seconds). The image lies on the grid of the model's store, with the affine of
    its first recording, RAS+; voxels outside the model's brain mask are 0.

    The gradient artefact is removed from the first marker to the end of the last one's volume. For the store,
    markers are continued to both ends of the run; here no BOLD file says where those are, and a template
    subtracted where the scanner did not run would put the artefact into clean EEG.

    Parameters
    ----------
    bundle : the model.
    eeg_path : EEG file that `open_eeg_file` reads. Its BIDS tables are looked for beside it:
        ``_channels.tsv``, and ``_events.tsv`` where the file itself has no volume marker.
    out : ``.nii`` or ``.nii.gz``.
    volume_marker : description of the scanner's marker, as ``dataset.volume_marker``.

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
    volumes = bundle.model.synthesise(_read_windows(bundle, eeg_path, volume_marker))
    tr = float(bundle.signal["tr"])
    sidecar = {
        "RepetitionTime": tr,
        "StartTime": bundle.window_shape[2] * tr,
        "Description": "BOLD synthesised from EEG; times count from the first volume marker of the EEG",
        "Sources": [eeg_path.name],
    }
    volumes *= bundle.model.bold_statistics.mask
    _write_nifti(out, volumes, bundle.signal)
    name = out.name.removesuffix(".gz").removesuffix(".nii")
    out.with_name(f"{name}.json").write_text(json.dumps(sidecar, indent=2), encoding="utf-8")
    return *volumes.shape[1:], len(volumes)


def _read_windows(bundle: Bundle, path: Path, volume_marker: str) -> np.ndarray:
    """EEG windows of a recording, cleaned as those of the store were, from its first volume marker on."""
    if not path.exists():
        raise DatasetError(f"{path}: no such EEG file")
    raw = open_eeg_file(path, _beside(path, "channels"), volume_marker=volume_marker)
    markers = volume_markers(raw, _beside(path, "events"), volume_marker)
    markers = markers[markers >= 0]  # a table may list volumes from before the EEG
    cleaning = CleaningConfig.model_validate(bundle.settings["cleaning"])
    eeg = read_clean_eeg(raw, tuple(bundle.settings["channel_types"]), markers, float(bundle.signal["tr"]), cleaning)
    if not len(markers):
        logging.getLogger(__name__).warning(
            "%s: no volume marker %s in it or its event table; the first TR starts with the file", path, volume_marker
        )
    onset = float(markers[0]) / eeg.factor if len(markers) else 0.0
    try:
        return bundle.windows(eeg.data, eeg.sampling_rate, eeg.channels, onset)
    except RequestError as err:
        raise DatasetError(f"{path}: {err}") from err


def _beside(path: Path, kind: str) -> Path | None:
    """The BIDS table of a kind that lies beside an EEG file."""
    table = path.with_name(f"{path.name.rsplit('_', 1)[0]}_{kind}.tsv")
    return table if table.exists() or table.is_symlink() else None  # reading a link without content refuses it


def _write_nifti(out: Path, volumes: np.ndarray, signal: Mapping[str, Any]) -> None:
    """Write (volumes, x, y, z) as a 4-D image, whole or not at all."""
    import nibabel

    affine, space = np.asarray(signal["affine"]), "mni" if str(signal.get("space")).startswith("MNI") else "scanner"
    image: Any = nibabel.Nifti1Image(np.moveaxis(volumes, 0, 3), affine)
    image.set_sform(affine, space)
    image.set_qform(affine, space)
    image.header.set_zooms((*image.header.get_zooms()[:3], float(signal["tr"])))
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"synthesised from EEG by eeg2fmri"
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".part-{out.name}")
    try:
        nibabel.save(image, part)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
