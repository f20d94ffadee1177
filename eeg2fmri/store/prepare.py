"""Preparation of one recording: from its files to the arrays of the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import (
    Bold,
    Recording,
    Regressors,
    align,
    framewise_displacement,
    load_bold,
    open_eeg,
    read_bold_header,
    read_clean_eeg,
    read_regressors,
    usable_windows,
)
from eeg2fmri.errors import AlignmentError
from eeg2fmri.signals import (
    DENSITY,
    POTENTIAL,
    CleanEeg,
    Signal,
    brain_courses,
    frequencies,
    regrid,
    volume_locked_share,
    window_magnitudes,
)
from eeg2fmri.simulation import read_networks, simulated_root
from eeg2fmri.store.volumes import prepare_volumes

MARKERS_TO_JUDGE = 10  # fewer volumes repeat by chance
ARTEFACT_SHARE = 0.5


@dataclass(frozen=True)
class Signals:
    """Both modalities of a recording on one clock.

    eeg: (channels, samples) in µV, cleaned.  types: lower case.  onset: sample at which the first volume starts.
    period: samples from volume to volume.  windows: (volumes - dropped - 1,) bool, those with EEG.
    source_rate: Hz at which it was recorded; the markers are whole samples of it.
    alignment: how that is known; JSON values.  interpolated: channels that were rebuilt.
    regressors: what BOLD may follow beside the EEG, of all volumes of the BOLD file.
    quality: arrays kept for quality control: marker_intervals (s), spectrum_frequencies (F,) in Hz,
    spectrum_before and spectrum_after cleaning (channels, F) in µV²/Hz, and r_peaks (s) if they were needed.
    """

    eeg: np.ndarray
    sampling_rate: float
    channels: tuple[str, ...]
    types: tuple[str, ...]
    onset: float
    period: float
    windows: np.ndarray
    bold: Bold
    alignment: Mapping[str, Any]
    interpolated: tuple[str, ...]
    source_rate: float
    regressors: Regressors
    quality: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """Arrays and attributes (JSON values) of one recording, by their names in the store, and their meaning."""

    arrays: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any]
    signal: Signal


def prepare(recording: Recording, config: DataConfig) -> Prepared:
    """Read one recording and compute its arrays and attributes for the store.

    Raises
    ------
    DatasetError, AlignmentError, ConfigError
        If the recording cannot be used.
    """
    signals = read_signals(recording, config)
    tr, n_volumes = signals.bold.tr, len(signals.bold.volumes)
    stored = prepare_volumes(recording, signals.bold, config)
    _, *grid = stored.volumes.shape
    signal = Signal(
        tr=tr,
        sampling_rate=signals.sampling_rate,
        channels=signals.channels,
        unit=DENSITY if config.current_source_density else POTENTIAL,
        frequencies=tuple(frequencies(signals.sampling_rate, tr, config.frequencies).tolist()),
        grid=(grid[0], grid[1], grid[2]),
        space=recording.space,
        affine=tuple(map(tuple, stored.affine.tolist())),
    )
    try:  # windows that no context reads are left out: those of dropped volumes, and that of the last one
        magnitudes = window_magnitudes(
            signals.eeg, signal, signals.windows,
            onset=signals.onset, period=signals.period, first=config.dropped_volumes,
        )  # fmt: skip
    except AlignmentError as err:
        raise AlignmentError(f"{recording.eeg_path}: {err}") from err
    statistics = stored.statistics
    global_signal, dvars = brain_courses(stored.volumes, statistics.mask)
    quality = {**signals.quality, "global_signal": global_signal, "dvars": dvars}
    if recording.confounds_path:
        displacement = framewise_displacement(recording.confounds_path, n_volumes)
        quality["framewise_displacement"] = displacement[config.dropped_volumes + 1 :]
    courses = signals.regressors.courses
    regressors = {kind: np.stack([*its.values()], axis=1)[config.dropped_volumes :] for kind, its in courses.items()}
    return Prepared(
        arrays={
            "spectrogram": magnitudes,
            "volumes": stored.volumes,
            "mask": statistics.mask,
            "voxel_mean": statistics.voxel_mean,
            "voxel_sd": statistics.voxel_sd,
            **quality,
            **regressors,
            **_truth(recording, config, signal.grid),
        },
        attributes={
            "name": recording.name,
            "subject": recording.subject,
            "mean": statistics.mean,
            "sd": statistics.sd,
            "orientation": signals.bold.orientation,
            "source_volumes": n_volumes,
            "gap_windows": np.flatnonzero(~signals.windows).tolist(),
            "source_sampling_rate": signals.source_rate,
            "alignment": dict(signals.alignment),
            "types": list(signals.types),
            "interpolated": list(signals.interpolated),
            "regressors": {kind: list(its) for kind, its in courses.items()},
            "no_regressors": dict(signals.regressors.absent),
        },
        signal=signal,
    )


def _truth(recording: Recording, config: DataConfig, grid: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Return what a simulator knows, for the ceilings of scores; nothing for measured data."""
    root = simulated_root(recording.eeg_path)
    if root is None:
        return {}
    found = read_networks(root, recording.subject)
    return {
        "truth_maps": regrid(found.maps, grid, config.regrid),
        "truth_driven": found.driven[config.dropped_volumes :].astype(np.float32),
        "truth_amplitudes": found.amplitudes[config.dropped_volumes :].astype(np.float32),
    }


