"""Scores per region of a label image: the mean course of a region, measured beside synthesised.

Published models of regions report Pearson's r and R² of such courses, often low-passed at 0.15 Hz (Li et al. 2024,
NeuroBOLT, arXiv 2410.05341). Here each stands beside its null, the circular shifts of the deciding score.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import false_discovery_control

from eeg2fmri.evaluation._series import Floats, Mask, centred, check_temporal
from eeg2fmri.evaluation.nulls import subject_weights
from eeg2fmri.evaluation.voxels import correlations_of_shifts, shift_p

LOW_PASS_HZ = 0.15
FILTER_ORDER, FILTER_LEAST = 5, 19  # of nilearn's Butterworth filter, and the volumes that its two passes need
FULL, LOW_PASSED, NO_GLOBAL = "full", f"low-pass {LOW_PASS_HZ:g} Hz", "no global signal"
ROUNDING = 1e-6  # of an amplitude: less is what rounding leaves of it
Interval = Callable[[NDArray[np.float64]], NDArray[np.float64] | None]


@dataclass(frozen=True)
class Atlas:
    """Regions on the grid of a store.

    labels: (x, y, z) int; 0 is no region or not in the brain.  names: of the labels, in their order.
    outside: names of labels without a voxel in the brain.
    """

    labels: NDArray[np.integer]
    names: Mapping[int, str]
    outside: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of labels and names; equal ones give equal scores."""
        named = json.dumps([self.labels.shape, list(self.names.items())])
        return hashlib.sha256(self.labels.astype("<i8").tobytes() + named.encode()).hexdigest()


def blocks(mask: Mask, affine: Floats, edge: float) -> Atlas:
    """Cut a brain into cubes, each a region with the middle of its cube for a name.

    Faces of cubes pass through the origin, so a region is in one half of the brain if the origin is between them.
    Cubes of which less than a quarter is brain are left out, if others are not.

    Parameters
    ----------
    mask
        (x, y, z) bool, the brain
    affine
        (4, 4), voxel to mm
    edge
        of a cube, mm
    """
    cubes = np.floor((np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]) / edge).astype(int)
    found, owner, sizes = np.unique(cubes, axis=0, return_inverse=True, return_counts=True)
    enough = sizes * abs(np.linalg.det(affine[:3, :3])) >= edge**3 / 4
    kept = enough if enough.any() else np.ones(len(found), bool)
    labels = np.zeros(mask.shape, np.int64)
    labels[mask] = np.where(kept, np.cumsum(kept), 0)[owner.ravel()]
    middles = (found[kept] + 0.5) * edge
    return Atlas(labels, {i: "x {:.0f} y {:.0f} z {:.0f}".format(*middle) for i, middle in enumerate(middles, 1)})


