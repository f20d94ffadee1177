"""Cleaning of in-scanner EEG for users of MNE-Python: a recording in, a cleaned copy out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri.config import CleaningConfig, parse
from eeg2fmri.datasets.cleaned import R_PEAK, read_clean_eeg
from eeg2fmri.datasets.eeg import RawEeg
from eeg2fmri.datasets.recording import AUTO
from eeg2fmri.datasets.triggers import trigger_changes
from eeg2fmri.datasets.units import Scales
from eeg2fmri.datasets.volume_markers import first_volume_marker
from eeg2fmri.errors import AlignmentError, DatasetError

if TYPE_CHECKING:
    from mne.io import BaseRaw

VOLTAGES = ("eeg", "ecg", "eog", "emg")  # channels in which the scanner induces a voltage


def remove_gradient(raw: BaseRaw, tr: float, *, volume_marker: str = AUTO, template: int = 21) -> BaseRaw:
    """Remove the gradient artefact of the running scanner from EEG.

    The artefact of a volume is the mean over the volumes around it (Allen et al. 2000). Volumes may start between two
    samples. Do this at the amplifier's full rate, before any filter.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        The recording (n channels, m samples), at least 1 kHz. Its annotations or its stim channel hold the
        scanner's volume markers. EEG, ECG, EOG and EMG channels are cleaned. It is not changed.
    tr : float
        Seconds between volumes.
    volume_marker : str, default="auto"
        Description of the scanner's marker, for example ``"R128"``. ``"auto"`` finds it by its rhythm.
    template : int, default=21
        Volumes in the sliding mean, an odd number.

    Returns
    -------
    mne.io.BaseRaw
        A cleaned copy, in memory. Samples outside the scan are as they were.

    Raises
    ------
    AlignmentError
        If no marker has the rhythm of the volumes, two markers have it, or there are fewer volumes than `template`.
    ConfigError
        If `template` is even or below 3.
    DatasetError
        If a sample is not finite, or the amplitudes cannot be volts.

    References
    ----------
    Allen, Josephs & Turner 2000, NeuroImage 12:230.

    Examples
    --------
    >>> raw = mne.io.read_raw_brainvision("sub-01_task-rest_eeg.vhdr")  # doctest: +SKIP
    >>> clean = eeg2fmri.remove_gradient(raw, tr=2.0)  # doctest: +SKIP
    >>> clean = eeg2fmri.remove_pulse(clean.resample(250))  # doctest: +SKIP
    """
    settings = {"gradient": True, "template": template, "interpolate_bads": False}
    config = parse(CleaningConfig, settings, "remove_gradient")
    opened = _opened(raw)
    found = first_volume_marker(opened, None, volume_marker, tr)
    if found is None:
        raise AlignmentError(
            f"{opened.path}: no marker comes every {tr:g} s; check tr, or name the scanner's marker (volume_marker)"
        )
    return _cleaned(raw, opened, VOLTAGES, found.onsets, config)


def remove_pulse(raw: BaseRaw, *, n_components: int = 4) -> BaseRaw:
    """Remove the pulse artefact (ballistocardiogram) from EEG.

    The mean beat and its principal components, of blocks of about 300 beats, are fitted beat by beat (Niazy et al.
    2005). R peaks are those that annotations mark (``Pulse Artifact/R``, as BrainVision Analyzer writes them), else
    those of the ECG channel. Remove the gradient artefact first, and resample to about 250 Hz: that saves much time.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        The recording (n channels, m samples). Its EEG channels are cleaned. It is not changed.
    n_components : int, default=4
        Principal components that are removed beside the mean beat.

    Returns
    -------
    mne.io.BaseRaw
        A cleaned copy, in memory. EEG slower than 0.5 Hz is as it was.

    Raises
    ------
    DatasetError
        If there is neither a good ECG channel nor a marked R peak, no plausible heart beat is found, or a sample
        is not finite.
    ConfigError
        If `n_components` is below 1.

    References
    ----------
    Niazy, Beckmann, Iannetti, Brady & Smith 2005, NeuroImage 28:720.

    Examples
    --------
    >>> raw.set_channel_types({"ECG": "ecg"})  # doctest: +SKIP
    >>> clean = eeg2fmri.remove_pulse(raw)  # doctest: +SKIP
    """
    settings = {"pulse": True, "pulse_components": n_components, "interpolate_bads": False}
    config = parse(CleaningConfig, settings, "remove_pulse")
    opened = _opened(raw)
    good = [name for name, kind in zip(opened.channels, opened.types, strict=True) if kind == "ecg"]
    if not set(good) - set(opened.bads) and not any(text == R_PEAK for _, text in opened.events):
        raise DatasetError(
            f"{opened.path}: no good ECG channel and no marker {R_PEAK!r}; name the ECG: "
            "raw.set_channel_types({'NAME': 'ecg'})"
        )
    return _cleaned(raw, opened, ("eeg",), np.empty(0), config)


def _opened(raw: BaseRaw) -> RawEeg:
    """Open a recording of MNE in the way this package opens a file."""
    rate, origin = float(raw.info["sfreq"]), float(raw.first_time)
    name = next((file for file in raw.filenames if file), None)
    return RawEeg(
        path=Path(name) if name else Path("raw"),
        sampling_rate=rate,
        n_samples=int(raw.n_times),
        channels=tuple(raw.ch_names),
        types=tuple(raw.get_channel_types()),
        bads=tuple(raw.info["bads"]),
        events=tuple((float(mark["onset"]) - origin, str(mark["description"])) for mark in raw.annotations),
        triggers=lambda names: tuple((sample / rate, text) for sample, text in trigger_changes(raw, names)),
        scales=Scales(np.full(len(raw.ch_names), 1e6), ("",) * len(raw.ch_names), ()),  # MNE holds volts
        _reader=lambda picks, start, stop: np.asarray(raw.get_data(picks, start, stop, verbose="error")),
    )


def _cleaned(
    raw: BaseRaw, opened: RawEeg, kinds: tuple[str, ...], volumes: np.ndarray, config: CleaningConfig
) -> BaseRaw:
    """Return a copy of `raw` in which the channels of these kinds are cleaned."""
    found = read_clean_eeg(opened, kinds, volumes, config)
    copy = raw.copy().load_data(verbose="error")
    copy[list(found.channels), :] = found.data * 1e-6
    return copy
