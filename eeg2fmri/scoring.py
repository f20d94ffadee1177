"""Scores of a model on windows, beside those of its nulls and baselines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from eeg2fmri import plotting
from eeg2fmri.baselines import CEILINGS, baselines_of, synthesise
from eeg2fmri.config import BASELINES, EvaluationConfig
from eeg2fmri.evaluation import (
    FDR_LEVEL,
    Atlas,
    Dynamics,
    Null,
    Regions,
    RegionShifts,
    Voxels,
    best_voxels,
    correlation_map,
    dynamics_of,
    low_pass_absent,
    middle_change,
    p_text,
    pearson,
    r2_of_shifts,
    region_scores,
    region_shifts,
    score_recording,
    shift_variance_map,
    shuffled_null,
    shuffled_order,
    subject_weights,
    voxels_of,
)
from eeg2fmri.models.fitted import FittedModel
from eeg2fmri.signals import Signal, drift_waves
from eeg2fmri.store import StoredRecording, Windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 0  # no setting: a p-value must not be drawn again until it is small
NULLS = ("mean_volume", "shuffled")  # always there; `promote` asks for them
CONDITIONS = ("model", *NULLS, *BASELINES, *CEILINGS)  # in the order in which they are shown
# Another model that a policy may name, a bound from the test subjects' own data, and what only a simulator knows.
NO_NULLS = ("model", "linear", "subject_mean", *CEILINGS)
# By importance; a score that is not named follows.
ORDER = (
    "r2_temporal",
    "r2_temporal_no_global",
    "skill",
    "temporal_correlation",
    "ssim",
    "rmse",
    "mae",
    "psnr",
    "r2_temporal_raw",
)
RESAMPLES = 9999
REGION_RECORDINGS = 4  # choose a region well enough, and a slow model need not synthesise them all
LEAST_SUBJECTS = 3  # fewer have no interval


@dataclass(frozen=True)
class Significance:
    """Certainty of the deciding score.

    p_value: chance that the same model scores as much with shuffled EEG.  smallest_p: the least that this test set can
    give.  effect_size: score minus mean of the null, in standard deviations of the null; ``None`` if it has none.
    interval: 95 % of the mean over subjects; ``None`` with fewer than three.
    """

    p_value: float
    smallest_p: float
    effect_size: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Scoring:
    """Scores of a model on windows, the deciding one in its null distribution.

    table: subject, recording, condition and one column per score.  null: of `r2_temporal`.
    absent: why a baseline that was asked for is not there.
    dynamics: mean map over the subjects, and the region's courses in the first one.  region_r: correlation of the
    region's courses in each recording; empty without a region.  signal: of the recordings.
    regions: scores per region of an atlas, see `region_scores`; ``None`` without one.
    voxels: which of the map's correlations are more than chance.
    example: (measured, synthesised), the middle volume of the first recording in standard units.
    """

    table: pd.DataFrame
    null: Null
    absent: Mapping[str, str]
    dynamics: Dynamics
    region_r: tuple[float, ...]
    signal: Signal
    voxels: Voxels
    example: tuple[np.ndarray, np.ndarray]
    regions: Regions | None = None

    @property
    def overall(self) -> dict[str, dict[str, float]]:
        """Scores per condition, see `summarise`."""
        return summarise(self.table)

    @property
    def significance(self) -> Significance:
        """p-value, effect size and interval of `r2_temporal`."""
        subjects = scores_by_subject(self.table)["r2_temporal"]["model"]
        return Significance(
            self.null.p_value, self.null.smallest_p, self.null.effect_size, subject_interval(list(subjects.values()))
        )


def subject_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return 95 % interval of the mean over subjects, by bootstrap of the subjects.

    Returns
    -------
    The percentiles 2.5 and 97.5 of the means of resampled subjects, or ``None`` with fewer than three. With few
    subjects the interval is too narrow rather than too wide.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    found = subject_intervals(np.asarray(values, float)[:, None])
    return None if found is None else (float(found[0, 0]), float(found[1, 0]))


def subject_intervals(values: np.ndarray) -> np.ndarray | None:
    """Return the `subject_interval` of each column of (subjects, k): (2, k), or ``None`` with fewer than three."""
    if len(values) < LEAST_SUBJECTS:
        return None
    found = bootstrap((values,), np.mean, axis=0, n_resamples=RESAMPLES, batch=RESAMPLES // 9, method="percentile",
                      rng=np.random.default_rng(SEED)).confidence_interval  # fmt: skip
    return np.stack([found.low, found.high])


def score_windows(
    model: FittedModel,
    windows: Windows,
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008 - frozen
    train: Windows | None = None,
    validation: Windows | None = None,
    atlas: Atlas | None = None,
) -> Scoring:
    """Return scores of every recording under all conditions, and the dynamics.

    The conditions are the model, its nulls, the baselines that are available, and the ceilings of simulated data.

    `r2_temporal` of shuffled EEG is the mean of all draws of its null, each other score that of `config.shuffles`.

    Parameters
    ----------
    model, windows : what is scored, and on what.
    config : shuffles, drifts, baselines.
    train, validation : windows that the model was fitted on and chosen by. Baselines are fitted on them, and `train`
        chooses the region whose courses are shown (`choose_region`). Without them there are none of these.
    atlas : regions that are scored too, all in the brain of every recording.
    """
    unfiltered = low_pass_absent(windows.signal.tr, [len(windows.indices(n)) for n in range(len(windows.recordings))])
    region = choose_region(model, train, config.drift_cutoff) if train else None
    beside = baselines_of(model, windows, config, train, validation)
    rows: list[dict[str, Any]] = []
    found: list[_Followed] = []
    for number, recording in enumerate(windows.recordings):
        measured = windows.standardised(windows.indices(number), "recording")
        synthesised = synthesise(model, windows, number)
        series = chain(_own_series(model, synthesised, windows.context, number, config.shuffles),
                       beside.series(number, measured))  # fmt: skip
        for condition, syntheses in series:
            scores = _mean_scores(measured, syntheses, model.mean_volume, recording, config.drift_cutoff)
            rows.append({"subject": recording.subject, "recording": recording.name, "condition": condition, **scores})
        waves = drift_waves(len(measured), recording.signal.tr, config.drift_cutoff)
        found.append(_followed(measured, synthesised, recording, waves, region, atlas, low_pass=not unfiltered))
    subjects = [recording.subject for recording in windows.recordings]
    rng = np.random.default_rng(SEED)
    null = shuffled_null([each.shifts for each in found], subjects, windows.context, config.permutations, rng)
    table = pd.DataFrame(rows)
    table.loc[table.condition == "shuffled", "r2_temporal"] = null.by_recording
    weights = subject_weights(subjects)
    courses = [each.dynamics for each in found]
    dynamics = replace(
        courses[0],
        correlation=np.average([each.correlation for each in courses], axis=0, weights=weights),
        background=np.mean([each.background for each in courses], axis=0),
        mask=np.any([each.mask for each in courses], axis=0),
    )
    together = tuple(pearson(*each.courses) for each in courses if each.courses is not None)
    variances = [each.variance for each in found]
    voxels = voxels_of(dynamics.correlation, variances, [each.mask for each in courses], weights)
    regional = [each.regions for each in found if each.regions is not None]
    regions = (
        region_scores(regional, subjects, atlas, windows.context, subject_intervals, unfiltered) if atlas else None
    )
    return Scoring(table, null, beside.absent, dynamics, together, windows.signal, voxels, found[0].example, regions)


def _own_series(
    model: FittedModel, synthesised: np.ndarray, margin: int, number: int, shuffles: int
) -> Iterator[tuple[str, Iterable[np.ndarray]]]:
    """Yield volumes of the model and of its nulls, (volumes, x, y, z) each."""
    rng = np.random.default_rng((SEED, number))
    yield "model", [synthesised]
    yield "mean_volume", [np.broadcast_to(model.mean_volume, synthesised.shape)]
    # A model maps each window on its own, so permuting its windows permutes its volumes.
    yield "shuffled", (synthesised[shuffled_order(len(synthesised), margin, rng)] for _ in range(shuffles))


def _mean_scores(
    measured: np.ndarray, syntheses: Iterable[np.ndarray], mean: np.ndarray, recording: StoredRecording, cutoff: float
) -> dict[str, float]:
    """Average the scores of some syntheses of one recording; a synthesis may be shorter than what was measured."""
    each = [
        score_recording(measured[: len(volumes)], volumes, mean, recording.mask,
                        drift_waves(len(volumes), recording.signal.tr, cutoff))
        for volumes in syntheses
    ]  # fmt: skip
    return {key: float(np.mean([scores[key] for scores in each])) for key in each[0]}


@dataclass(frozen=True)
class _Followed:
    """The traces of one recording that the null, the maps and the figures need once its volumes are gone."""

    shifts: np.ndarray
    variance: np.ndarray
    dynamics: Dynamics
    regions: RegionShifts | None
    example: tuple[np.ndarray, np.ndarray]


def _followed(
    measured: np.ndarray, synthesised: np.ndarray, recording: StoredRecording, waves: np.ndarray,
    region: np.ndarray | None, atlas: Atlas | None, *, low_pass: bool,
) -> _Followed:  # fmt: skip
    """Compute the traces of one recording."""
    mask = recording.mask
    return _Followed(
        shifts=r2_of_shifts(measured, synthesised, mask, waves),
        variance=shift_variance_map(measured, synthesised, mask, waves),
        dynamics=dynamics_of(measured, synthesised, mask, waves, region, recording.subject),
        regions=region_shifts(measured, synthesised, mask, waves, atlas, recording.signal.tr, low_pass=low_pass)
        if atlas
        else None,
        example=(middle_change(measured), middle_change(synthesised)),
    )


def choose_region(model: FittedModel, train: Windows, cutoff: float) -> np.ndarray | None:
    """Choose the voxels that a model follows best on training subjects, so that test subjects choose nothing.

    Parameters
    ----------
    model : fitted.
    train : windows of training subjects, of which the first `REGION_RECORDINGS` recordings are used.
    cutoff : s; slower changes do not count.

    Returns
    -------
    (x, y, z) bool, see `evaluation.best_voxels`; ``None`` if the model follows no voxel.
    """
    maps = []
    for number, recording in enumerate(train.recordings[:REGION_RECORDINGS]):
        rows = train.indices(number)
        waves = drift_waves(len(rows), recording.signal.tr, cutoff)
        synthesised = synthesise(model, train, number)
        maps.append(correlation_map(train.standardised(rows, "recording"), synthesised, recording.mask, waves))
    return best_voxels(np.mean(maps, axis=0), train.bold_statistics().mask)


def scored_figures(scored: Scoring, *, title: str, who: str = "the scored subjects") -> dict[str, Figure]:
    """Draw ``dynamics``, ``scores``, ``voxels``, and ``regions`` if there is an atlas.

    Parameters
    ----------
    scored : from `score_windows`.
    title : the model's name.
    who : those on whom it was scored.
    """
    scores = scores_by_subject(scored.table)
    deciding, dynamics = scores["r2_temporal"], scored.dynamics
    evidence = plotting.ScoreEvidence(
        draws=scored.null.draws,
        observed=scored.null.observed,
        p_text=p_text(scored.null.p_value, scored.null.smallest_p),
        model=deciding["model"],
        shuffled=deciding["shuffled"],
        ceilings={plotting.SHORT_NAMES[name]: deciding[name] for name in CEILINGS if name in deciding},
    )
    if dynamics.courses is None:
        courses = "No region: the model follows no voxel of training subjects, or the store holds none of them"
    else:
        mean = f"; mean of {len(scored.region_r)} recordings {np.mean(scored.region_r):+.2f}"
        own = f"Best region of training subjects (outlined) in {dynamics.subject}: r = {scored.region_r[0]:+.2f}"
        courses = own + (mean if len(scored.region_r) > 1 else "")
    page = plotting.DynamicsPage(
        title=f"{title}: dynamics in {who}, drifts left out",
        correlation=dynamics.correlation,
        background=dynamics.background,
        mask=dynamics.mask,
        region=dynamics.region,
        courses=dynamics.courses,
        courses_title=courses,
        tr=scored.signal.tr,
        affine=np.asarray(scored.signal.affine),
        evidence=evidence,
    )
    voxels = plotting.voxels_figure(
        scored.voxels.correlation,
        scored.voxels.significant,
        scored.voxels.mask,
        dynamics.background,
        level=FDR_LEVEL,
        title=f"{title} in {who}",
        affine=np.asarray(scored.signal.affine),
    )
    drawn = {
        "dynamics": plotting.dynamics_figure(page),
        "scores": plotting.score_figure(scores, title=f"{title}, {who}"),
        "voxels": voxels,
    }
    if scored.regions is not None:
        drawn["regions"] = plotting.regions_figure(
            scored.regions.table, level=FDR_LEVEL, title=f"{title} in {who}", notes=scored.regions.notes
        )
    return drawn


def strongest_baseline(overall: Mapping[str, Mapping[str, float]]) -> tuple[str, float] | None:
    """Return the baseline with the highest `r2_temporal`, or ``None`` without any; the subject's mean, which is 0,
    is none.
    """
    found = {
        condition: overall[condition]["r2_temporal"]
        for condition in BASELINES
        if condition in overall and condition != "subject_mean"
    }
    return max(found.items(), key=lambda item: item[1]) if found else None


def by_importance(scores: Collection[str]) -> list[str]:
    """Order the names of scores, the deciding one first."""
    return [*(name for name in ORDER if name in scores), *(name for name in scores if name not in ORDER)]


def scores_by_subject(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Group scores: score -> condition -> subject -> mean over its recordings, for `plotting.score_figure`."""
    scores = by_importance([name for name in table.columns if name not in ("subject", "recording", "condition")])
    means = table.groupby(["condition", "subject"])[scores].mean()
    there = _conditions(table)
    return {s: {c: {str(k): float(v) for k, v in means.loc[c][s].items()} for c in there} for s in scores}


def summarise(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Summarise scores per condition: the mean over subjects of the mean over their recordings."""
    scores = [name for name in table.columns if name not in ("subject", "recording", "condition")]
    means = table.groupby(["condition", "subject"])[scores].mean().groupby(level="condition").mean()
    there = _conditions(table)
    values = means.loc[there].to_numpy(dtype=float)
    return {c: dict(zip(scores, map(float, row), strict=True)) for c, row in zip(there, values, strict=True)}


def _conditions(table: pd.DataFrame) -> list[str]:
    """Return conditions that a table has, in the order in which they are shown."""
    found = set(table["condition"])
    return [condition for condition in CONDITIONS if condition in found]