@dataclass(frozen=True)
class RegionShifts:
    """Scores of the regions in one recording under every circular shift of the synthesised courses.

    r, r2: (n, regions) by kind of series; row 0 is the model's own.
    """

    r: Mapping[str, NDArray[np.float64]]
    r2: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Regions:
    """Scores of the regions of an atlas.

    table: one row per kind of series and region, see `region_scores`.  notes: what is missing in it, and why.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]


def low_pass_absent(tr: float, volumes: Sequence[int]) -> str:
    """Return why there are no low-passed courses, or an empty text.

    Parameters
    ----------
    tr
        s
    volumes
        of every recording
    """
    if 2 * LOW_PASS_HZ * tr >= 1:
        return f"{LOW_PASS_HZ:g} Hz is not below the Nyquist frequency {1 / (2 * tr):.3g} Hz of the TR {tr:g} s"
    if min(volumes) < FILTER_LEAST:
        return f"a recording has {min(volumes)} windows, the filter needs {FILTER_LEAST}"
    return ""


def region_shifts(
    measured: Floats, synthesised: Floats, mask: Mask, waves: Floats, atlas: Atlas, tr: float, *, low_pass: bool
) -> RegionShifts:
    """Score the mean course of every region under every circular shift.

    Courses are without `waves`; low-passed by a Butterworth filter of order 5, forwards and backwards (nilearn); or
    without the global signal, as in `r2_temporal_no_global`.

    Parameters
    ----------
    measured, synthesised
        (n_volumes, x, y, z), at least two volumes
    mask
        (x, y, z) bool, voxels of the global signal
    waves
        (n_volumes, q) orthonormal
    atlas
        regions, all inside the mask
    tr
        s
    low_pass
        whether there are low-passed courses, see `low_pass_absent`
    """
    from nilearn.signal import butterworth

    check_temporal(measured, synthesised, mask, waves)
    pair = [centred(_courses(series, atlas), waves) for series in (measured, synthesised)]
    kinds = {FULL: pair}
    if low_pass:
        passed = [butterworth(c, 1 / tr, low_pass=LOW_PASS_HZ, order=FILTER_ORDER, copy=True) for c in pair]
        kinds[LOW_PASSED] = [centred(course, waves) for course in passed]
    whole = centred(measured[:, mask].mean(axis=1, dtype=np.float64)[:, None], waves)
    length = float(np.linalg.norm(whole))
    columns = np.column_stack([waves, whole / length]) if length > 0 else waves
    kinds[NO_GLOBAL] = [_rest(centred(course, columns), course) for course in pair]
    r = {kind: correlations_of_shifts(*courses) for kind, courses in kinds.items()}
    return RegionShifts(r, {kind: _r2(r[kind], *courses) for kind, courses in kinds.items()})


def _courses(series: Floats, atlas: Atlas) -> NDArray[np.float64]:
    """Return mean courses (n_volumes, regions)."""
    return np.stack([ndimage.mean(volume, atlas.labels, list(atlas.names)) for volume in series])


def _rest(left: NDArray[np.float64], course: NDArray[np.float64]) -> NDArray[np.float64]:
    """Set to 0 what only rounding has left of a course."""
    return np.where(np.linalg.norm(left, axis=0) > ROUNDING * np.linalg.norm(course, axis=0), left, 0)


def _r2(r: Floats, measured: Floats, synthesised: Floats) -> NDArray[np.float64]:
    """Return ``1 - Σ (m - s)² / Σ m²`` of every shift from its correlation; 0 for a constant measured course."""
    m, s = (np.linalg.norm(course, axis=0) for course in (measured, synthesised))
    ratio = np.divide(s, m, out=np.zeros_like(m), where=m > 0)
    return 2 * ratio * r - ratio**2


def region_scores(
    found: Sequence[RegionShifts],
    subjects: Sequence[str],
    atlas: Atlas,
    margin: int,
    interval: Interval,
    no_low_pass: str = "",
) -> Regions:
    """Summarise the regions over subjects, beside shuffled EEG.

    Parameters
    ----------
    found
        of every recording
    subjects
        of every recording; scores are means over subjects
    atlas
        names and sizes of the regions
    margin
        smallest shift of the null, see `shuffled_order`
    interval
        of the mean of each column of (subjects, regions): (2, regions), or ``None`` with too few subjects
    no_low_pass
        from `low_pass_absent`

    Returns
    -------
    Regions
        The columns are ``series`` (full, low-pass, no global signal); ``index`` and ``region`` (label and name);
        ``voxels``; ``r`` and ``r2``, with the ends of their intervals (``_low``, ``_high``) and their means with
        shuffled EEG (``_null``); ``r_null_sd``, the standard deviation of r with shuffled EEG; ``p`` and ``q`` of r,
        one-sided as in `Voxels`, with the false-discovery rate over the regions of a series.
    """
    weights = subject_weights(subjects)
    sizes = ndimage.sum_labels(atlas.labels > 0, atlas.labels, list(atlas.names))
    parts = []
    for kind in found[0].r:
        columns: dict[str, object] = {
            "series": kind,
            "index": list(atlas.names),
            "region": list(atlas.names.values()),
            "voxels": sizes.astype(int),
        }
        for score in ("r", "r2"):
            shifts = [getattr(each, score)[kind] for each in found]
            by_subject = _by_subject(np.stack([each[0] for each in shifts]), subjects)
            found_ends = interval(by_subject)
            low, high = np.full((2, len(sizes)), np.nan) if found_ends is None else found_ends
            null = [each[margin : len(each) - margin + 1].mean(0) for each in shifts]
            columns |= {score: by_subject.mean(0), f"{score}_low": low,
                        f"{score}_high": high, f"{score}_null": weights @ null}  # fmt: skip
        variances = np.stack([np.square(each.r[kind]).mean(0) for each in found])
        p = shift_p(np.asarray(columns["r"]), variances, weights)
        spread = np.sqrt(np.square(weights) @ variances)
        parts.append(pd.DataFrame(columns | {"r_null_sd": spread, "p": p, "q": false_discovery_control(p)}))
    notes = (f"no low-pass: {no_low_pass}" if no_low_pass else "",
             f"without a voxel in the brain: {', '.join(atlas.outside)}" if atlas.outside else "")  # fmt: skip
    return Regions(pd.concat(parts, ignore_index=True), tuple(filter(None, notes)))


def _by_subject(values: Floats, subjects: Sequence[str]) -> NDArray[np.float64]:
    """Return (subjects, regions), means over each subject's recordings."""
    return np.stack([values[[s == name for s in subjects]].mean(0) for name in dict.fromkeys(subjects)])