def read_signals(recording: Recording, config: DataConfig) -> Signals:
    """Read both modalities and find their common clock; only this function knows the readers.

    Raises
    ------
    DatasetError
        If a file cannot be used, or there are fewer volumes than the context needs after the shift.
    AlignmentError
        If EEG and BOLD cannot be put on one clock.
    """
    header = read_bold_header(recording)
    raw = open_eeg(recording)
    found = align(raw, recording, header.tr, header.n_volumes)
    windows = usable_windows(raw, recording, header, found, config)
    bold = load_bold(recording)
    eeg = read_clean_eeg(raw, config.channel_types, found.onsets, config.cleaning)
    warnings = [*raw.notes, *bold.notes, *found.warnings]
    if not config.cleaning.gradient:
        warnings += _gradient_artefact(eeg, found.onsets / eeg.factor, bold.tr)
    if recording.mask_path is None and "_desc-preproc_bold" in recording.bold_path.name:
        warnings.append(f"no brain mask beside {recording.bold_path.name}: one is computed from its volumes")
    alignment = {
        "source": found.source,
        "how": found.how,
        "runner_up": found.runner_up,
        "onset_s": found.onset / raw.sampling_rate,
        "first_marker": round((found.markers[0] - found.onset) / found.period)
        if len(found.markers)
        else 0,  # its volume
        "markers_found": found.markers_found,
        "markers_missing": found.markers_missing,
        "warnings": warnings,
    }
    quality = {
        "marker_intervals": np.diff(found.markers) / raw.sampling_rate,
        "spectrum_frequencies": eeg.spectrum_frequencies,
        "spectrum_before": eeg.spectrum_before,
        "spectrum_after": eeg.spectrum_after,
    }
    if config.cleaning.pulse:
        quality["r_peaks"] = eeg.r_peaks / eeg.sampling_rate
    regressors = read_regressors(raw, recording, found, header.tr, header.n_volumes, config.cleaning)
    onset, period = found.onset / eeg.factor, found.period / eeg.factor
    return Signals(
        eeg.data, eeg.sampling_rate, eeg.channels, eeg.types, onset, period, windows, bold, alignment,
        eeg.interpolated, raw.sampling_rate, regressors, quality,
    )  # fmt: skip


def _gradient_artefact(eeg: CleanEeg, onsets: np.ndarray, tr: float) -> list[str]:
    """Warn if the EEG holds the artefact of the running scanner, by its first EEG channel."""
    rows = [row for row, kind in enumerate(eeg.types) if kind == "eeg"]
    if not rows or len(onsets) < MARKERS_TO_JUDGE:
        return []
    share = volume_locked_share(eeg.data[rows[0]], onsets, tr, eeg.sampling_rate)
    if share < ARTEFACT_SHARE:
        return []
    return [
        f"{share:.0%} of the variance of {eeg.channels[rows[0]]} repeats with every volume: the gradient artefact is "
        f"still in it; set data.cleaning.gradient=true, or set dataset.eeg to the cleaned EEG"
    ]
