"""Synthesis while EEG arrives: blocks of samples with their times in, one volume per TR out.

It knows no source of samples; `lsl` reads a Lab Streaming Layer stream. C channels, F frequencies, T windows of a
context. A *place* counts samples on the time axis of the stream: place p is p samples after the first sample, pauses
included, as on the axis of a file (`eeg2fmri.datasets.continuity`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eeg2fmri.errors import RequestError, StreamError
from eeg2fmri.serving.bundle import Bundle

# Seconds by which the time between two samples may be wrong. Sources give times when a block arrives, which varies by
# some hundredths of a second; it is below 5 % of a window of 2 s. A longer step is a gap.
JITTER_S = 0.1
LONGEST_GAP_S = 3600.0  # as in files
DRIFT = 1.0  # samples by which windows may be wrong before they follow the times
ROUNDING = 1e-6  # of the largest value; EEG on the offset of an electrode, up to 250 mV, changes by more
WRONG_RATE = 0.1  # of a window: the samples do not have the rate that the stream states


@dataclass(frozen=True)
class LiveVolume:
    """One volume of a stream.

    number: from 0.  time: s, on the clock of the stream's times, at which the volume starts; its context ends there.
    values: (x, y, z) float32, 0 outside the model's brain mask; ``None`` if a window of its context has no EEG.
    """

    number: int
    time: float
    values: np.ndarray | None


class LiveSynthesis:
    """A model that follows a stream of EEG; its memory does not grow.

    Windows of one TR start at the first sample and follow each other by the times of the samples. Their volumes are
    those of `synthesise_samples` on the same samples, which also uses windows without change. If the clocks of EEG and
    times differ, windows follow the times.
    A window that touches a gap, or a sample that is not finite, has no EEG, as in files. Nor has one in which no
    channel changes, because the amplifier is off.

    Parameters
    ----------
    bundle : the model.
    sampling_rate : Hz, as the stream states it.
    channels : names of the rows of a block; ``None`` means the model's channels in its order.
    max_interpolated : share of the model's channels that may be missing; they are interpolated.

    Raises
    ------
    RequestError
        As `Bundle.with_missing` and `Bundle.windows`.

    Examples
    --------
    >>> live = LiveSynthesis(bundle, 250.0, channels)  # doctest: +SKIP
    >>> for eeg, times in blocks:  # doctest: +SKIP
    ...     for volume in live.push(eeg, times):
    ...         show(volume.time, volume.values)
    """

    def __init__(
        self, bundle: Bundle, sampling_rate: float, channels: Sequence[str] | None = None, max_interpolated: float = 0.0
    ) -> None:
        self._bundle, self._rate = bundle, float(sampling_rate)
        names = list(bundle.signal.channels if channels is None else channels)
        self._n_channels = len(names)
        # Interpolation is linear: the response to one unit in each channel gives its matrix.
        units, self._names, self.interpolated = bundle.with_missing(
            np.eye(len(names), dtype=np.float32), names, max_interpolated
        )
        self._to_all = units if self.interpolated else None
        self._rows = bundle.rows(self._names)
        self._period = self._rate * bundle.signal.tr
        self._span = int(np.ceil(self._period))
        context = bundle.window_shape[2]
        self._context: deque[np.ndarray | None] = deque(maxlen=context)
        self._buffer = np.zeros((len(self._names), 2 * self._span), np.float32)
        self._times = np.zeros(2 * self._span)
        self._base = self._filled = 0  # place of the first sample in the buffer; samples in it
        self._window = self._with_eeg_from = 0  # number of the next window; place of the end of the last gap
        self._lag = 0.0  # samples by which places are ahead of the times
        self._checked = False
        self._zero = self._last = np.nan  # times of the first and the last sample
        # A try without EEG refuses wrong channels now, and makes the first volume as quick as the others.
        self._nothing = self._magnitudes(self._buffer[:, : self._span])
        self._synthesise([self._nothing] * context)

    @property
    def zero(self) -> float:
        """Time of the first sample, s; NaN before it."""
        return self._zero

    def push(self, eeg: np.ndarray, times: np.ndarray) -> Iterator[LiveVolume]:
        """Take the next samples, and yield the volumes that are due; iterate over all of them before the next push.

        Parameters
        ----------
        eeg : (channels, n) in µV, clean.
        times : (n,) s, when each sample was measured.

        Raises
        ------
        RequestError
            If shapes differ, or the unit is not µV (`Bundle.check_scale`, once).
        StreamError
            If times go back by more than a TR, pause for over an hour, or do not fit the sampling rate.
        """
        eeg, times = np.asarray(eeg, np.float32), np.asarray(times, np.float64)
        if eeg.ndim != 2 or eeg.shape != (self._n_channels, times.size):
            raise RequestError(
                f"eeg: shape {eeg.shape} with {times.size} times, expected ({self._n_channels}, {times.size})"
            )
        if not times.size:
            return
        if not np.isfinite(times).all():
            raise StreamError("a sample has no time; check the source of the stream")
        if self._to_all is not None:
            eeg = self._to_all @ eeg
        if np.isnan(self._zero):
            self._zero = float(times[0])
            self._last = self._zero - 1 / self._rate
        steps = np.diff(times, prepend=self._last) - 1 / self._rate
        cuts = np.flatnonzero(np.abs(steps) > JITTER_S).tolist()
        starts = sorted({0, *cuts})
        for start, stop in zip(starts, [*starts[1:], times.size], strict=True):
            if start in cuts:
                self._skip(float(steps[start]), float(times[start]))
            yield from self._append(eeg[:, start:stop], times[start:stop])
        self._last = float(times[-1])

    def _skip(self, pause: float, time: float) -> None:
        """Move on after a gap of `pause` s, to the place of the first sample after it."""
        if pause > LONGEST_GAP_S or pause < -self._bundle.signal.tr:
            way = f"pauses for {pause:.0f} s" if pause > 0 else f"goes back by {-pause:.1f} s"
            raise StreamError(f"the clock of the stream {way}; start again")
        end = self._base + self._filled
        place = self._place(time)
        self._lag += max(end - place, 0)  # after a step back samples follow each other
        self._base = self._with_eeg_from = max(round(place), end)
        self._filled = 0

    def _place(self, times: Any) -> Any:
        """Return the places (fractional) at times."""
        return (times - self._zero) * self._rate + self._lag

    def _append(self, eeg: np.ndarray, times: np.ndarray) -> Iterator[LiveVolume]:
        """Put samples without a gap into the buffer, as many at a time as it holds."""
        done = 0
        while done < times.size:
            new = slice(done, done + self._buffer.shape[1] - self._filled)
            count = times[new].size
            self._buffer[:, self._filled : self._filled + count] = eeg[:, new]
            self._times[self._filled : self._filled + count] = times[new]
            self._filled += count
            done += count
            while (start := self._start()) + self._span <= self._base + self._filled:
                yield from self._finish(start)
            self._drop(start - self._base)

    def _start(self) -> int:
        """Return the place at which the next window starts."""
        return round(self._window * self._period + self._lag)

    def _drop(self, count: int) -> None:
        """Forget samples before the next window."""
        count = min(max(count, 0), self._filled)
        kept = self._filled - count
        self._buffer[:, :kept] = self._buffer[:, count : self._filled]
        self._times[:kept] = self._times[count : self._filled]
        self._base += count
        self._filled = kept

    def _finish(self, start: int) -> Iterator[LiveVolume]:
        """Close the window at a place, and yield the volume after it if the context is full."""
        magnitudes = None
        if start >= self._with_eeg_from:
            first = start - self._base
            eeg = self._buffer[:, first : first + self._span]
            found = self._nothing if self._is_off(eeg) else self._magnitudes(eeg)
            magnitudes = found if np.isfinite(found).all() else None
            self._follow(start, self._times[first : first + self._span])
        self._context.append(magnitudes)
        self._window += 1
        number = self._window - self._bundle.window_shape[2]
        if number >= 0:
            time = self._zero + self._window * self._bundle.signal.tr
            yield LiveVolume(number, time, self._volume())

    def _follow(self, start: int, times: np.ndarray) -> None:
        """Let the next windows follow the times, if the clock of the samples differs."""
        error = float(np.median(start + np.arange(times.size) - self._place(times)))
        if abs(error) > WRONG_RATE * self._period + JITTER_S * self._rate:
            raise StreamError(
                f"{self._span} samples take {times[-1] - times[0]:.3f} s by their times, the stream states "
                f"{self._rate:g} Hz; correct its sampling rate"
            )
        if abs(error) > DRIFT:
            self._lag += error

    def _magnitudes(self, eeg: np.ndarray) -> np.ndarray:
        """Return the magnitudes (C, F) of one window."""
        return self._bundle.magnitudes(eeg, self._rate, self._names, np.ones(1, bool))[0]

    def _is_off(self, eeg: np.ndarray) -> bool:
        """Return whether none of the model's channels changes by more than an interpolated constant is rounded."""
        eeg = eeg[self._rows]
        return bool((np.ptp(eeg, axis=1) <= ROUNDING * np.abs(eeg).max()).all())

    def _volume(self) -> np.ndarray | None:
        windows = [magnitudes for magnitudes in self._context if magnitudes is not None]
        if len(windows) < len(self._context):
            return None
        if not self._checked:
            self._bundle.check_scale("eeg", np.stack(windows))
            self._checked = True
        if not all(magnitudes.any() for magnitudes in windows):
            return None
        volume = self._synthesise(windows)
        return volume if np.isfinite(volume).all() else None

    def _synthesise(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """Synthesise the volume (x, y, z) of a context, T magnitudes (C, F)."""
        model = self._bundle.model
        volume: np.ndarray = model.synthesise(np.stack(windows, axis=-1)[None])[0] * model.bold_statistics.mask
        return volume
