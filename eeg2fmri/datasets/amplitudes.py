"""Amplitudes that no scalp EEG has: signs of a wrong unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter1d

from eeg2fmri.datasets.units import ELECTRIC
from eeg2fmri.errors import DatasetError
from eeg2fmri.signals import check_finite

if TYPE_CHECKING:
    from eeg2fmri.datasets.eeg import RawEeg

# µV, see `Amplitudes`. The bounds of EEG are a factor of 1000 apart, so that such a factor never passes.
BOUNDS = {"eeg": (0.7, 700.0), "ecg": (0.2, 5000.0), "eog": (0.2, 5000.0), "emg": (0.1, 10_000.0)}
STRETCHES, STRETCH_S, SMOOTHED_S = 8, 1.0, 0.02
APART = 300.0  # times: a channel that differs so much from the others has another unit, or no contact
_GUESSES = {6: "volts read as µV", 3: "mV read as µV", -3: "µV read as mV or nV as µV", -6: "µV read as volts"}


class Amplitudes:
    """Amplitudes of the channels of a recording, from eight stretches of 1 s, and their test against scalp EEG.

    The amplitude of a channel in a stretch is the deviation (interquartile range / 1.349) of its means over 20 ms.
    The median over the stretches counts. The amplitude of a type is the median over its channels that are neither
    constant nor bad. So offsets (250 mV of DC-coupled amplifiers), drifts, dead channels and short bursts do not count.
    A gradient artefact of 10 mV averages out within a few ms: about 100 µV are left of it.

    EEG passes between 0.7 and 700 µV. Scalp EEG of adults is 10 to 100 µV from peak to peak, below 20 µV where it is
    called low, above 200 µV in slow sleep and 1000 µV in seizures; below 2 µV it is electrocerebral inactivity
    (Niedermeyer & Lopes da Silva, Electroencephalography, 5th ed. 2005, ch. 9 and 22). Artefacts of the
    scanner are ±10 mV (Allen et al. 2000, NeuroImage 12:230); the simulator's leave 75 µV. ECG, EOG and EMG have wider
    bounds; channels of other types are not judged. One channel is refused if it is outside the bounds and is 300 times
    as large or small as the others of its type.

    Parameters
    ----------
    raw : the EEG, opened.
    picks : indices of the channels that are judged.
    """

    def __init__(self, raw: RawEeg, picks: Sequence[int]) -> None:
        self._raw, self._picks = raw, sorted(picks)
        self._waiting = {pick for pick in picks if raw.types[pick] in ELECTRIC and raw.channels[pick] not in raw.bads}
        self._found: dict[int, float] = {}
        length = round(STRETCH_S * raw.sampling_rate)
        starts = np.unique(np.linspace(0, max(raw.n_samples - length, 0), STRETCHES).astype(int))
        stretches = [(int(start), int(start) + length) for start in starts]
        whole = [(start, stop) for start, stop in stretches if not any(a < stop and start < b for a, b in raw.gaps)]
        self._stretches = whole or stretches

    def check(self) -> None:
        """Read the stretches; refuse samples that are not finite, and amplitudes that `measure` refuses."""
        stretches = [self._raw.read(self._picks, start, stop) for start, stop in self._stretches]
        try:
            check_finite(np.concatenate(stretches, axis=1), [self._raw.channels[pick] for pick in self._picks])
        except DatasetError as err:
            raise DatasetError(f"{self._raw.path}: {err}") from err
        rows = [row for row, pick in enumerate(self._picks) if pick in self._waiting]
        if rows:
            self._add([self._picks[row] for row in rows], [stretch[rows] for stretch in stretches])

    def measure(self, picks: Sequence[int], data: np.ndarray) -> None:
        """Take whole channels, (len(picks), samples) in µV; once all are there, refuse amplitudes of no scalp EEG.

        Raises
        ------
        DatasetError
            If an amplitude is outside the bounds of its type, or every EEG channel is constant.
        """
        rows = [row for row, pick in enumerate(picks) if pick in self._waiting]
        if rows:
            self._add([picks[row] for row in rows], [data[rows, start:stop] for start, stop in self._stretches])

    def _add(self, picks: Sequence[int], stretches: Sequence[np.ndarray]) -> None:
        each = np.median([amplitudes(stretch, self._raw.sampling_rate) for stretch in stretches], axis=0)
        self._found.update(zip(picks, each.tolist(), strict=True))
        self._waiting.difference_update(picks)
        if not self._waiting:
            self._judge()

    def _judge(self) -> None:
        path = self._raw.path
        for kind, (lowest, highest) in BOUNDS.items():
            values = {p: v for p, v in self._found.items() if self._raw.types[p] == kind and np.isfinite(v)}
            alive = {pick: value for pick, value in values.items() if value > 0}
            if values and not alive and kind == "eeg":
                raise DatasetError(f"{path}: every EEG channel is constant; export or fetch it again")
            if not alive:
                continue
            if not lowest <= (found := float(np.median(list(alive.values())))) <= highest:
                guess = likely_mistake(float(np.sqrt(lowest * highest)) / found)
                raise DatasetError(
                    f"{path}: {kind.upper()} channels of {found:.2g} µV, {lowest:g} to {highest:g} µV are expected; "
                    f"it looks like {guess}; correct the unit in its header or in the column units of channels.tsv"
                )
            for pick, value in alive.items():
                if not lowest <= value <= highest and not found / APART < value < found * APART:
                    raise DatasetError(
                        f"{path}: channel {self._raw.channels[pick]} has {value:.2g} µV, the other {kind.upper()} "
                        f"channels {found:.2g} µV; correct its unit, or mark it as bad (column status of channels.tsv)"
                    )


def amplitudes(data: np.ndarray, rate: float) -> np.ndarray:
    """Compute the deviation of the means over 20 ms of one stretch, robust to offsets and bursts.

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
    """Name the mistake that makes EEG smaller by `ratio`: a power of 1000, and the units that explain it."""
    power = 3 * max(1, round(abs(np.log10(ratio)) / 3)) * (1 if ratio > 1 else -1)
    guess = _GUESSES.get(power, "a wrong scale")
    return f"{guess}: 1e{abs(power)} too {'small' if power > 0 else 'large'}"
