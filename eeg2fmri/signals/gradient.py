"""Gradient artefact of the running scanner: averaged artefact subtraction.

Symbols: a channel has n samples in µV at the amplifier's rate; V volumes were scanned, W of them lie
wholly inside the recording; an epoch is the EEG of one volume, `length` samples from its onset.

References
----------
Allen, Josephs & Turner 2000, NeuroImage 12:230: the mean over neighbouring volumes is the artefact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from eeg2fmri.errors import AlignmentError

MARKER_TOLERANCE = 2 + 1e-6  # samples
ALIGNED = 0.05  # samples; at 1 kHz and 5 kHz sampling a shift this small leaves 6 % of a component
SINC_REACH = 16  # samples on either side that interpolation between samples looks at


@dataclass(frozen=True)
class Epochs:
    """Where the volumes lie: epoch v begins at sample ``starts[v] + shifts[v]``.

    starts: (V,) int.  shifts: (V,) within half a sample.  stop: sample after the last epoch.
    length: samples that hold any epoch.  template: volumes in the sliding mean.
    """

    starts: np.ndarray
    shifts: np.ndarray
    stop: int
    length: int
    template: int


def scan_epochs(markers: np.ndarray, tr: float, sampling_rate: float, n_samples: int, template: int) -> Epochs:
    """Epochs of one TR from the volume markers; volumes between them that have no marker are filled in.

    The onsets are one TR apart where every marker is then within a sample; otherwise they are those of
    the straight line through the markers, which follows the drift between the clocks of scanner and
    amplifier.

    Parameters
    ----------
    markers : (m,) samples of the volume markers, increasing.
    tr : seconds between volumes.
    sampling_rate : Hz.
    n_samples : of the recording; the last epoch may reach beyond it.
    template : volumes in the sliding mean.

    Raises
    ------
    AlignmentError
        If there are too few markers, they are not whole TRs apart, or a template needs more volumes.
    """
    if len(markers) < 2:
        raise AlignmentError(
            f"data.cleaning.gradient needs the volume markers of the run, found {len(markers)}; "
            f"export the EEG with its markers or set data.cleaning.gradient=false"
        )
    numbers = np.concatenate([[0], np.cumsum(np.rint(np.diff(markers) / (tr * sampling_rate)))])
    period, first = _period(markers, numbers, tr * sampling_rate)
    if abs(period - tr * sampling_rate) > MARKER_TOLERANCE:
        raise AlignmentError(
            f"the volume markers are {period / sampling_rate:.4f} s apart, the TR is {tr:g} s; correct the TR or the "
            f"markers, or set data.cleaning.gradient=false"
        )
    off = np.abs(markers - first - period * numbers)
    if (np.diff(numbers) < 1).any() or off.max() > MARKER_TOLERANCE:
        worst = int(np.argmax(off))
        raise AlignmentError(
            f"volume marker {worst + 1} lies {off[worst]:.1f} samples off the regular train of volumes, at most 2 are "
            f"expected with a TR of {tr:g} s; check the TR and markers or set data.cleaning.gradient=false"
        )
    # Only the position relative to the other epochs counts, so the train may begin on a whole sample.
    onsets = np.rint(first) + period * np.arange(int(numbers[-1]) + 1)
    starts = np.rint(onsets).astype(int)
    starts, onsets = starts[starts < n_samples], onsets[starts < n_samples]
    length = int(max(np.diff(starts), default=round(period)))
    stop = min(int(starts[-1]) + length, n_samples)
    whole = int((starts + length <= n_samples).sum())
    if starts[0] < 0 or whole < template:
        raise AlignmentError(
            f"data.cleaning.template: the mean of {template} volumes is asked for, and the EEG holds {whole} from "
            f"sample {starts[0]}; shorten data.cleaning.template to an odd number of at most that many"
        )
    return Epochs(starts, onsets - starts, stop, length, template)


def continued(markers: np.ndarray, length: float, before: int, after: int) -> np.ndarray:
    """Markers (m,) with `before` onsets ahead of them and `after` behind, in their own rhythm.

    `length` is the nominal TR in samples; the result has ``before + m + after`` elements.
    """
    period, _ = _period(markers, np.rint((markers - markers[0]) / length), length)
    ahead, behind = np.arange(-before, 0), np.arange(1, after + 1)
    return np.concatenate([markers[0] + period * ahead, markers, markers[-1] + period * behind])


def _period(markers: np.ndarray, numbers: np.ndarray, nominal: float) -> tuple[float, float]:
    """Samples from volume to volume, and the onset of the first one."""
    first = float(np.median(markers - nominal * numbers))
    if np.abs(markers - first - nominal * numbers).max() <= 1:  # what rounding to samples explains
        return nominal, first
    period, first = np.polyfit(numbers, markers, 1)
    return float(period), float(first)


def remove_gradient(eeg: np.ndarray, epochs: Epochs) -> np.ndarray:
    """Subtract the artefact from channels; samples outside the scan stay as they are.

    A template is the mean of the volumes around its own one, after each sample lost the mean over the
    TR around it: that takes the slow EEG out, and nothing of an artefact that repeats every TR. Epochs
    that begin between samples are brought onto one grid before the mean and the template back after it.

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
    shifted = bool(np.abs(epochs.shifts).max() > ALIGNED)
    margin = SINC_REACH if shifted else 0
    size = epochs.length + 2 * margin
    first = int(epochs.starts[0])
    scan = channel[first : epochs.stop].astype(np.float64)
    scan = np.pad(scan - _over_a_volume(scan, epochs.length), margin)
    begins = epochs.starts - first
    pieces = [scan[b : b + size] for b in begins]
    whole = [piece for piece in pieces if len(piece) == size]
    if shifted:
        whole = [_interpolate(piece, shift) for piece, shift in zip(whole, epochs.shifts, strict=False)]
    templates = _templates(np.stack(whole), len(begins), epochs.template)
    ends = [*epochs.starts[1:], epochs.stop]
    for start, end, shift, template in zip(epochs.starts, ends, epochs.shifts, templates, strict=True):
        artefact = _interpolate(np.pad(template, margin, mode="edge"), -shift) if shifted else template
        channel[start:end] -= artefact[: end - start].astype(channel.dtype)


