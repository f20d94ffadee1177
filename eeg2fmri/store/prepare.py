"""From the files of one recording to what the store holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eeg2fmri.config import DataConfig
from eeg2fmri.datasets import (
    Bold,
    Recording,
    align,
    load_bold,
    open_eeg,
    read_clean_eeg,
    volume_markers,
    volume_onsets,
)
from eeg2fmri.errors import AlignmentError, DatasetError
from eeg2fmri.signals import (
    CleanEeg,
    current_source_density,
    frequencies,
    known,
    spectrogram,
    volume_locked_share,
)
from eeg2fmri.store.volumes import prepare_volumes

MARKERS_TO_JUDGE = 10  # fewer volumes repeat by chance
ARTEFACT_SHARE = 0.5


@dataclass(frozen=True)
class Signals:
    """Both modalities of a recording on one clock.

    eeg: (channels, samples) in µV, cleaned.  types: lower case.  onset: sample at which the first volume starts.
    alignment: how that is known; JSON values.  interpolated: channels that were rebuilt.
    quality: arrays kept for quality control: marker_intervals (s), spectrum_frequencies (F,) in Hz,
    spectrum_before and spectrum_after cleaning (channels, F) in µV²/Hz, and r_peaks (s) where they were needed.
    """

    eeg: np.ndarray
    sampling_rate: float
    channels: tuple[str, ...]
    types: tuple[str, ...]
    onset: float
    bold: Bold
    alignment: Mapping[str, Any]
    interpolated: tuple[str, ...]
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
    eeg = _density(signals, recording) if config.current_source_density else signals.eeg
    try:
        magnitude = spectrogram(
            eeg, signals.sampling_rate, tr,
            onset=onset, n_windows=n_windows, n_frequencies=config.frequencies,
        )  # fmt: skip
    except AlignmentError as err:
        raise AlignmentError(f"{recording.eeg_path}: {err}") from err
    stored = prepare_volumes(recording, signals.bold, config)
    statistics = stored.statistics
    signal = {
        "tr": tr,
        "sampling_rate": signals.sampling_rate,
        "channels": list(signals.channels),
        "unit": "mV/m²" if config.current_source_density else "µV",
        "frequencies": frequencies(signals.sampling_rate, tr, config.frequencies).tolist(),
        **stored.signal,
        "space": recording.space,
    }
    return Prepared(
        arrays={
            "spectrogram": magnitude,
            "volumes": stored.volumes,
            "mask": statistics.mask,
            "voxel_mean": statistics.voxel_mean,
            "voxel_sd": statistics.voxel_sd,
            "global_signal": stored.global_signal,
            **signals.quality,
        },
        attributes={
            "name": recording.name,
            "subject": recording.subject,
            "mean": statistics.mean,
            "sd": statistics.sd,
            "affine": stored.affine.tolist(),
            "orientation": signals.bold.orientation,
            "source_volumes": n_volumes,
            "alignment": dict(signals.alignment),
            "types": list(signals.types),
            "interpolated": list(signals.interpolated),
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
    onsets = volume_onsets(raw, recording, found, bold.tr, n_volumes)
    eeg = read_clean_eeg(raw, config.channel_types, onsets, bold.tr, config.cleaning)
    markers = volume_markers(raw, recording.eeg_events_path, recording.volume_marker)
    before = (markers[0] - found.onset) / (bold.tr * raw.sampling_rate) if len(markers) else 0
    warnings = [*raw.notes, *bold.notes, *found.warnings]
    if not config.cleaning.gradient:
        warnings += _gradient_artefact(eeg, onsets / eeg.factor, bold.tr)
    if recording.mask_path is None and "_desc-preproc_bold" in recording.bold_path.name:
        warnings.append(f"no brain mask beside {recording.bold_path.name}: one is computed from its volumes")
    alignment = {
        "source": found.source,
        "onset_s": found.onset / raw.sampling_rate,
        "first_marker": round(before),  # its volume
        "markers_found": found.markers_found,
        "markers_missing": found.markers_missing,
        "warnings": warnings,
    }
    quality = {
        "marker_intervals": np.diff(markers) / raw.sampling_rate,
        "spectrum_frequencies": eeg.spectrum_frequencies,
        "spectrum_before": eeg.spectrum_before,
        "spectrum_after": eeg.spectrum_after,
    }
    if config.cleaning.pulse:
        quality["r_peaks"] = eeg.r_peaks / eeg.sampling_rate
    onset = found.onset / eeg.factor
    return Signals(
        eeg.data, eeg.sampling_rate, eeg.channels, eeg.types, onset, bold, alignment, eeg.interpolated, quality
    )


def _gradient_artefact(eeg: CleanEeg, onsets: np.ndarray, tr: float) -> list[str]:
    """A warning where the EEG holds the artefact of the running scanner, by its first EEG channel."""
    rows = [row for row, kind in enumerate(eeg.types) if kind == "eeg"]
    if not rows or len(onsets) < MARKERS_TO_JUDGE:
        return []
    share = volume_locked_share(eeg.data[rows[0]], onsets, tr, eeg.sampling_rate)
    if share < ARTEFACT_SHARE:
        return []
    return [
        f"{share:.0%} of the variance of {eeg.channels[rows[0]]} repeats with every volume: the gradient artefact is "
        f"still in it; set data.cleaning.gradient=true, or point dataset.eeg at the cleaned EEG"
    ]


def _density(signals: Signals, recording: Recording) -> np.ndarray:
    """The surface Laplacian, which every EEG channel must take part in."""
    positioned = known(signals.channels)
    for row, kind in enumerate(signals.types):
        if kind == "eeg" and row not in positioned:
            raise DatasetError(
                f"{recording.eeg_path}: {signals.channels[row]} is no 10-05 position, so data.current_source_density "
                f"cannot be had of it; rename the channel, give it another type, or set it to false"
            )
    try:
        return current_source_density(signals.eeg, signals.channels)
    except DatasetError as err:
        raise DatasetError(f"{recording.eeg_path}: {err}") from err
