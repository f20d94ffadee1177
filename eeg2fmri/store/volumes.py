"""Volumes of one recording in the store: grid, mask, statistics and affine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import Bold, Recording, load_mask
from eeg2fmri.errors import DatasetError
from eeg2fmri.signals import BoldStatistics, recording_statistics, regrid


@dataclass(frozen=True)
class StoredVolumes:
    """Volumes that are not dropped, (volumes, x, y, z), with statistics (and mask) and affine in mm."""

    volumes: np.ndarray
    statistics: BoldStatistics
    affine: np.ndarray


def prepare_volumes(recording: Recording, bold: Bold, config: DataConfig) -> StoredVolumes:
    """Bring volumes to the grid of the store; they keep their own if `config` sets none.

    Raises
    ------
    DatasetError
        If there is no brain in them, their mask is of other volumes, or all voxels are equal.
    """
    own = bold.volumes.shape[1:]
    grid = config.grid or (own[0], own[1], own[2])
    volumes = regrid(bold.volumes[config.dropped_volumes :], grid, config.regrid)
    statistics = recording_statistics(volumes, iqr=config.iqr)
    if statistics.sd == 0:
        raise DatasetError(f"{recording.bold_path}: every voxel has the value {statistics.mean:g}; fetch it again")
    if recording.mask_path:
        mask = _read_mask(recording, bold, grid, config)
    else:
        mask = _brain_mask(statistics.voxel_mean, recording)
    return StoredVolumes(volumes, replace(statistics, mask=mask), _regridded_affine(bold.affine, own, grid))


def _read_mask(recording: Recording, bold: Bold, grid: tuple[int, int, int], config: DataConfig) -> np.ndarray:
    """Read the brain mask that came with the volumes; on another grid a voxel is brain if half of it is."""
    path: Any = recording.mask_path
    mask = regrid(load_mask(path, bold, recording.orientation)[None], grid, config.regrid)[0] > 0.5
    if not mask.any():
        raise DatasetError(f"{path}: no voxel of the mask is brain; fetch or compute it again")
    return mask


def _brain_mask(voxel_mean: np.ndarray, recording: Recording) -> np.ndarray:
    """Compute the EPI brain mask of the mean volume (nilearn's histogram method, as in SPM and Nipype)."""
    import nibabel
    from nilearn.masking import compute_epi_mask

    mean = nibabel.Nifti1Image(voxel_mean, np.eye(4))
    small = min(mean.shape) < 16  # morphological opening would erase a tiny grid
    try:
        mask = compute_epi_mask(mean, opening=0 if small else 2, connected=not small, ensure_finite=True)
    except Exception as err:
        raise DatasetError(
            f"{recording.bold_path}: no brain mask can be computed from it ({err}); check the volumes"
        ) from err
    found = np.asarray(mask.dataobj).astype(bool)
    if not found.any():
        raise DatasetError(f"{recording.bold_path}: no brain mask can be computed from it; check the volumes")
    return found


def _regridded_affine(affine: np.ndarray, old: tuple[int, ...], new: tuple[int, int, int]) -> np.ndarray:
    """Compute the affine of a volume resampled over the same field of view (voxel edges stay in place)."""
    scale = np.asarray(old) / np.asarray(new)
    change = np.diag([*scale, 1.0])
    change[:3, 3] = (scale - 1) / 2
    return affine @ change