def _over_a_volume(scan: np.ndarray, length: int) -> np.ndarray:
    """Moving average over one TR, held where it would reach beyond the scan."""
    mean = ndimage.uniform_filter1d(scan, length)
    half = length // 2
    mean[:half], mean[len(mean) - half :] = mean[half], mean[len(mean) - half - 1]
    return mean


def _templates(epochs: np.ndarray, n_epochs: int, n: int) -> np.ndarray:
    """Sliding means of `n` epochs (W, length) for each of `n_epochs`, the whole ones and what follows them.

    EEG differs from epoch to epoch, so a share a of the epoch itself in its template leaves
    (1 - a)² (1 + 1/(n - 1)) of the EEG's power. The plain mean (a = 1/n) takes 1/n away, the mean of the
    others alone (a = 0) adds 1/(n - 1); with a = 1 - sqrt(1 - 1/n) power stays what it was.
    """
    sums = np.concatenate([np.zeros((1, epochs.shape[1])), np.cumsum(epochs, axis=0)])
    first = np.clip(np.arange(n_epochs) - n // 2, 0, len(epochs) - n)
    means = (sums[first + n] - sums[first]) / n
    own = 1 - np.sqrt(1 - 1 / n)
    means[: len(epochs)] += (own - 1 / n) * n / (n - 1) * (epochs - means[: len(epochs)])
    return means


def _interpolate(x: np.ndarray, shift: float) -> np.ndarray:
    """Values of `x` a part of a sample later, without its outer SINC_REACH samples (windowed sinc)."""
    taps = np.arange(-SINC_REACH, SINC_REACH + 1) - shift
    kernel = np.sinc(taps) * np.i0(8 * np.sqrt(np.maximum(1 - (taps / (SINC_REACH + 1)) ** 2, 0)))
    return np.correlate(x, kernel / kernel.sum(), "valid")


def volume_locked_share(course: np.ndarray, onsets: np.ndarray, tr: float, sampling_rate: float) -> float:
    """Share of a channel's variance that repeats with every volume: near 1 with the gradient artefact, else 1 / V.

    Parameters
    ----------
    course : (n,) samples of one channel.
    onsets : (V,) samples (fractional) at which the volumes start.
    tr : seconds between volumes.
    sampling_rate : Hz.

    Returns
    -------
    Variance of the mean epoch over that of all epochs that lie wholly in the recording; 0 without any.
    """
    length = int(tr * sampling_rate)
    starts = np.rint(onsets).astype(int)
    epochs = [course[start : start + length] for start in starts if 0 <= start <= len(course) - length]
    if not epochs:
        return 0.0
    stacked = np.stack(epochs).astype(np.float64)
    total = float(stacked.var())
    return float(stacked.mean(axis=0).var()) / total if total else 0.0
