"""Origin of a model's score in the EEG: its relevance by channel, frequency and lag.

C channels, F frequencies, T lags (the context), P parts of the EEG, n windows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eeg2fmri.errors import EvaluationError
from eeg2fmri.evaluation import Relevance, bands_of, half, least_windows, profile, r2_by_shift, regions_of
from eeg2fmri.families import family_of
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import without_drift
from eeg2fmri.store import Windows

SEED = 0
BATCH = 32  # windows that are synthesised at once: volumes outside the mask are not kept

Place = tuple[Any, ...]  # of a part in windows (n, C, F, T)


def relevance(
    model: FittedModel, windows: Windows, *, most: int, drift_cutoff: float, mask: np.ndarray | None = None
) -> Relevance:
    """Replace one part of the EEG after the other by that of another time, and see what the score loses.

    Neighbouring channels hold much the same, and so do neighbouring lags. Others stand in for a single one, so its
    loss is small; a region loses what its channels have in common.

    Parameters
    ----------
    model : fitted.
    windows : of subjects that it has not seen; the longest recording of each is taken.
    most : windows in all. The subjects share them equally, each from the middle of its recording; the first subjects
        only, where there are not enough for all.
    drift_cutoff : s; slower changes of BOLD do not count.
    mask : (x, y, z) bool, voxels whose score is explained; by default the brain of each recording.

    Raises
    ------
    EvaluationError
        If no recording is long enough, or the mask is empty or of another grid.
    """
    if mask is not None and (mask.shape != windows.signal.grid or not mask.any()):
        raise EvaluationError(
            f"mask of shape {mask.shape} with {np.count_nonzero(mask)} voxels: expected {windows.signal.grid} with some"
        )
    chosen = _chosen(windows, most)
    parts = _parts(windows)
    places = [place for named in parts.values() for place in named.values()]
    family = family_of(model.config)
    scores, losses, shares, attention = [], [], [], []
    for number, indices in chosen.items():
        inside = windows.recordings[number].mask if mask is None else mask
        eeg = windows.eeg(indices)
        shares.append(family.shares(model, eeg))
        attention.append(family.attention(model, eeg))
        measured = windows.standardised(indices, "recording")[:, inside]
        whole, without = _scores(model, eeg, measured, inside, windows.signal.tr, drift_cutoff, places)
        scores.append(float(whole[0]))
        losses.append(whole - without)
    rng = np.random.default_rng(SEED)
    profiles, first = {}, 0
    for kind, named in parts.items():
        rows = slice(first, first := first + len(named))
        profiles[kind] = profile(list(named), [each[rows] for each in losses], windows.context, rng)
    return Relevance(
        score=float(np.mean(scores)),
        subjects=tuple(windows.recordings[number].subject for number in chosen),
        windows=tuple(map(len, chosen.values())),
        bands=tuple(bands_of(np.asarray(windows.signal.frequencies))),
        seconds=tuple(_seconds(windows)),
        bins=windows.signal.frequencies,
        shares=_table([each for each in shares if each is not None]),
        attention=_table([each.mean(axis=0) for each in attention if each is not None]),
        **profiles,
    )


def _table(found: list[np.ndarray]) -> tuple[tuple[float, ...], ...] | None:
    """Return mean over subjects; none if there are none."""
    return tuple(map(tuple, np.mean(found, axis=0).tolist())) if found else None


def _chosen(windows: Windows, most: int) -> dict[int, np.ndarray]:
    """Return windows that are taken of each recording, one recording a subject."""
    least = least_windows(windows.context)
    longest: dict[str, int] = {}
    for number, recording in enumerate(windows.recordings):
        count, best = (len(windows.indices(n)) for n in (number, longest.get(recording.subject, number)))
        if count >= least and (recording.subject not in longest or count > best):
            longest[recording.subject] = number
    if not longest:
        raise EvaluationError(
            f"no recording has {least} windows in a row, which relevance needs; use longer ones or a shorter context"
        )
    numbers = list(longest.values())[: max(1, most // least)]
    share = max(least, most // len(numbers))
    chosen = {}
    for number in numbers:
        indices = windows.indices(number)
        first = max(0, len(indices) - share) // 2
        chosen[number] = indices[first : first + share]
    return chosen


def _parts(windows: Windows) -> dict[str, dict[str, Place]]:
    """Name and place of every part, by kind."""
    channels, bins = windows.signal.channels, np.asarray(windows.signal.frequencies)
    return {
        "channels": {name: np.s_[:, [row]] for row, name in enumerate(channels)},
        "regions": {region: np.s_[:, rows] for region, rows in regions_of(channels).items()},
        "frequencies": {f"{low:g}-{high:g} Hz": np.s_[:, :, rows] for (low, high), rows in bands_of(bins).items()},
        "lags": {f"{lag:.1f} s": np.s_[..., [row]] for row, lag in enumerate(_seconds(windows))},
    }


def _seconds(windows: Windows) -> list[float]:
    """Return from the middle of each window of a context to the volume that follows it, (T,)."""
    return [(windows.context - row - 0.5) * windows.signal.tr for row in range(windows.context)]


def _scores(
    model: FittedModel,
    eeg: np.ndarray,
    measured: np.ndarray,
    mask: np.ndarray,
    tr: float,
    cutoff: float,
    places: list[Place],
) -> tuple[np.ndarray, np.ndarray]:
    """Return `r2_by_shift` of all EEG, (n,), and without each part, (P, n); `measured` is (n, V)."""
    steady = without_drift(measured, tr, cutoff)

    def score() -> np.ndarray:
        batches = [eeg[first : first + BATCH] for first in range(0, len(eeg), BATCH)]
        volumes = [model.standard_units(model.synthesise(batch))[:, mask] for batch in batches]
        return r2_by_shift(steady, without_drift(np.concatenate(volumes), tr, cutoff))

    whole, without = score(), []
    for place in places:
        right = eeg[place]  # a copy: an index of a part is a list
        eeg[place] = np.roll(right, half(len(eeg)), axis=0)
        without.append(score())
        eeg[place] = right
    return whole, np.stack(without)
