"""Gradient artefact of the running scanner: averaged artefact subtraction.

Symbols: a channel has n samples in µV at the amplifier's rate; V volumes were scanned, W of them are completely inside
the recording; an epoch is the EEG of one volume, `length` samples from its onset.

References
----------
Allen, Josephs & Turner 2000, NeuroImage 12:230: the mean over neighbouring volumes is the artefact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from eeg2fmri.errors import AlignmentError

Gaps = Sequence[tuple[int, int]]
ALIGNED = 0.05  # samples; at 1 kHz and 5 kHz sampling a shift this small leaves 6 % of a component
SINC_REACH = 16  # samples on either side that interpolation between samples uses
MOST_KNOWN = 64  # epochs, evenly spaced, show well enough how a volume looks
LIKENESS = 0.5  # least share of an epoch's variance that the mean of the others explains while the scanner runs


@dataclass(frozen=True)
class Epochs:
    """Place of the volumes: epoch v begins at sample ``starts[v] + shifts[v]``.

    starts: (V,) int.  shifts: (V,) within half a sample.  whole: (V,) bool, epochs that are completely in the EEG and
    can be part of a template.  stop: sample after the last epoch.  length: samples that hold any epoch.
    template: volumes in the sliding mean.  shifted: whether some begin between samples.
    """

    starts: np.ndarray
    shifts: np.ndarray
    whole: np.ndarray
    stop: int
    length: int
    template: int
    shifted: bool

    def around(self, first: int, last: int) -> Epochs | None:
        """Return the epochs from which the samples `first` to `last` are cleaned as from all; none outside the scan.

        They are those that the samples touch and those of their templates, and one more on either side, in which the
        mean over a TR does not have all of its samples.
        """
        ends = np.append(self.starts[1:], self.stop)
        touched = np.flatnonzero((self.starts < last) & (ends > first))
        if not touched.size:
            return None
        usable, windows = np.flatnonzero(self.whole), _first_of_templates(self.whole, self.template)
        low, high = windows[touched[0]], windows[touched[-1]] + self.template - 1
        begin = max(min(touched[0], usable[low]) - 1, 0)
        end = min(max(touched[-1], usable[high]) + 2, len(self.starts))
        part = slice(begin, end)
        stop = min(int(self.starts[end - 1]) + self.length, self.stop)
        return replace(self, starts=self.starts[part], shifts=self.shifts[part], whole=self.whole[part], stop=stop)

    def counted_from(self, sample: int) -> Epochs:
        """Return the same epochs in EEG that begins at a sample."""
        return replace(self, starts=self.starts - sample, stop=self.stop - sample)


def scan_epochs(onsets: np.ndarray, n_samples: int, template: int, gaps: Gaps = ()) -> Epochs:
    """Make epochs from the onsets of the volumes.

    Parameters
    ----------
    onsets : (V,) samples (fractional) at which the scanner starts each volume, equally far apart.
    n_samples : of the recording; the last epoch may reach beyond it.
    template : volumes in the sliding mean.
    gaps : (start, stop) samples without EEG; epochs that touch one take no part in a template.

    Raises
    ------
    AlignmentError
        If there are too few onsets, or a template needs more volumes.
    """
    if len(onsets) < 2:
        raise AlignmentError(
            f"data.cleaning.gradient needs the volume markers of the run, found {len(onsets)}; "
            f"export the EEG with its markers or set data.cleaning.gradient=false"
        )
    period = float(onsets[-1] - onsets[0]) / (len(onsets) - 1)
    # Only the position relative to the other epochs counts, so the train may begin on a whole sample.
    exact = np.rint(onsets[0]) + period * np.arange(len(onsets))
    starts = np.rint(exact).astype(int)
    inside = (starts >= 0) & (starts < n_samples)
    starts, exact = starts[inside], exact[inside]
    length = int(max(np.diff(starts), default=round(period)))
    stop = min(int(starts[-1]) + length, n_samples) if len(starts) else 0
    whole = starts + length <= n_samples
    for first, last in gaps:
        whole &= (starts + length <= first) | (starts >= last)
    if whole.sum() < template:
        raise AlignmentError(
            f"data.cleaning.template: the mean of {template} volumes is asked for, but the EEG holds {whole.sum()}; "
            f"shorten data.cleaning.template to an odd number of at most that many"
        )
    shifts = exact - starts
    return Epochs(starts, shifts, whole, stop, length, template, bool(np.abs(shifts).max(initial=0) > ALIGNED))


def scanned_around(
    read: Callable[[int, int], np.ndarray], n_samples: int, onsets: np.ndarray, most: int = 50
) -> np.ndarray:
    """Add the onsets of volumes that have no marker: dummy volumes before the first, and volumes after the last.

    The scanner ran if an epoch looks like the mean epoch of the known volumes: the mean explains more than half of
    its variance.

    Parameters
    ----------
    read : gives samples (start, stop) of one EEG channel in µV.
    n_samples : of the channel.
    onsets : (V,) samples (fractional), equally far apart.
    most : largest number of volumes to find at either end.
    """
    period = float(onsets[-1] - onsets[0]) / max(len(onsets) - 1, 1)
    length = int(period)

    def epoch(onset: float) -> np.ndarray | None:
        start = round(onset)
        if start < 0 or start + length > n_samples:
            return None
        part = read(start, start + length).astype(np.float64)
        return part - part.mean()

    some = onsets[np.unique(np.linspace(0, len(onsets) - 1, MOST_KNOWN).astype(int))] if len(onsets) else onsets
    known = [part for onset in some if (part := epoch(float(onset))) is not None]
    if len(known) < 2:
        return onsets
    mean = np.mean(known, axis=0)
    if not mean.any() or np.mean([_shared(part, mean) for part in known]) < LIKENESS:
        return onsets  # no gradient artefact that would show the scanner
    ends = []
    for first, step in ((float(onsets[0]), -period), (float(onsets[-1]), period)):
        count = 0
        while (
            count < most and (part := epoch(first + (count + 1) * step)) is not None and _shared(part, mean) > LIKENESS
        ):
            count += 1
        ends.append(count)
    before, after = ends
    return onsets[0] + period * np.arange(-before, len(onsets) + after)


def _shared(part: np.ndarray, mean: np.ndarray) -> float:
    """Return the share of the variance of an epoch that the mean epoch explains."""
    power = float(part @ part)
    return float(part @ mean) ** 2 / (power * float(mean @ mean)) if power else 0.0


def remove_gradient(eeg: np.ndarray, epochs: Epochs) -> np.ndarray:
    """Subtract the artefact from channels; samples outside the scan stay as they are.

    A template is the mean of the volumes around its own one. First, each sample loses the mean over the TR around it:
    that removes slow EEG, and nothing of an artefact that repeats every TR. Epochs that begin between samples are
    shifted to one grid before the mean, and the template is shifted back after it.

    Parameters
    ----------
    eeg : (channels, n) in µV, which is changed in place.
    epochs : of the recording.

    Returns
    -------
    `eeg`.
    """
    for channel in eeg:
        _remove(channel, epochs)
    return eeg


def _remove(channel: np.ndarray, epochs: Epochs) -> None:
    """Subtract the artefact from one channel (n,), in place."""
    shifted = epochs.shifted
    margin = SINC_REACH if shifted else 0
    size = epochs.length + 2 * margin
    first = int(epochs.starts[0])
    scan = channel[first : epochs.stop].astype(np.float64)
    scan = np.pad(scan - _over_a_volume(scan, epochs.length), margin)
    usable = np.flatnonzero(epochs.whole)
    pieces = [scan[b : b + size] for b in epochs.starts[usable] - first]
    if shifted:
        pieces = [_interpolate(piece, shift) for piece, shift in zip(pieces, epochs.shifts[usable], strict=True)]
    templates = _templates(np.stack(pieces), epochs.whole, epochs.template)
    ends = [*epochs.starts[1:], epochs.stop]
    for start, end, shift, template in zip(epochs.starts, ends, epochs.shifts, templates, strict=True):
        artefact = _interpolate(np.pad(template, margin, mode="edge"), -shift) if shifted else template
        channel[start:end] -= artefact[: end - start].astype(channel.dtype)


def _over_a_volume(scan: np.ndarray, length: int) -> np.ndarray:
    """Compute the moving average over one TR; keep its last value beyond the scan."""
    mean = ndimage.uniform_filter1d(scan, length)
    half = length // 2
    mean[:half], mean[len(mean) - half :] = mean[half], mean[len(mean) - half - 1]
    return mean


def _templates(epochs: np.ndarray, whole: np.ndarray, n: int) -> np.ndarray:
    """Compute sliding means of `n` of the W whole epochs (W, length) for each of the V volumes: (V, length).

    EEG differs from epoch to epoch, so a share a of the epoch itself in its template leaves
    (1 - a)² (1 + 1/(n - 1)) of the EEG's power. The plain mean (a = 1/n) removes 1/n, the mean of the
    others only (a = 0) adds 1/(n - 1); a = 1 - sqrt(1 - 1/n) preserves the power.
    """
    sums = np.concatenate([np.zeros((1, epochs.shape[1])), np.cumsum(epochs, axis=0)])
    first = _first_of_templates(whole, n)
    means = (sums[first + n] - sums[first]) / n
    own = 1 - np.sqrt(1 - 1 / n)
    means[whole] += (own - 1 / n) * n / (n - 1) * (epochs - means[whole])
    return means


def _first_of_templates(whole: np.ndarray, n: int) -> np.ndarray:
    """Return for each of the V volumes the first of the `n` whole epochs in its template, counted among these."""
    ranks = np.cumsum(whole) - whole  # whole epochs before each volume
    return np.clip(ranks - n // 2, 0, int(whole.sum()) - n)


def _interpolate(x: np.ndarray, shift: float) -> np.ndarray:
    """Return values of `x` a fraction of a sample later, without its outer SINC_REACH samples (windowed sinc)."""
    taps = np.arange(-SINC_REACH, SINC_REACH + 1) - shift
    kernel = np.sinc(taps) * np.i0(8 * np.sqrt(np.maximum(1 - (taps / (SINC_REACH + 1)) ** 2, 0)))
    return np.correlate(x, kernel / kernel.sum(), "valid")


def volume_locked_share(course: np.ndarray, onsets: np.ndarray, tr: float, sampling_rate: float) -> float:
    """Compute the share of variance that repeats with every volume: near 1 with the gradient artefact, else 1 / V.

    Parameters
    ----------
    course : (n,) samples of one channel.
    onsets : (V,) samples (fractional) at which the volumes start.
    tr : seconds between volumes.
    sampling_rate : Hz.

    Returns
    -------
    Variance of the mean epoch over that of all epochs completely in the recording; 0 without any.
    """
    length = int(tr * sampling_rate)
    starts = np.rint(onsets).astype(int)
    epochs = [course[start : start + length] for start in starts if 0 <= start <= len(course) - length]
    if not epochs:
        return 0.0
    stacked = np.stack(epochs).astype(np.float64)
    total = float(stacked.var())
    return float(stacked.mean(axis=0).var()) / total if total else 0.0
