"""From the files of one recording to what the store holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import Bold, Recording, align, load_bold, open_eeg, read_eeg
from eeg2fmri.errors import AlignmentError, DatasetError
from eeg2fmri.signals import frequencies, recording_statistics, regrid, spectrogram


@dataclass(frozen=True)
class Signals:
    """Both modalities of a recording on one clock.

    eeg: (channels, samples) in µV.  onset: sample at which the first volume starts.
    alignment: how that is known; JSON values.
    quality: arrays kept for quality control: marker_intervals (s), spectrum_* of the EEG.
    """

    eeg: np.ndarray
    sampling_rate: float
    channels: tuple[str, ...]
    onset: float
    bold: Bold
    alignment: Mapping[str, Any]
    quality: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """Arrays and attributes (JSON values) of one recording, by their names in the store."""

    arrays: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any]


def prepare(recording: Recording, config: DataConfig) -> Prepared:
    """Read one recording and compute what the store holds of it.

    Raises
    ------
    DatasetError, AlignmentError, ConfigError
        If the recording cannot be used.
    """
    signals = read_signals(recording, config)
    tr, n_volumes = signals.bold.tr, len(signals.bold.volumes)
    # Windows that no context reads are not asked for: those of dropped volumes, and that of the last one.
    onset = signals.onset + config.bold_shift * tr * signals.sampling_rate
    n_windows = n_volumes - config.bold_shift - 1
    try:
        magnitude = spectrogram(
            signals.eeg, signals.sampling_rate, tr,
            onset=onset, n_windows=n_windows, n_frequencies=config.frequencies,
        )  # fmt: skip
    except AlignmentError as err:
        raise AlignmentError(f"{recording.eeg_path}: {err}") from err
    volumes = regrid(signals.bold.volumes[config.bold_shift :], config.grid)
    mask = _brain_mask(volumes, recording)
    statistics = recording_statistics(volumes, mask, iqr=config.iqr)
    if statistics.sd == 0:
        raise DatasetError(f"{recording.bold_path}: every voxel has the value {statistics.mean:g}; fetch it again")
    signal = {
        "tr": tr,
        "sampling_rate": signals.sampling_rate,
        "channels": list(signals.channels),
        "frequencies": frequencies(signals.sampling_rate, tr, config.frequencies).tolist(),
        "grid": list(config.grid),
        "space": recording.space,
    }
    return Prepared(
        arrays={
            "spectrogram": magnitude,
            "volumes": volumes,
            "mask": mask,
            "voxel_mean": statistics.voxel_mean,
            "voxel_sd": statistics.voxel_sd,
            "global_signal": _global_signal(volumes, mask),
            **signals.quality,
        },
        attributes={
            "name": recording.name,
            "subject": recording.subject,
            "mean": statistics.mean,
            "sd": statistics.sd,
            "affine": _regridded_affine(signals.bold.affine, signals.bold.volumes.shape[1:], config.grid).tolist(),
            "source_volumes": n_volumes,
            "alignment": dict(signals.alignment),
            "signal": signal,
        },
    )


def read_signals(recording: Recording, config: DataConfig) -> Signals:
    """Read both modalities and find their common clock: the one place that knows the readers.

    Raises
    ------
    DatasetError
        If a file cannot be used, or there are fewer volumes than the context needs after the shift.
    AlignmentError
        If EEG and BOLD cannot be put on one clock.
    """
    bold = load_bold(recording)
    n_volumes = len(bold.volumes)
    needed = config.bold_shift + config.context + 1
    if n_volumes < needed:
        raise DatasetError(
            f"{recording.bold_path}: {n_volumes} volumes, at least {needed} are needed "
            f"(shift {config.bold_shift} + context {config.context} + 1); shorten data.context or drop the recording"
        )
    raw = open_eeg(recording)
    found = align(raw, recording, bold.tr, n_volumes)
    eeg = read_eeg(raw, config.channel_types)
    alignment = {
        "source": found.source,
        "onset_s": found.onset / raw.sampling_rate,
        "markers_found": found.markers_found,
        "markers_missing": found.markers_missing,
        "warnings": list(found.warnings),
    }
    quality = {"marker_intervals": np.diff(raw.markers) / raw.sampling_rate}
    return Signals(eeg.data, eeg.sampling_rate, eeg.channels, found.onset, bold, alignment, quality)


def _global_signal(volumes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean intensity in the brain of each volume, (volumes,)."""
    order: Literal["F", "C"] = "F" if volumes[0].flags.f_contiguous else "C"  # as they lie in memory
    inside = mask.ravel(order=order)
    return np.array([volume.ravel(order=order)[inside].mean(dtype=np.float64) for volume in volumes], np.float32)


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
