"""Relevance of parts of the EEG: the score that is lost where a part comes from another time.

A part is a channel, a region of channels, a band of frequencies or a lag of the context. It is replaced by the same
part of the same recording, shifted circularly by half of its length. That keeps how the part is distributed and how
slowly it changes, and takes only its timing away; with a constant in its place, a model would see EEG that there
never is.

S subjects, P parts, n windows of one recording in time order, V voxels.

References
----------
Breiman 2001, Mach. Learn. 45:5; Fisher, Rudin & Dominici 2019, J. Mach. Learn. Res. 20:177 (importance by
permutation). Theiler et al. 1992, Physica D 58:77 (surrogates that keep the autocorrelation). Nichols & Holmes 2002,
Hum. Brain Mapp. 15:1 (the largest of all as the threshold of each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from eeg2fmri.errors import EvaluationError

DRAWS = 999
CHANCE = (5, 95)  # percentiles
BAND_EDGES = (*range(0, 30, 2), 30, 40, 50, 60, 80)  # Hz; the rhythms of networks are narrow below 30 Hz
REGIONS = {
    "frontal": ("fp", "af", "f"),
    "central": ("fc", "c", "cp"),
    "temporal": ("ft", "t", "tp"),
    "parietal": ("p",),
    "occipital": ("po", "o", "i"),
}


@dataclass(frozen=True)
class Profile:
    """Loss of a score by the part of the EEG that is of another time.

    names: (P,).  loss: (P,), mean over subjects.  by_subject: (S, P).  low, high: (P,), percentiles `CHANCE` of the
    loss by chance, of a model whose EEG is all of another time.  threshold: the largest of all losses exceeds it by
    chance with a probability of 0.05.
    """

    names: tuple[str, ...]
    loss: tuple[float, ...]
    by_subject: tuple[tuple[float, ...], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    threshold: float

    def ranked(self) -> list[str]:
        """Return names, that of the largest loss first."""
        return [self.names[i] for i in np.argsort(self.loss)[::-1]]


@dataclass(frozen=True)
class Relevance:
    """Origin in the EEG of a model's `r2_temporal`, without drifts.

    score: `r2_temporal` of the windows, mean over subjects.  subjects: (S,).  windows: (S,), how many of each.
    bands: (B, 2) Hz, the lower edge included.  seconds: (T,), from the middle of the window of each lag to the volume.
    channels, regions, frequencies, lags: loss without each.
    shares: (C, F), of the synthesised fluctuations that a channel and frequency makes; sum 1, negative where it
    counters others; ``None`` if the family gives none.  bins: (F,) Hz.
    attention: (C, C), how much of each channel (column) goes into each one (row), rows of sum 1; ``None`` without.
    """

    score: float
    subjects: tuple[str, ...]
    windows: tuple[int, ...]
    bands: tuple[tuple[float, float], ...]
    seconds: tuple[float, ...]
    channels: Profile
    regions: Profile
    frequencies: Profile
    lags: Profile
    bins: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...] | None = None
    attention: tuple[tuple[float, ...], ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain mappings, sequences and numbers."""
        return asdict(self)


def half(n: int) -> int:
    """Return windows by which a part is shifted in a recording of n."""
    return n // 2


def least_windows(context: int) -> int:
    """Return windows in a row that an explanation needs, for a `context` of windows."""
    return 4 * context + 1


def r2_by_shift(measured: np.ndarray, synthesised: np.ndarray) -> np.ndarray:
    """Return `r2_temporal` under every circular shift, as `r2_of_shifts` gives it, of series without their means.

    Parameters
    ----------
    measured, synthesised : (n, V).

    Returns
    -------
    (n,) float64; element s is that of ``np.roll(synthesised, s, axis=0)``.
    """
    products = (measured @ synthesised.T).astype(np.float64)
    variance, predicted = (float(np.einsum("nv,nv->n", x, x).sum(dtype=np.float64)) for x in (measured, synthesised))
    if variance == 0:
        raise EvaluationError("no measured voxel of the mask varies over time: relevance needs one.")
    places = np.arange(len(measured))
    covariance = np.array([products[places, places - shift].sum() for shift in places])
    return (2 * covariance - predicted) / variance


def profile(names: Sequence[str], losses: Sequence[np.ndarray], context: int, rng: np.random.Generator) -> Profile:
    """Sum up the losses of all subjects, beside what chance gives.

    Parameters
    ----------
    names : of the P parts.
    losses : of every subject, (P, n): `r2_by_shift` of the model less that without the part.
    context : windows of one instance.
    rng : seeded by the caller.

    Raises
    ------
    EvaluationError
        If a subject has less than `least_windows`.
    """
    null = np.zeros((DRAWS, len(names)))
    for each in losses:
        null += each[:, rng.choice(_wrong_times(each.shape[1], context), DRAWS)].T / len(losses)
    own = np.stack([each[:, 0] for each in losses])
    low, high = np.percentile(null, CHANCE, axis=0)
    return Profile(
        names=tuple(names),
        loss=tuple(own.mean(axis=0).tolist()),
        by_subject=tuple(map(tuple, own.tolist())),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        threshold=float(np.percentile(null.max(axis=1), CHANCE[1])),
    )


def _wrong_times(n: int, context: int) -> np.ndarray:
    """Return shifts at which neither the EEG nor the part that was shifted before is of the right time."""
    if n < least_windows(context):
        raise EvaluationError(f"{n} windows: relevance needs at least {least_windows(context)} in a row, 4 contexts.")
    shifts = np.arange(context, n - context + 1)
    return shifts[np.abs(shifts + half(n) - n) >= context]


def bands_of(frequencies: np.ndarray) -> Mapping[tuple[float, float], np.ndarray]:
    """Return bins of each band of `BAND_EDGES` that has some, by its edges in Hz, the lower one included."""
    edges = [(float(low), float(high)) for low, high in pairwise(BAND_EDGES)]
    bins = {(low, high): np.flatnonzero((frequencies >= low) & (frequencies < high)) for low, high in edges}
    return {band: rows for band, rows in bins.items() if len(rows)}


def regions_of(channels: Sequence[str]) -> Mapping[str, list[int]]:
    """Return rows of the channels by region of the head, which the letters of a 10-05 name give; other names are in
    none.
    """
    letters = [name.lower().rstrip("0123456789z") for name in channels]
    rows = {region: [i for i, name in enumerate(letters) if name in given] for region, given in REGIONS.items()}
    return {region: found for region, found in rows.items() if found}
