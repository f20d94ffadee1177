"""Amplitudes that no scalp EEG has: a unit taken for another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter1d

from eeg2fmri.datasets.units import ELECTRIC
from eeg2fmri.errors import DatasetError

if TYPE_CHECKING:
    from eeg2fmri.datasets.eeg import RawEeg

# µV, see `check_amplitudes`. The bounds of EEG are a factor of 1000 apart, so that such a factor never passes.
BOUNDS = {"eeg": (0.7, 700.0), "ecg": (0.2, 5000.0), "eog": (0.2, 5000.0), "emg": (0.1, 10_000.0)}
STRETCHES, STRETCH_S, SMOOTHED_S = 8, 1.0, 0.02
_GUESSES = {6: "volts read as µV", 3: "mV read as µV", -3: "µV read as mV or nV as µV", -6: "µV read as volts"}


def check_amplitudes(raw: RawEeg, picks: Sequence[int]) -> None:
    """Refuse a recording whose amplitudes no scalp EEG has, by eight stretches of 1 s.

    The amplitude of a channel is the deviation (interquartile range / 1.349) of its means over 20 ms inside a
    stretch, the median over the stretches; that of a type of channels is the median over its channels that are
    neither constant nor bad. So offsets (250 mV of DC-coupled amplifiers), drifts and dead channels do not count, nor
    do short bursts, and of a gradient artefact of 10 mV, whose voltage has no mean over some ms, some 100 µV are left.

    EEG passes between 0.7 and 700 µV. Scalp EEG of adults is 10 to 100 µV from peak to peak, below 20 µV where it is
    called low, above 200 µV in slow sleep and 1000 µV in seizures; below 2 µV it is electrocerebral inactivity
    (Niedermeyer & Lopes da Silva, Electroencephalography, 5th ed. 2005, ch. 9 and 22). Artefacts of the
    scanner are ±10 mV (Allen et al. 2000, NeuroImage 12:230); the simulator's leave 75 µV. ECG, EOG and EMG have wider
    bounds; channels of other types are not judged.

    Raises
    ------
    DatasetError
        If an amplitude lies outside the bounds of its type, or every EEG channel is constant.
    """
    judged = [pick for pick in picks if raw.types[pick] in ELECTRIC and raw.channels[pick] not in raw.bads]
    if not judged:
        return
    length = round(STRETCH_S * raw.sampling_rate)
    starts = np.unique(np.linspace(0, max(raw.n_samples - length, 0), STRETCHES).astype(int))
    whole = [start for start in starts if not any(first < start + length and start < last for first, last in raw.gaps)]
    read = [raw.read(judged, start, start + length) for start in (whole or starts)]
    stretches = [amplitudes(stretch, raw.sampling_rate) for stretch in read]
    each = np.median(stretches, axis=0)
    for kind, (lowest, highest) in BOUNDS.items():
        rows = [row for row, pick in enumerate(judged) if raw.types[pick] == kind and np.isfinite(each[row])]
        alive = [each[row] for row in rows if each[row] > 0]
        if rows and not alive and kind == "eeg":
            raise DatasetError(f"{raw.path}: every EEG channel is constant; export or fetch it again")
        if alive and not lowest <= (found := float(np.median(alive))) <= highest:
            guess = likely_mistake(float(np.sqrt(lowest * highest)) / found)
            raise DatasetError(
                f"{raw.path}: {kind.upper()} channels of {found:.2g} µV, {lowest:g} to {highest:g} µV are expected; "
                f"looks like {guess}; correct the unit in its header or in the column units of channels.tsv"
            )


def amplitudes(data: np.ndarray, rate: float) -> np.ndarray:
    """Deviation of the means over 20 ms of one stretch, robust to offsets and bursts.

    Parameters
    ----------
    data : (channels, samples) in µV.
    rate : Hz.

    Returns
    -------
    (channels,) in µV; NaN for a channel with samples that are not finite.
    """
    smooth = uniform_filter1d(data.astype(np.float64), max(1, round(SMOOTHED_S * rate)), axis=1)
    low, high = np.percentile(smooth, (25, 75), axis=1)
    return (high - low) / 1.349


def likely_mistake(ratio: float) -> str:
    """What makes EEG smaller by `ratio` than it should be: a power of 1000, and the units that explain it."""
    power = 3 * max(1, round(abs(np.log10(ratio)) / 3)) * (1 if ratio > 1 else -1)
    guess = _GUESSES.get(power, "a wrong scale")
    return f"{guess}: 1e{abs(power)} too {'small' if power > 0 else 'large'}"
