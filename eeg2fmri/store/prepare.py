"""From the signals of one recording to what the store holds of it."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

import numpy as np

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import Alignment, Bold, Eeg, Recording
from eeg2fmri.errors import AlignmentError, DatasetError
from eeg2fmri.signals import frequencies, recording_statistics, regrid, spectrogram

logger = logging.getLogger(__name__)


def prepare(eeg: Eeg, bold: Bold, alignment: Alignment, recording: Recording, config: DataConfig) -> dict[str, Any]:
    """Arrays and attributes of one recording, from its signals.

    Raises
    ------
    DatasetError
        If fewer volumes than the context needs are left after the shift.
    """
    n_volumes = len(bold.volumes)
    needed = config.bold_shift + config.context + 1
    if n_volumes < needed:
        raise DatasetError(
            f"{recording.bold_path}: {n_volumes} volumes, at least {needed} are needed "
            f"(shift {config.bold_shift} + context {config.context} + 1); shorten data.context or drop the recording"
        )
    for warning in alignment.warnings:
        logger.warning("%s: %s", recording.eeg_path, warning)
    # Windows of dropped volumes are not needed: an EEG that starts after the scanner has none of them.
    onset = alignment.onset + config.bold_shift * bold.tr * eeg.sampling_rate
    n_windows = n_volumes - config.bold_shift
    try:
        magnitude = spectrogram(
            eeg.data, eeg.sampling_rate, bold.tr, onset=onset, n_windows=n_windows, n_frequencies=config.frequencies
        )
    except AlignmentError as err:
        raise AlignmentError(f"{recording.eeg_path}: {err}") from err
    volumes = regrid(bold.volumes[config.bold_shift :], config.grid)
    mask = _brain_mask(volumes, recording)
    statistics = recording_statistics(volumes, mask, iqr=config.iqr)
    if statistics.sd == 0:
        raise DatasetError(f"{recording.bold_path}: every voxel has the value {statistics.mean:g}; fetch it again")
    signal = {
        "tr": bold.tr,
        "sampling_rate": eeg.sampling_rate,
        "channels": list(eeg.channels),
        "frequencies": frequencies(eeg.sampling_rate, bold.tr, config.frequencies).tolist(),
        "grid": list(config.grid),
        "space": recording.space,
    }
    return {
        "arrays": {
            "spectrogram": magnitude,
            "volumes": volumes,
            "mask": mask,
            "voxel_mean": statistics.voxel_mean,
            "voxel_sd": statistics.voxel_sd,
        },
        "attributes": {
            "name": recording.name,
            "subject": recording.subject,
            "mean": statistics.mean,
            "sd": statistics.sd,
            "affine": _regridded_affine(bold.affine, bold.volumes.shape[1:], config.grid).tolist(),
            "source_volumes": n_volumes,
            "alignment": asdict(alignment),
            "signal": signal,
        },
    }


def _brain_mask(volumes: np.ndarray, recording: Recording) -> np.ndarray:
    """EPI brain mask of the mean volume (nilearn's histogram method, as in SPM and Nipype)."""
    import nibabel
    from nilearn.masking import compute_epi_mask

    mean = nibabel.Nifti1Image(volumes.mean(axis=0, dtype=np.float64).astype(np.float32), np.eye(4))
    small = min(mean.shape) < 16  # morphological opening would erase a tiny grid
    try:
        mask = compute_epi_mask(mean, opening=0 if small else 2, connected=not small, ensure_finite=True)
    except Exception as err:
        raise DatasetError(f"{recording.bold_path}: no brain mask can be found in it ({err})") from err
    found = np.asarray(mask.dataobj).astype(bool)
    if not found.any():
        raise DatasetError(f"{recording.bold_path}: no brain mask can be found in it; check the volumes")
    return found


def _regridded_affine(affine: np.ndarray, old: tuple[int, ...], new: tuple[int, int, int]) -> np.ndarray:
    """Affine of a volume resampled over the same field of view (voxel edges stay in place)."""
    scale = np.asarray(old) / np.asarray(new)
    change = np.diag([*scale, 1.0])
    change[:3, 3] = (scale - 1) / 2
    return affine @ change
